// Policy documents, as read: a document is a chain of policies, a policy a chain of rules. Rules never change; a
// document that is set again is a new chain, so that the rules of a subject are known by the policies' numbers.
//
// Precedence, the one number that orders rows (higher wins; at a tie the lower rule number):
//   admin     3 << 30 | (0x3fff - priority) << 16 | (0xffff - index of the rule in its policy)
//   normal    2 << 30 | 3 for deny, 2 for allow, 1 for the default deny
//   baseline  1 << 30 | (0x3fff - priority) << 16 | (0xffff - index)
//   default   0

import { column, get, set, Subject } from './memory'
import { clear, give, item, length, pool, push, take, vector, words } from './pools'
import { intern, release, sequenceLength, sequenceWord, Tag } from './sequences'
import { internText, nameUses, releaseAtom } from './labels'
import { nextText, nextWord } from './input'
import { leaveSelector, readSelector, returnSelector, selectorPolicies, touchSelector } from './selectors'
import { readCidr } from './cidrs'
import { internTerm, join, leave } from './terms'
import { markEntriesWithPorts } from './addresses'
import { markEndpointsWithPorts } from './endpoints'
import { DIRECTION_EGRESS, DIRECTION_INGRESS } from './records.generated'

export namespace Tier {
  export const BASELINE: u32 = 1
  export const NORMAL: u32 = 2
  export const ADMIN: u32 = 3
}
export namespace Action {
  export const DENY: u32 = 0
  export const ALLOW: u32 = 1
  export const PASS: u32 = 2
}
export const PRECEDENCE_DEFAULT_DENY: u32 = Tier.NORMAL << 30 | 1
/** Where the input says `any` peer or all ports. */
const EVERYTHING: u32 = 0xffffffff
/** A named port of any protocol. */
export const ANY_PROTOCOL: u32 = 256
const LAST_PORT_KEY: u32 = 0xffffff
const MAX_WORDS: u32 = 1 << 17

let documents: usize = 0
let documentText: usize = 0 // atom of its key
let documentPolicies: usize = 0
let documentOfAtom: usize = 0
let policies: usize = 0
let policyNext: usize = 0 // in its document
let policySelector: usize = 0
let policyAudit: usize = 0
let policyIsolates: usize = 0 // rule number, by policy << 1 | direction
let nextOfSelector: usize = 0
let dead: usize = 0
let rules: usize = 0
let ruleMemberships: usize = 0
let scratchRanges: usize = 0
let scratchNames: usize = 0

export let policyRules: usize = 0 // first rule
export let policyMark: usize = 0 // scratch of whoever resolves
export let policyTouched: usize = 0 // scratch, likewise
export let ruleNext: usize = 0 // in its policy
export let ruleNumber: usize = 0
export let rulePolicy: usize = 0
export let ruleDirection: usize = 0
export let ruleAction: usize = 0
export let rulePrecedence: usize = 0
export let ruleAnyPeer: usize = 0
export let ruleRanges: usize = 0 // sequence of first, last
export let ruleNames: usize = 0 // sequence of name, protocol
export let ruleMark: usize = 0 // scratch

export function initializePolicies(capacity: u32, atomCapacity: u32): void {
  documents = pool(capacity, Subject.RULES)
  documentText = column(capacity)
  documentPolicies = column(capacity)
  documentOfAtom = column(atomCapacity)
  policies = pool(capacity, Subject.RULES)
  policyNext = column(capacity)
  policySelector = column(capacity)
  policyAudit = column(capacity)
  policyIsolates = column(capacity * 2 + 1)
  policyRules = column(capacity)
  policyMark = column(capacity)
  policyTouched = column(capacity)
  nextOfSelector = column(capacity)
  dead = vector(capacity)
  rules = pool(capacity, Subject.RULES)
  ruleNext = column(capacity)
  ruleNumber = column(capacity)
  rulePolicy = column(capacity)
  ruleDirection = column(capacity)
  ruleAction = column(capacity)
  rulePrecedence = column(capacity)
  ruleAnyPeer = column(capacity)
  ruleRanges = column(capacity)
  ruleNames = column(capacity)
  ruleMark = column(capacity)
  ruleMemberships = column(capacity)
  scratchRanges = vector(MAX_WORDS)
  scratchNames = vector(MAX_WORDS)
}

@inline export function ruleMembershipsOf(rule: u32): u32 { return get(ruleMemberships, rule) }
@inline export function nextPolicyOfSelector(policy: u32): u32 { return get(nextOfSelector, policy) }
@inline export function policyIsAudit(policy: u32): bool { return get(policyAudit, policy) != 0 }
/** Number that a default deny of this direction carries; 0: the policy does not isolate. */
@inline export function policyIsolation(policy: u32, direction: u32): u32 { return get(policyIsolates, policy << 1 | direction) }

/** Reads a document from the input; it replaces the one of the same key, which goes last so that shared parts stay. */
export function setPolicy(): void {
  const key = internText(nextText())
  let first: u32 = 0
  for (let left = nextWord(); left > 0; left--) first = readPolicy(first)
  const old = get(documentOfAtom, key)
  const document = old != 0 ? old : createDocument(key)
  const replaced = get(documentPolicies, document)
  set(documentPolicies, document, first)
  removeChain(replaced)
  if (old != 0) releaseAtom(key)
}

function createDocument(key: u32): u32 {
  const document = take(documents)
  set(documentText, document, key)
  set(documentPolicies, document, 0)
  set(documentOfAtom, key, document)
  return document
}

