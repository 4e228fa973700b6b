// Selectors, interned by content, and which identities they match.
//
// A requirement is a negation flag and a list of atoms: it holds if some atom of the list is in the identity's set,
// negated if none is (In and Exists, NotIn and DoesNotExist).

import { column, get, poke, set, Subject } from './memory'
import { clear, give, item, length, pool, push, take, vector, words } from './pools'
import { atomsUsed, atomTouched, internText, labelAnyKey, labelAnyPair, labelKey, releaseAtom } from './labels'
import {
  collectIdentity, dirtyIdentities, identitiesUsed, identityLives, identitySelectors, isMarked, markIdentity,
  unmarkIdentity,
} from './identities'
import {
  intern, references, release, sequenceLength, sequenceOwner, sequenceWord, sequenceWords, setSequenceOwner, Tag,
} from './sequences'
import { nextText, nextWord } from './input'
import {
  atomCount, firstCandidate, hang, isNegated, isStamped, leastUsed, NO_ATOM, NO_REQUIREMENT, nextCandidate, pivotSelector,
  stampAtoms, stamped, unhang,
} from './pivots'
import { firstOfLabel, nextIdentity, postingIdentity } from './postings'
import { sort } from './sort'
import { markEndpointsOf } from './endpoints'
import { markEntriesOf } from './addresses'

const MAX_WORDS: u32 = 65536

let selectors: usize = 0
let sequences: usize = 0
let users: usize = 0 // terms and policies
let touchedFlags: usize = 0
let touched: usize = 0
let pivotOf: usize = 0 // where in the selector's words; NO_REQUIREMENT: it has no positive one
let scratch: usize = 0
let matched: usize = 0
let matchedMark: usize = 0
let touchStamp: u32 = 0

export let selectorTerms: usize = 0 // first term of terms.ts
export let selectorPolicies: usize = 0 // first policy whose subject it is

export function initializeSelectors(capacity: u32): void {
  selectors = pool(capacity, Subject.SELECTORS)
  sequences = column(capacity)
  users = column(capacity)
  touchedFlags = column(capacity)
  touched = vector(capacity)
  pivotOf = column(capacity)
  selectorTerms = column(capacity)
  selectorPolicies = column(capacity)
  scratch = vector(MAX_WORDS)
  matched = vector(capacity)
  matchedMark = column(capacity)
}

/** Reads a selector from the input and gives its record with one more user; 0 after a failure. */
export function readSelector(): u32 {
  clear(scratch)
  const requirements = nextWord()
  for (let i: u32 = 0; i < requirements; i++) readRequirement()
  const sequence = intern(Tag.SELECTOR, words(scratch), length(scratch))
  if (references(sequence) > 1) {
    releaseAtoms(words(scratch), length(scratch))
    release(sequence)
  }
  let selector = sequenceOwner(sequence)
  if (selector == 0 && sequence != 0) selector = create(sequence)
  set(users, selector, get(users, selector) + 1)
  return selector
}

/** To scratch: negated << 31 | number of atoms, then the atoms, sorted. */
function readRequirement(): void {
  const header = nextWord()
  const negated = header >>> 31
  const values = header & 0x7fffffff
  const start = length(scratch) + 1
  push(scratch, 0)
  for (let i: u32 = 0; i < values; i++) {
    push(scratch, internText(nextText()))
  }
  const first = words(scratch) + (<usize>start << 2)
  sort(first, length(scratch) - start)
  store<u32>(first - 4, negated << 31 | (length(scratch) - start))
}

function releaseAtoms(requirements: usize, count: u32): void {
  let i: u32 = 0
  while (i < count) {
    const atoms = get(requirements, i++) & 0x7fffffff
    for (let j: u32 = 0; j < atoms; j++) releaseAtom(get(requirements, i++))
  }
}

function create(sequence: u32): u32 {
  const selector = take(selectors)
  set(sequences, selector, sequence)
  set(users, selector, 0)
  setSequenceOwner(sequence, selector)
  hangSelector(selector)
  touchSelector(selector)
  return selector
}

/** Hangs the selector on the atoms of its pivot. */
function hangSelector(selector: u32): void {
  const sequence = get(sequences, selector)
  const pivot = leastUsed(sequence, 0xffffffff, NO_REQUIREMENT)
  const guard = leastUsed(sequence, 1, pivot)
  const guardAtom = guard == NO_REQUIREMENT || atomCount(sequenceWord(sequence, guard)) == 0 ? NO_ATOM : sequenceWord(sequence, guard + 1)
  set(pivotOf, selector, pivot)
  if (pivot == NO_REQUIREMENT) hang(NO_ATOM, selector, NO_ATOM)
  else for (let i: u32 = 0; i < pivotAtoms(selector); i++) hang(pivotAtom(selector, i), selector, guardAtom)
}

/** Of a selector with a positive requirement. */
@inline function pivotAtoms(selector: u32): u32 { return atomCount(sequenceWord(get(sequences, selector), get(pivotOf, selector))) }
@inline function pivotAtom(selector: u32, index: u32): u32 { return sequenceWord(get(sequences, selector), get(pivotOf, selector) + 1 + index) }

export function useSelector(selector: u32): void {
  set(users, selector, get(users, selector) + 1)
  touchSelector(selector)
}

export function leaveSelector(selector: u32): void {
  returnSelector(selector)
  touchSelector(selector)
}

