// Selectors, interned by content, and which identities they match.
//
// A requirement is a negation flag and a list of atoms: it holds if some atom of the list is in the identity's set,
// negated if none is (In and Exists, NotIn and DoesNotExist). Each selector hangs on its pivot, one positive
// requirement, so that an identity looks only at selectors whose pivot it can satisfy; selectors without a positive
// requirement are looked at by every identity.

import { column, get, poke, set, Subject } from './memory'
import { clear, give, item, length, pool, push, take, vector, words } from './pools'
import {
  atomMark, atomPivots, atomsUsed, atomTouched, internText, labelAnyKey, labelAnyPair, labelKey, releaseAtom,
} from './labels'
import {
  collectIdentity, dirtyIdentities, identitiesUsed, identityLives, identitySelectors, isMarked, markIdentity,
  MAX_LABELS, unmarkIdentity,
} from './identities'
import {
  intern, references, release, sequenceLength, sequenceOwner, sequenceWord, sequenceWords, setSequenceOwner, Tag,
} from './sequences'
import { nextText, nextWord } from './input'
import { firstOfIdentity, firstOfLabel, nextIdentity, nextLabel, postingIdentity, postingLabel } from './postings'
import { sort } from './sort'
import { markEndpointsOf } from './endpoints'
import { markEntriesOf } from './addresses'

const MAX_WORDS: u32 = 65536
/** The list of selectors without a positive requirement hangs on atom 0. */
const NO_ATOM: u32 = 0
const NO_PIVOT: u32 = 0xffffffff

let selectors: usize = 0
let sequences: usize = 0
let users: usize = 0 // terms and policies
let touchedFlags: usize = 0
let touched: usize = 0
let pivotOf: usize = 0 // where in the selector's words
let pivots: usize = 0 // pool of (selector, next) hung on atoms
let pivotCount: usize = 0 // by atom
let pivotSelector: usize = 0
let pivotNext: usize = 0
let scratch: usize = 0
let stamped: usize = 0 // atoms of the identity at hand that selectors hang on
let matched: usize = 0
let matchedMark: usize = 0
let stamp: u32 = 0
let touchStamp: u32 = 0

export let selectorTerms: usize = 0 // first term of terms.ts
export let selectorPolicies: usize = 0 // first policy whose subject it is

export function initializeSelectors(capacity: u32, atomCapacity: u32): void {
  selectors = pool(capacity, Subject.SELECTORS)
  sequences = column(capacity)
  users = column(capacity)
  touchedFlags = column(capacity)
  touched = vector(capacity)
  pivotOf = column(capacity)
  pivots = pool(capacity * 4, Subject.SELECTORS)
  pivotCount = column(atomCapacity)
  pivotSelector = column(capacity * 4)
  pivotNext = column(capacity * 4)
  selectorTerms = column(capacity)
  selectorPolicies = column(capacity)
  scratch = vector(MAX_WORDS)
  stamped = vector(MAX_LABELS * 4 + 1)
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
  const pivot = choosePivot(sequence)
  set(pivotOf, selector, pivot)
  if (pivot == NO_PIVOT) hang(NO_ATOM, selector)
  else for (let i: u32 = 0; i < atomCount(selector, pivot); i++) hang(sequenceWord(sequence, pivot + 1 + i), selector)
  touchSelector(selector)
  return selector
}

@inline function atomCount(selector: u32, requirement: u32): u32 { return sequenceWord(get(sequences, selector), requirement) & 0x7fffffff }

/** Where in the selector's words its pivot is to stand: the positive requirement on whose atoms the fewest hang by now. */
function choosePivot(sequence: u32): u32 {
  let best = NO_PIVOT
  let least: u32 = 0xffffffff
  for (let i: u32 = 0; i < sequenceLength(sequence);) {
    const header = sequenceWord(sequence, i)
    const end = i + 1 + (header & 0x7fffffff)
    let hung = end - i
    for (let at = i + 1; at < end; at++) hung += get(pivotCount, sequenceWord(sequence, at))
    if (header >>> 31 == 0 && hung <= least) {
      best = i
      least = hung
    }
    i = end
  }
  return best
}