export function removePolicy(): void {
  const key = internText(nextText())
  const document = get(documentOfAtom, key)
  if (document != 0) {
    removeChain(get(documentPolicies, document))
    set(documentOfAtom, key, 0)
    give(documents, document)
    releaseAtom(key)
  }
  releaseAtom(key)
}

function readPolicy(next: u32): u32 {
  const policy = take(policies)
  const selector = readSelector()
  set(policyNext, policy, next)
  set(policySelector, policy, selector)
  set(nextOfSelector, policy, get(selectorPolicies, selector))
  set(selectorPolicies, selector, policy)
  touchSelector(selector)
  const tier = nextWord()
  const priority = nextWord()
  set(policyIsolates, policy << 1 | DIRECTION_INGRESS, nextWord())
  set(policyIsolates, policy << 1 | DIRECTION_EGRESS, nextWord())
  set(policyAudit, policy, nextWord())
  set(policyRules, policy, 0)
  const count = nextWord()
  for (let index: u32 = 0; index < count; index++) readRule(policy, tier, priority, index)
  return policy
}

function readRule(policy: u32, tier: u32, priority: u32, index: u32): void {
  const rule = take(rules)
  set(ruleNumber, rule, nextWord())
  set(ruleDirection, rule, nextWord())
  set(ruleAction, rule, nextWord())
  set(rulePrecedence, rule, precedenceOf(tier, priority, index, get(ruleAction, rule)))
  set(rulePolicy, rule, policy)
  set(ruleNext, rule, get(policyRules, policy))
  set(policyRules, policy, rule)
  readPeers(rule)
  readPorts(rule)
}

function precedenceOf(tier: u32, priority: u32, index: u32, action: u32): u32 {
  if (tier == Tier.NORMAL) return Tier.NORMAL << 30 | (action == Action.DENY ? 3 : 2)
  return tier << 30 | (0x3fff - priority) << 16 | (0xffff - index)
}

function readPeers(rule: u32): void {
  const count = nextWord()
  set(ruleAnyPeer, rule, count == EVERYTHING ? 1 : 0)
  set(ruleMemberships, rule, 0)
  if (count == EVERYTHING) return
  for (let i: u32 = 0; i < count; i++) {
    const parts = nextWord()
    const selector = (parts & 1) != 0 ? readSelector() : 0
    const cidr = (parts & 2) != 0 ? readCidr() : 0
    set(ruleMemberships, rule, join(rule, internTerm(selector, cidr), get(ruleMemberships, rule)))
    if (selector != 0) returnSelector(selector) // the term uses it now
  }
}

function readPorts(rule: u32): void {
  clear(scratchRanges)
  clear(scratchNames)
  const count = nextWord()
  if (count == EVERYTHING) pushRange(0, LAST_PORT_KEY)
  else for (let i: u32 = 0; i < count; i++) readPort(get(ruleDirection, rule))
  set(ruleRanges, rule, intern(Tag.RANGES, words(scratchRanges), length(scratchRanges)))
  set(ruleNames, rule, intern(Tag.NAMES, words(scratchNames), length(scratchNames)))
}

function pushRange(first: u32, last: u32): void {
  push(scratchRanges, first)
  push(scratchRanges, last)
}

function readPort(direction: u32): void {
  if (nextWord() == 0) {
    const first = nextWord()
    pushRange(first, nextWord())
    return
  }
  const name = internText(nextText())
  changeNameUses(name, direction, 1)
  push(scratchNames, name)
  push(scratchNames, nextWord())
}

/** The first or last use of a name changes what named ports mean to policy. */
function changeNameUses(name: u32, direction: u32, by: i32): void {
  const before = get(nameUses, name << 1 | direction)
  set(nameUses, name << 1 | direction, before + by)
  if (before != 0 && before + by != 0) return
  if (direction == DIRECTION_EGRESS) markEntriesWithPorts()
  else markEndpointsWithPorts()
}

function removeChain(first: u32): void {
  for (let policy = first; policy != 0; policy = get(policyNext, policy)) {
    for (let rule = get(policyRules, policy); rule != 0; rule = get(ruleNext, rule)) removeRule(rule)
    unchainFromSelector(policy)
    leaveSelector(get(policySelector, policy))
    push(dead, policy)
  }
}

function removeRule(rule: u32): void {
  for (let membership = get(ruleMemberships, rule); membership != 0;) membership = leave(membership)
  set(ruleMemberships, rule, 0)
  const names = get(ruleNames, rule)
  for (let i: u32 = 0; i < sequenceLength(names); i += 2) {
    changeNameUses(sequenceWord(names, i), get(ruleDirection, rule), -1)
    releaseAtom(sequenceWord(names, i))
  }
  release(names)
  release(get(ruleRanges, rule))
}

function unchainFromSelector(policy: u32): void {
  const selector = get(policySelector, policy)
  let previous: u32 = 0
  let current = get(selectorPolicies, selector)
  while (current != policy && current != 0) {
    previous = current
    current = get(nextOfSelector, current)
  }
  if (previous == 0) set(selectorPolicies, selector, get(nextOfSelector, policy))
  else set(nextOfSelector, previous, get(nextOfSelector, policy))
}

/** After a transaction. The numbers of removed policies stayed taken until now, for rule sets of subjects name them. */
export function collectPolicies(): void {
  for (let i: u32 = 0; i < length(dead); i++) {
    const policy = item(dead, i)
    let rule = get(policyRules, policy)
    while (rule != 0) {
      const next = get(ruleNext, rule)
      give(rules, rule)
      rule = next
    }
    give(policies, policy)
  }
}

export function clearPolicyScratch(): void { clear(dead) }