/** Gives a use back where somebody else has one, so that nothing changes for identities. */
export function returnSelector(selector: u32): void { set(users, selector, get(users, selector) - 1) }

/** Every identity that the selector matches, or matched, is looked at again in this transaction. */
export function touchSelector(selector: u32): void {
  if (get(touchedFlags, selector) != 0) return
  set(touchedFlags, selector, 1)
  push(touched, selector)
}

// ---- matching -----------------------------------------------------------------------------------------------

/** Whether the identity at hand has what the selector requires. */
function matches(selector: u32): bool {
  const at = sequenceWords(get(sequences, selector))
  const count = sequenceLength(get(sequences, selector))
  let i: u32 = 0
  while (i < count) {
    const header = get(at, i++)
    const end = i + atomCount(header)
    let some = false
    for (; i < end; i++) some = some || isStamped(get(at, i))
    if (some == isNegated(header)) return false
  }
  return true
}

/** Marks the identities that touched selectors match, besides those that are marked already. */
export function findTouchedIdentities(): void {
  if (length(touched) == 0) return
  touchStamp++
  for (let i: u32 = 0; i < length(touched); i++) stampPivot(item(touched, i))
  const marked = length(dirtyIdentities)
  if (get(atomTouched, NO_ATOM) == touchStamp || marked > identitiesUsed() / 2) { // then postings would save nothing
    for (let identity: u32 = 1; identity <= identitiesUsed(); identity++) lookAt(identity)
    return
  }
  for (let label: u32 = 1; label <= atomsUsed(); label++) {
    if (get(labelKey, label) == 0 || !isTouched(label)) continue
    for (let posting = firstOfLabel(label); posting != 0; posting = nextIdentity(posting)) lookAt(get(postingIdentity, posting))
  }
}

function stampPivot(selector: u32): void {
  if (get(pivotOf, selector) == NO_REQUIREMENT) poke(atomTouched, NO_ATOM, touchStamp)
  else for (let i: u32 = 0; i < pivotAtoms(selector); i++) poke(atomTouched, pivotAtom(selector, i), touchStamp)
}

/** Whether a touched selector hangs on the label or on one of its parts. */
function isTouched(label: u32): bool {
  return get(atomTouched, label) == touchStamp || get(atomTouched, get(labelKey, label)) == touchStamp
    || get(atomTouched, get(labelAnyKey, label)) == touchStamp || get(atomTouched, get(labelAnyPair, label)) == touchStamp
}

function lookAt(identity: u32): void {
  if (isMarked(identity) || !identityLives(identity)) return
  stampAtoms(identity)
  for (let i: u32 = 0; i < length(stamped); i++) {
    if (get(atomTouched, item(stamped, i)) == touchStamp && anyTouchedOn(item(stamped, i))) {
      markIdentity(identity)
      return
    }
  }
}

function anyTouchedOn(atom: u32): bool {
  for (let pivot = firstCandidate(atom); pivot != 0; pivot = nextCandidate(pivot)) {
    const selector = pivotSelector(pivot)
    if (get(touchedFlags, selector) != 0 && matches(selector)) return true
  }
  return false
}

/** Brings the selector sets of all marked identities up to date, and marks what depends on them. */
export function refreshIdentities(): void {
  for (let i: u32 = 0; i < length(dirtyIdentities); i++) {
    const identity = item(dirtyIdentities, i)
    const old = get(identitySelectors, identity)
    set(identitySelectors, identity, matchingSelectors(identity))
    release(old)
    markEntriesOf(identity)
    markEndpointsOf(identity)
  }
}

function matchingSelectors(identity: u32): u32 {
  clear(matched)
  const stamp = stampAtoms(identity)
  for (let i: u32 = 0; i < length(stamped); i++) collectMatching(item(stamped, i), stamp)
  sort(words(matched), length(matched))
  return intern(Tag.SELECTORS, words(matched), length(matched))
}

function collectMatching(atom: u32, stamp: u32): void {
  for (let pivot = firstCandidate(atom); pivot != 0; pivot = nextCandidate(pivot)) {
    const selector = pivotSelector(pivot)
    if (get(users, selector) != 0 && get(matchedMark, selector) != stamp && matches(selector)) {
      poke(matchedMark, selector, stamp)
      push(matched, selector)
    }
  }
}

/** After a transaction: selectors that nobody uses go, and identities that nobody needs. */
export function collectSelectors(): void {
  for (let i: u32 = 0; i < length(touched); i++) {
    const selector = item(touched, i)
    set(touchedFlags, selector, 0)
    if (get(users, selector) == 0) destroy(selector)
  }
  for (let i: u32 = 0; i < length(dirtyIdentities); i++) {
    const identity = item(dirtyIdentities, i)
    unmarkIdentity(identity)
    collectIdentity(identity)
  }
}

export function clearSelectorScratch(): void {
  clear(touched)
  clear(dirtyIdentities)
}

function destroy(selector: u32): void {
  const sequence = get(sequences, selector)
  if (get(pivotOf, selector) == NO_REQUIREMENT) unhang(NO_ATOM, selector)
  else for (let i: u32 = 0; i < pivotAtoms(selector); i++) unhang(pivotAtom(selector, i), selector)
  releaseAtoms(sequenceWords(sequence), sequenceLength(sequence))
  release(sequence)
  give(selectors, selector)
}
