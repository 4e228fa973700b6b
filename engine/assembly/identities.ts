// Identities: a number, its labels, and the set of selectors that it matches.

import { column, get, poke, set, Subject } from './memory'
import { bucketCount, clear, give, item, length, pool, push, take, truncate, used, vector, words } from './pools'
import { internLabel, releaseAtom } from './labels'
import { release } from './sequences'
import { sort } from './sort'
import { nextText } from './input'
import { hasLabels, setLabels, takeLabel } from './postings'

export const MAX_LABELS: u32 = 4096
const NO_NUMBER: u32 = 0xffffffff // of a free record; identity numbers have 24 bits

let identities: usize = 0
let buckets: usize = 0
let bucketMask: u32 = 0
let nexts: usize = 0
let numbers: usize = 0
let declared: usize = 0 // 1: the host set it; 0: only an entry or endpoint speaks of it, it has no labels
let users: usize = 0 // entries and endpoints of this identity
let dirtyFlags: usize = 0
let scratch: usize = 0

export let identitySelectors: usize = 0 // a sequence of SELECTORS, sorted
export let identityEntries: usize = 0 // first address-table entry
export let identityEndpoints: usize = 0 // first endpoint
export let dirtyIdentities: usize = 0

export function initializeIdentities(capacity: u32): void {
  identities = pool(capacity, Subject.IDENTITIES)
  bucketMask = bucketCount(capacity) - 1
  buckets = column(bucketMask + 1)
  nexts = column(capacity)
  numbers = column(capacity)
  declared = column(capacity)
  users = column(capacity)
  dirtyFlags = column(capacity)
  identitySelectors = column(capacity)
  identityEntries = column(capacity)
  identityEndpoints = column(capacity)
  dirtyIdentities = vector(capacity + 1)
  scratch = vector(MAX_LABELS)
}

@inline export function identityNumber(identity: u32): u32 { return get(numbers, identity) }
@inline export function identitiesUsed(): u32 { return used(identities) }

/** Numbers are dense, mostly: neighbours stand in neighbouring buckets. */
function bucketOf(number: u32): u32 { return (number ^ number >>> 17) & bucketMask }

/** The identity of a number, made without labels where it is not known yet. */
export function identityOf(number: u32): u32 {
  let identity = get(buckets, bucketOf(number))
  while (identity != 0 && get(numbers, identity) != number) identity = get(nexts, identity)
  if (identity != 0) return identity
  identity = take(identities)
  set(numbers, identity, number)
  set(nexts, identity, get(buckets, bucketOf(number)))
  set(buckets, bucketOf(number), identity)
  markIdentity(identity)
  return identity
}

export function markIdentity(identity: u32): void {
  if (get(dirtyFlags, identity) != 0) return
  set(dirtyFlags, identity, 1)
  push(dirtyIdentities, identity)
}

@inline export function isMarked(identity: u32): bool { return get(dirtyFlags, identity) != 0 }
export function unmarkIdentity(identity: u32): void { set(dirtyFlags, identity, 0) }

export function useIdentity(identity: u32): void { set(users, identity, get(users, identity) + 1) }
export function leaveIdentity(identity: u32): void {
  set(users, identity, get(users, identity) - 1)
  markIdentity(identity)
}

/** The labels of an identity, from the input: `count` texts `source:key=value`. */
export function setIdentity(number: u32, count: u32): void {
  const identity = identityOf(number)
  set(declared, identity, 1)
  clear(scratch)
  for (let i: u32 = 0; i < count; i++) push(scratch, internLabel(nextText()))
  releaseDuplicates()
  replaceLabels(identity)
}

export function removeIdentity(number: u32): void {
  const identity = identityOf(number)
  set(declared, identity, 0)
  clear(scratch)
  replaceLabels(identity)
  markIdentity(identity)
}

/** Sorts the labels that were read; of equal ones one stays, the others' references go. */
function releaseDuplicates(): void {
  sort(words(scratch), length(scratch))
  let kept: u32 = 0
  for (let i: u32 = 0; i < length(scratch); i++) {
    const label = item(scratch, i)
    if (kept > 0 && label == item(scratch, kept - 1)) releaseAtom(label)
    else poke(words(scratch), kept++, label)
  }
  truncate(scratch, kept)
}

/** By those that were read, each with a reference, which the identity's postings keep. */
function replaceLabels(identity: u32): void {
  if (hasLabels(identity, scratch)) {
    for (let i: u32 = 0; i < length(scratch); i++) releaseAtom(item(scratch, i))
    return
  }
  for (let label = takeLabel(identity); label != 0; label = takeLabel(identity)) releaseAtom(label)
  setLabels(identity, scratch)
  markIdentity(identity)
}

/** A record that nobody needs any more goes; the caller has cleared its selectors. */
export function collectIdentity(identity: u32): void {
  if (get(declared, identity) != 0 || get(users, identity) != 0 || get(numbers, identity) == NO_NUMBER) return
  unlink(identity)
  release(get(identitySelectors, identity))
  set(identitySelectors, identity, 0)
  set(numbers, identity, NO_NUMBER)
  give(identities, identity)
}

function unlink(identity: u32): void {
  const bucket = bucketOf(get(numbers, identity))
  let previous: u32 = 0
  let current = get(buckets, bucket)
  while (current != identity && current != 0) {
    previous = current
    current = get(nexts, current)
  }
  if (previous == 0) set(buckets, bucket, get(nexts, identity))
  else set(nexts, previous, get(nexts, identity))
}

/** Whether a record number stands for an identity now. */
@inline export function identityLives(identity: u32): bool { return get(numbers, identity) != NO_NUMBER }
