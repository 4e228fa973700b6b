// From the atoms of an identity to the selectors that may match it. Each selector hangs on its pivot, one positive
// requirement, so that an identity looks only at selectors whose pivot it satisfies; selectors without a positive
// requirement hang on atom 0, which every identity has. Where a second requirement wants one atom alone, that atom
// guards the selector: it fails most that the pivot lets through.

import { column, get, poke, put, reserve, set, Subject } from './memory'
import { clear, give, pool, push, take, vector } from './pools'
import { atomPivots, labelAnyKey, labelAnyPair, labelKey } from './labels'
import { MAX_LABELS } from './identities'
import { firstOfIdentity, nextLabel, postingLabel } from './postings'
import { sequenceLength, sequenceWord } from './sequences'

export const NO_ATOM: u32 = 0
export const NO_REQUIREMENT: u32 = 0xffffffff

// One record a pivot: its list is walked for every identity.
const SELECTOR: usize = 0
const GUARD: usize = 4
const NEXT: usize = 8
const PIVOT_SHIFT: u32 = 4

let pivots: usize = 0
let records: usize = 0
let counts: usize = 0 // by atom
let marks: usize = 0 // by atom: the stamp of the identity that last had it
let stamp: u32 = 0

/** Atoms of the identity at hand that selectors hang on. */
export let stamped: usize = 0

export function initializePivots(capacity: u32, atoms: u32): void {
  pivots = pool(capacity, Subject.SELECTORS)
  records = reserve((<usize>capacity + 1) << PIVOT_SHIFT)
  counts = column(atoms)
  marks = column(atoms)
  stamped = vector(MAX_LABELS * 4 + 1)
}

@inline function at(pivot: u32): usize { return records + (<usize>pivot << PIVOT_SHIFT) }
@inline export function pivotSelector(pivot: u32): u32 { return load<u32>(at(pivot), SELECTOR) }

// ---- the identity at hand -----------------------------------------------------------------------------------

/** Lists the atoms of an identity's labels and their parts, each once; gives a number of this identity's own. */
export function stampAtoms(identity: u32): u32 {
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
  return stamp
}

@inline function stampAtom(atom: u32): void {
  if (isStamped(atom)) return
  poke(marks, atom, stamp)
  if (get(atomPivots, atom) != 0) push(stamped, atom)
}

/** Whether the identity at hand has the atom. */
@inline export function isStamped(atom: u32): bool { return get(marks, atom) == stamp }

/** The first pivot of an atom, and the one after a pivot, whose guard the identity at hand has. */
export function firstCandidate(atom: u32): u32 { return guarded(get(atomPivots, atom)) }
export function nextCandidate(pivot: u32): u32 { return guarded(load<u32>(at(pivot), NEXT)) }

@inline function guarded(first: u32): u32 {
  let pivot = first
  while (pivot != 0 && !isStamped(load<u32>(at(pivot), GUARD))) pivot = load<u32>(at(pivot), NEXT)
  return pivot
}

// ---- selectors ----------------------------------------------------------------------------------------------

@inline export function atomCount(header: u32): u32 { return header & 0x7fffffff }
@inline export function isNegated(header: u32): bool { return header >>> 31 != 0 }

/**
 * Where in a selector's words the positive requirement stands on whose atoms the fewest selectors hang by now; of
 * those with at most `atoms` atoms, besides the one at `but`.
 */
export function leastUsed(sequence: u32, atoms: u32, but: u32): u32 {
  let best = NO_REQUIREMENT
  let least: u32 = 0xffffffff
  for (let i: u32 = 0; i < sequenceLength(sequence); i += 1 + atomCount(sequenceWord(sequence, i))) {
    const header = sequenceWord(sequence, i)
    if (isNegated(header) || atomCount(header) > atoms || i == but) continue
    const hung = hungOn(sequence, i)
    if (hung > least) continue
    best = i
    least = hung
  }
  return best
}

function hungOn(sequence: u32, requirement: u32): u32 {
  const count = atomCount(sequenceWord(sequence, requirement))
  let hung = count
  for (let i: u32 = 1; i <= count; i++) hung += get(counts, sequenceWord(sequence, requirement + i))
  return hung
}

export function hang(atom: u32, selector: u32, guard: u32): void {
  const pivot = take(pivots)
  put(at(pivot) + SELECTOR, selector)
  put(at(pivot) + GUARD, guard)
  put(at(pivot) + NEXT, get(atomPivots, atom))
  set(atomPivots, atom, pivot)
  set(counts, atom, get(counts, atom) + 1)
}

export function unhang(atom: u32, selector: u32): void {
  let previous: u32 = 0
  let pivot = get(atomPivots, atom)
  while (pivot != 0 && pivotSelector(pivot) != selector) {
    previous = pivot
    pivot = load<u32>(at(pivot), NEXT)
  }
  if (pivot == 0) return
  const next = load<u32>(at(pivot), NEXT)
  if (previous == 0) set(atomPivots, atom, next)
  else put(at(previous) + NEXT, next)
  set(counts, atom, get(counts, atom) - 1)
  give(pivots, pivot)
}
