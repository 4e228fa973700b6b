// Peer terms: a selector, a CIDR, or both wanted at once, interned. What terms an address matches is its signature;
// `memberships` lead from a term to the rules that list it and back.

import { column, get, poke, reserve, set, Subject } from './memory'
import { clear, give, item, length, pool, push, take, vector } from './pools'
import {
  intern, references, release, sequenceLength, sequenceOwner, sequenceWord, setSequenceOwner, Tag,
} from './sequences'
import { leaveSelector, selectorTerms, useSelector } from './selectors'
import { beginCidr, cidrTerms, endCidr, isMatched, matchedCidrs, releaseCidr } from './cidrs'

let terms: usize = 0
let sequences: usize = 0
let selectorsOf: usize = 0
let cidrsOf: usize = 0
let users: usize = 0
let nexts: usize = 0 // in the chain of its selector, or of its CIDR if it has no selector
let freshMark: usize = 0
let dead: usize = 0
let pair: usize = 0
let stamp: u32 = 1

let memberships: usize = 0
let nextOfTerm: usize = 0
let previousOfTerm: usize = 0
let membershipTerm: usize = 0

export let termMark: usize = 0 // scratch of whoever resolves
export let termMemberships: usize = 0
export let membershipRule: usize = 0
export let nextOfRule: usize = 0

export function initializeTerms(termCapacity: u32, membershipCapacity: u32): void {
  terms = pool(termCapacity, Subject.SELECTORS)
  sequences = column(termCapacity)
  selectorsOf = column(termCapacity)
  cidrsOf = column(termCapacity)
  users = column(termCapacity)
  nexts = column(termCapacity)
  freshMark = column(termCapacity)
  termMark = column(termCapacity)
  termMemberships = column(termCapacity)
  dead = vector(termCapacity)
  pair = reserve(8)
  memberships = pool(membershipCapacity, Subject.RULES)
  membershipTerm = column(membershipCapacity)
  membershipRule = column(membershipCapacity)
  nextOfTerm = column(membershipCapacity)
  previousOfTerm = column(membershipCapacity)
  nextOfRule = column(membershipCapacity)
}

@inline export function nextMembership(membership: u32): u32 { return get(nextOfTerm, membership) }
@inline export function termOf(membership: u32): u32 { return get(membershipTerm, membership) }
@inline export function termIsFresh(term: u32): bool { return get(freshMark, term) == stamp }
@inline export function termIsDead(term: u32): bool { return get(users, term) == 0 }

/** The term of a selector's and a CIDR's record, either of which may be 0; takes over the caller's reference to the CIDR. */
export function internTerm(selector: u32, cidr: u32): u32 {
  store<u32>(pair, selector)
  store<u32>(pair + 4, cidr)
  const sequence = intern(Tag.TERM, pair, 2)
  if (references(sequence) > 1) {
    release(sequence)
    releaseCidr(cidr)
    return sequenceOwner(sequence)
  }
  const term = take(terms)
  set(sequences, term, sequence)
  set(selectorsOf, term, selector)
  set(cidrsOf, term, cidr)
  set(users, term, 0)
  set(termMemberships, term, 0)
  setSequenceOwner(sequence, term)
  poke(freshMark, term, stamp)
  const chain = selector != 0 ? selectorTerms : cidrTerms
  const owner = selector != 0 ? selector : cidr
  set(nexts, term, get(chain, owner))
  set(chain, owner, term)
  return term
}

/** Lists the term in a rule; gives the membership, which continues the rule's chain. */
export function join(rule: u32, term: u32, chain: u32): u32 {
  const membership = take(memberships)
  set(membershipTerm, membership, term)
  set(membershipRule, membership, rule)
  set(nextOfRule, membership, chain)
  const first = get(termMemberships, term)
  set(nextOfTerm, membership, first)
  set(previousOfTerm, membership, 0)
  if (first != 0) set(previousOfTerm, first, membership)
  set(termMemberships, term, membership)
  set(users, term, get(users, term) + 1)
  if (get(users, term) == 1) begin(term)
  return membership
}

/** Takes a membership out of its term; gives the next one of the rule. */
export function leave(membership: u32): u32 {
  const term = get(membershipTerm, membership)
  const before = get(previousOfTerm, membership)
  const after = get(nextOfTerm, membership)
  if (before == 0) set(termMemberships, term, after)
  else set(nextOfTerm, before, after)
  if (after != 0) set(previousOfTerm, after, before)
  set(users, term, get(users, term) - 1)
  if (get(users, term) == 0) end(term)
  const next = get(nextOfRule, membership)
  give(memberships, membership)
  return next
}

/**
 * A term uses its selector as long as rules list it, and no longer: identities are matched again in this transaction,
 * before dead terms go, and must not keep a selector that goes with them.
 */
function begin(term: u32): void {
  if (get(selectorsOf, term) != 0) useSelector(get(selectorsOf, term))
  if (get(cidrsOf, term) != 0) beginCidr(get(cidrsOf, term))
}

function end(term: u32): void {
  if (get(selectorsOf, term) != 0) leaveSelector(get(selectorsOf, term))
  if (get(cidrsOf, term) != 0) endCidr(get(cidrsOf, term))
  push(dead, term)
}

/** Appends the terms that match a set of selectors and the CIDRs last matched. */
export function collectTerms(selectorSet: u32, out: usize): void {
  for (let i: u32 = 0; i < sequenceLength(selectorSet); i++) collectChain(get(selectorTerms, sequenceWord(selectorSet, i)), out)
  for (let i: u32 = 0; i < length(matchedCidrs); i++) collectChain(get(cidrTerms, item(matchedCidrs, i)), out)
}

function collectChain(first: u32, out: usize): void {
  for (let term = first; term != 0; term = get(nexts, term)) {
    if (get(users, term) == 0) continue
    const cidr = get(cidrsOf, term)
    if (cidr == 0 || isMatched(cidr)) push(out, term)
  }
}

/** After a transaction: terms that no rule lists go. Their numbers stayed taken until now, for signatures name them. */
export function collectDeadTerms(): void {
  for (let i: u32 = 0; i < length(dead); i++) {
    const term = item(dead, i)
    if (get(users, term) == 0 && get(sequences, term) != 0) destroy(term)
  }
}

export function clearTermScratch(): void {
  clear(dead)
  stamp++
}

function destroy(term: u32): void {
  const selector = get(selectorsOf, term)
  const cidr = get(cidrsOf, term)
  unchain(selector != 0 ? selectorTerms : cidrTerms, selector != 0 ? selector : cidr, term)
  release(get(sequences, term))
  set(sequences, term, 0)
  releaseCidr(cidr)
  give(terms, term)
}

function unchain(chain: usize, owner: u32, term: u32): void {
  let previous: u32 = 0
  let current = get(chain, owner)
  while (current != term && current != 0) {
    previous = current
    current = get(nexts, current)
  }
  if (previous == 0) set(chain, owner, get(nexts, term))
  else set(nexts, previous, get(nexts, term))
}