function hang(atom: u32, selector: u32): void {
  const pivot = take(pivots)
  set(pivotSelector, pivot, selector)
  set(pivotNext, pivot, get(atomPivots, atom))
  set(atomPivots, atom, pivot)
  set(pivotCount, atom, get(pivotCount, atom) + 1)
}

function unhang(atom: u32, selector: u32): void {
  let previous: u32 = 0
  let pivot = get(atomPivots, atom)
  while (pivot != 0 && get(pivotSelector, pivot) != selector) {
    previous = pivot
    pivot = get(pivotNext, pivot)
  }
  if (pivot == 0) return
  if (previous == 0) set(atomPivots, atom, get(pivotNext, pivot))
  else set(pivotNext, previous, get(pivotNext, pivot))
  set(pivotCount, atom, get(pivotCount, atom) - 1)
  give(pivots, pivot)
}

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

/** Lists the atoms of an identity's labels and their parts, each once, and stamps them. */
function stampAtoms(identity: u32): void {
  stamp++
  clear(stamped)
  stampAtom(NO_ATOM)
  for (let posting = firstOfIdentity(identity); posting != 0; posting = nextLabel(posting)) {
    const label = get(postingLabel, posting)
    stampAtom(label)
    stampAtom(get(labelKey, label))
    stampAtom(get(labelAnyKey, label))
    stampAtom(get(labelAnyPair, label))
  }
}

@inline function stampAtom(atom: u32): void {
  if (get(atomMark, atom) == stamp) return
  poke(atomMark, atom, stamp)
  if (get(atomPivots, atom) != 0) push(stamped, atom)
}

/** Whether the identity whose atoms are stamped has what the selector requires. */
function matches(selector: u32): bool {
  const at = sequenceWords(get(sequences, selector))
  const count = sequenceLength(get(sequences, selector))
  let i: u32 = 0
  while (i < count) {
    const header = get(at, i++)
    const end = i + (header & 0x7fffffff)
    let some = false
    for (; i < end; i++) some = some || get(atomMark, get(at, i)) == stamp
    if (some == (header >>> 31 != 0)) return false
  }
  return true
}

/** Marks the identities that touched selectors match, besides those that are marked already. */
export function findTouchedIdentities(): void {
  if (length(touched) == 0) return
  touchStamp++
  for (let i: u32 = 0; i < length(touched); i++) stampPivot(item(touched, i))
  if (get(atomTouched, NO_ATOM) == touchStamp) {
    for (let identity: u32 = 1; identity <= identitiesUsed(); identity++) lookAt(identity)
    return
  }
  for (let label: u32 = 1; label <= atomsUsed(); label++) {
    if (get(labelKey, label) == 0 || !isTouched(label)) continue
    for (let posting = firstOfLabel(label); posting != 0; posting = nextIdentity(posting)) lookAt(get(postingIdentity, posting))
  }
}

function stampPivot(selector: u32): void {
  const pivot = get(pivotOf, selector)
  if (pivot == NO_PIVOT) poke(atomTouched, NO_ATOM, touchStamp)
  else for (let i: u32 = 0; i < atomCount(selector, pivot); i++) {
    poke(atomTouched, sequenceWord(get(sequences, selector), pivot + 1 + i), touchStamp)
  }
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
  for (let pivot = get(atomPivots, atom); pivot != 0; pivot = get(pivotNext, pivot)) {
    const selector = get(pivotSelector, pivot)
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
  stampAtoms(identity)
  for (let i: u32 = 0; i < length(stamped); i++) collectMatching(item(stamped, i))
  sort(words(matched), length(matched))
  return intern(Tag.SELECTORS, words(matched), length(matched))
}

function collectMatching(atom: u32): void {
  for (let pivot = get(atomPivots, atom); pivot != 0; pivot = get(pivotNext, pivot)) {
    const selector = get(pivotSelector, pivot)
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
  const pivot = get(pivotOf, selector)
  if (pivot == NO_PIVOT) unhang(NO_ATOM, selector)
  else for (let i: u32 = 0; i < atomCount(selector, pivot); i++) unhang(sequenceWord(sequence, pivot + 1 + i), selector)
  releaseAtoms(sequenceWords(sequence), sequenceLength(sequence))
  release(sequence)
  give(selectors, selector)
}
