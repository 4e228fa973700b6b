// Takeover of a running datapath. The pinned maps are the old world: their entries, endpoints, classes, subjects and
// rows are restored under their numbers, and nothing is written until every source has listed. Then one commit leads
// from the old world to the new one by the rules that every transaction follows: all old subjects are dying, all
// endpoints flip, what nobody claimed goes.

import { column, fail, Failure, get, set, Subject } from './memory'
import {
  ensureEntry, entryFlags, entryIfindex, entryMap, EntryMap, joinClass, markEntry, restoreIdentity,
} from './addresses'
import { classesUsed, classGeneration, classLives, classSize, restoreClasses } from './classes'
import { restoreEndpoint } from './endpoints'
import { restoreEntry } from './entries'
import { insertNode } from './prefixes'
import { leaveClass, noteShadowedPrefix } from './publish'
import { ENDPOINT_SIZE, ENDPOINT_SUBJECT_OFFSET } from './records.generated'
import { restoreSpan } from './rows'
import { markDying, restoreSubject, subjectNumber, subjectsUsed, useSubject } from './subjects'
import { nextWord, nextWords } from './input'

const BUCKETS: u32 = 4096

let buckets: usize = 0
let nexts: usize = 0

export function initializeTakeover(subjectCapacity: u32): void {
  buckets = column(BUCKETS)
  nexts = column(subjectCapacity)
}

function subjectOf(number: u32): u32 {
  if (number == 0) return 0
  const bucket = number * 0x9e3779b1 >>> 20
  let subject = get(buckets, bucket)
  while (subject != 0 && get(subjectNumber, subject) != number) subject = get(nexts, subject)
  if (subject != 0) return subject
  subject = restoreSubject(number)
  set(nexts, subject, get(buckets, bucket))
  set(buckets, bucket, subject)
  return subject
}

/** From the input: count, then (class, generation) pairs. */
export function restoreGenerations(): void {
  for (let left = nextWord(); left > 0; left--) {
    const peerClass = nextWord()
    const generation = nextWord()
    restoreClasses(peerClass)
    set(classGeneration, peerClass, generation)
  }
}

/** From the input: count, then struct policy_key and struct policy_span of each entry. */
export function restorePolicy(): void {
  for (let left = nextWord(); left > 0; left--) {
    const subject = subjectOf(nextWord())
    const key = nextWord()
    const first = nextWord()
    restoreClasses(key >>> 1)
    const span = restoreSpan(first, nextWord())
    if (span == 0) fail(Failure.INVALID, Subject.POLICY_ROWS)
    else restoreEntry(subject, key >>> 1, key & 1, span)
  }
}

/** From the input: count, then prefix length, address and struct peer of each entry of one of the two maps. */
export function restoreAddresses(map: u32): void {
  for (let left = nextWord(); left > 0; left--) {
    const bits = nextWord()
    const address = nextWords(4)
    const identity = nextWord()
    const peerClass = nextWord()
    const ifindex = nextWord()
    restoreAddress(map, ensureEntry(insertNode(address, bits)), identity, peerClass, ifindex, nextWord())
  }
}

function restoreAddress(map: u32, entry: u32, identity: u32, peerClass: u32, ifindex: u32, flags: u32): void {
  restoreClasses(peerClass)
  if (get(entryMap, entry) == EntryMap.ADDRESSES) { // restored before: the exact entry answers first
    noteShadowedPrefix(entry)
    return
  }
  set(entryMap, entry, map)
  restoreIdentity(entry, identity)
  set(entryFlags, entry, flags)
  set(entryIfindex, entry, ifindex)
  if (peerClass != 0) {
    joinClass(entry, peerClass)
    set(classSize, peerClass, get(classSize, peerClass) + 1)
  }
  markEntry(entry)
}

/** From the input: count, then ifindex and struct endpoint of each. */
export function restoreEndpoints(): void {
  for (let left = nextWord(); left > 0; left--) {
    const ifindex = nextWord()
    const record = nextWords(<u32>(ENDPOINT_SIZE / 4))
    const subject = subjectOf(load<u32>(record + ENDPOINT_SUBJECT_OFFSET))
    if (subject != 0) useSubject(subject)
    restoreEndpoint(ifindex, record, subject)
  }
}

/** Before the commit that ends a takeover: subjects that no endpoint has die too, and every old class's flows are decided again. */
export function finishRestore(): void {
  for (let subject: u32 = 1; subject <= subjectsUsed(); subject++) markDying(subject)
  for (let peerClass: u32 = 1; peerClass <= classesUsed(); peerClass++) if (get(classLives, peerClass) != 0) leaveClass(peerClass)
  memory.fill(buckets, 0, (<usize>BUCKETS + 1) << 2)
}
