// Peer classes: entries of the address table with the same signature (the peer terms that they match and the values
// that they give to port names which egress rules use) are the same to policy. While a transaction is under way
// several classes may have one signature; the first in the signature's chain is the one that stays.

import { column, get, set, Subject } from './memory'
import { clear, give, length, pool, push, take, truncate, used, vector, words } from './pools'
import { intern, release, retain, sequenceOwner, setSequenceOwner, Tag } from './sequences'
import { collectTerms } from './terms'
import { appendUsedPorts } from './ports'
import { DIRECTION_EGRESS } from './records.generated'
import { sortUnique } from './sort'

let classes: usize = 0
let scratch: usize = 0

export let classSignature: usize = 0 // sequence; 0: restored, what it matched is not known
export let classSize: usize = 0 // entries in it
export let classTwin: usize = 0 // next class of the same signature
export let classGeneration: usize = 0
export let classLives: usize = 0

export function initializeClasses(capacity: u32, termCapacity: u32): void {
  classes = pool(capacity, Subject.CLASSES)
  classSignature = column(capacity)
  classSize = column(capacity)
  classTwin = column(capacity)
  classGeneration = column(capacity)
  classLives = column(capacity)
  scratch = vector(termCapacity + 4096)
}

@inline export function classesUsed(): u32 { return used(classes) }

/** The signature of what has these selectors and named ports and matches the CIDRs last matched; one more reference. */
export function internSignature(selectorSet: u32, namedPorts: u32): u32 {
  clear(scratch)
  push(scratch, 0)
  collectTerms(selectorSet, scratch)
  const first = words(scratch) + 4
  const terms = sortUnique(first, length(scratch) - 1)
  truncate(scratch, 1 + terms)
  store<u32>(words(scratch), terms)
  appendUsedPorts(namedPorts, DIRECTION_EGRESS, scratch)
  return intern(Tag.SIGNATURE, words(scratch), length(scratch))
}

/** The first class of a signature, or 0. */
@inline export function classOf(signature: u32): u32 { return sequenceOwner(signature) }

/** A class number that is free, for a signature; behind the classes that have it already. */
export function createClass(signature: u32): u32 {
  const peerClass = take(classes)
  set(classSize, peerClass, 0)
  set(classLives, peerClass, 1)
  adoptSignature(peerClass, signature)
  return peerClass
}

/** Gives a class without a signature, or with another one, this signature. */
export function adoptSignature(peerClass: u32, signature: u32): void {
  retain(signature)
  abandonSignature(peerClass)
  set(classSignature, peerClass, signature)
  set(classTwin, peerClass, 0)
  const first = sequenceOwner(signature)
  if (first == 0) {
    setSequenceOwner(signature, peerClass)
    return
  }
  set(classTwin, peerClass, get(classTwin, first))
  set(classTwin, first, peerClass)
}

function abandonSignature(peerClass: u32): void {
  const signature = get(classSignature, peerClass)
  if (signature == 0) return
  const first = sequenceOwner(signature)
  if (first == peerClass) setSequenceOwner(signature, get(classTwin, peerClass))
  else unlinkTwin(first, peerClass)
  set(classSignature, peerClass, 0)
  set(classTwin, peerClass, 0)
  release(signature)
}

function unlinkTwin(first: u32, peerClass: u32): void {
  let current = first
  while (current != 0 && get(classTwin, current) != peerClass) current = get(classTwin, current)
  if (current != 0) set(classTwin, current, get(classTwin, peerClass))
}

export function destroyClass(peerClass: u32): void {
  abandonSignature(peerClass)
  set(classLives, peerClass, 0)
  give(classes, peerClass)
}

/** Makes `peerClass` the one of its signature that stays. */
export function preferClass(peerClass: u32): void {
  const signature = get(classSignature, peerClass)
  const first = sequenceOwner(signature)
  if (first == peerClass) return
  unlinkTwin(first, peerClass)
  set(classTwin, peerClass, first)
  setSequenceOwner(signature, peerClass)
}

/** Takes every number up to `last` for restored classes; `finishRestore` gives back those that nothing is in. */
export function restoreClasses(last: u32): void {
  while (used(classes) < last) {
    const peerClass = take(classes)
    if (peerClass == 0) return
    set(classSize, peerClass, 0)
    set(classLives, peerClass, 1)
  }
}
