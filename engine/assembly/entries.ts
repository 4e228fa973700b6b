// The mirror of the `policy` map: (subject, class, direction) -> span. Entries hang on both their subject and their
// class, for each is deleted as a whole.

import { column, get, set, Subject } from './memory'
import { bucketCount, clear, give, pool, push, take, vector } from './pools'
import {
  POLICY_KEY_PEER_CLASS_DIRECTION_OFFSET, POLICY_KEY_SUBJECT_OFFSET, POLICY_SPAN_FIRST_ROW_OFFSET, POLICY_SPAN_ROWS_OFFSET,
} from './records.generated'
import { releaseSpan, spanFirst, spanRows } from './rows'
import { subjectEntries, subjectNumber } from './subjects'

let entries: usize = 0
let buckets: usize = 0
let bucketMask: u32 = 0
let nexts: usize = 0
let nextOfSubject: usize = 0
let previousOfSubject: usize = 0
let nextOfClass: usize = 0
let previousOfClass: usize = 0
let entrySubject: usize = 0
let entryKey: usize = 0 // class << 1 | direction
let entrySpan: usize = 0

export let classPolicy: usize = 0 // first entry of a class
export let freshEntries: usize = 0
/** Keys (subject number, class << 1 | direction) of entries deleted in this transaction, two words each. */
export let deletedKeys: usize = 0
export let liveEntries: usize = 0

export function initializeEntries(capacity: u32, classes: u32): void {
  entries = pool(capacity, Subject.POLICY_ENTRIES)
  bucketMask = bucketCount(capacity) - 1
  buckets = column(bucketMask + 1)
  nexts = column(capacity)
  nextOfSubject = column(capacity)
  previousOfSubject = column(capacity)
  nextOfClass = column(capacity)
  previousOfClass = column(capacity)
  entrySubject = column(capacity)
  entryKey = column(capacity)
  entrySpan = column(capacity)
  classPolicy = column(classes)
  liveEntries = column(1)
  freshEntries = vector(capacity)
  deletedKeys = vector(capacity * 2)
}

/** Keys are dense: those of a subject stand side by side. */
@inline function bucketOf(subject: u32, key: u32): u32 { return (subject * 0x9e3779b1 >>> 8) + key & bucketMask }

function find(subject: u32, key: u32): u32 {
  let entry = get(buckets, bucketOf(subject, key))
  while (entry != 0 && (get(entrySubject, entry) != subject || get(entryKey, entry) != key)) entry = get(nexts, entry)
  return entry
}

/** The span of (subject's record, class, direction), or 0. */
export function spanOf(subject: u32, peerClass: u32, direction: u32): u32 {
  return get(entrySpan, find(subject, peerClass << 1 | direction))
}

/** Adds an entry; takes over the caller's reference on the span. No span, no entry: a missing row decides nothing. */
export function addEntry(subject: u32, peerClass: u32, direction: u32, span: u32): void {
  const entry = span == 0 ? 0 : restoreEntry(subject, peerClass, direction, span)
  if (entry != 0) push(freshEntries, entry)
}

/** An entry that the datapath has already. */
export function restoreEntry(subject: u32, peerClass: u32, direction: u32, span: u32): u32 {
  const entry = take(entries)
  const key = peerClass << 1 | direction
  set(entrySubject, entry, subject)
  set(entryKey, entry, key)
  set(entrySpan, entry, span)
  set(nexts, entry, get(buckets, bucketOf(subject, key)))
  set(buckets, bucketOf(subject, key), entry)
  linkFirst(entry, subjectEntries, subject, nextOfSubject, previousOfSubject)
  linkFirst(entry, classPolicy, peerClass, nextOfClass, previousOfClass)
  set(liveEntries, 1, get(liveEntries, 1) + 1)
  return entry
}

function linkFirst(entry: u32, heads: usize, owner: u32, next: usize, previous: usize): void {
  const first = get(heads, owner)
  set(next, entry, first)
  set(previous, entry, 0)
  if (first != 0) set(previous, first, entry)
  set(heads, owner, entry)
}

function unlink(entry: u32, heads: usize, owner: u32, next: usize, previous: usize): void {
  const before = get(previous, entry)
  const after = get(next, entry)
  if (before == 0) set(heads, owner, after)
  else set(next, before, after)
  if (after != 0) set(previous, after, before)
}

function deleteEntry(entry: u32): void {
  const subject = get(entrySubject, entry)
  const key = get(entryKey, entry)
  push(deletedKeys, get(subjectNumber, subject))
  push(deletedKeys, key)
  unlink(entry, subjectEntries, subject, nextOfSubject, previousOfSubject)
  unlink(entry, classPolicy, key >>> 1, nextOfClass, previousOfClass)
  unhash(entry, bucketOf(subject, key))
  releaseSpan(get(entrySpan, entry))
  set(entrySpan, entry, 0)
  set(liveEntries, 1, get(liveEntries, 1) - 1)
  give(entries, entry)
}

function unhash(entry: u32, bucket: u32): void {
  let previous: u32 = 0
  let current = get(buckets, bucket)
  while (current != entry && current != 0) {
    previous = current
    current = get(nexts, current)
  }
  if (previous == 0) set(buckets, bucket, get(nexts, entry))
  else set(nexts, previous, get(nexts, entry))
}

export function deleteEntriesOfSubject(subject: u32): void {
  while (get(subjectEntries, subject) != 0) deleteEntry(get(subjectEntries, subject))
}

export function deleteEntriesOfClass(peerClass: u32): void {
  while (get(classPolicy, peerClass) != 0) deleteEntry(get(classPolicy, peerClass))
}

/** Writes struct policy_key. */
export function storeEntryKey(entry: u32, out: usize): void {
  store<u32>(out + POLICY_KEY_SUBJECT_OFFSET, get(subjectNumber, get(entrySubject, entry)))
  store<u32>(out + POLICY_KEY_PEER_CLASS_DIRECTION_OFFSET, get(entryKey, entry))
}

/** Writes struct policy_span. */
export function storeSpan(entry: u32, out: usize): void {
  store<u32>(out + POLICY_SPAN_FIRST_ROW_OFFSET, get(spanFirst, get(entrySpan, entry)))
  store<u32>(out + POLICY_SPAN_ROWS_OFFSET, get(spanRows, get(entrySpan, entry)))
}

export function clearEntryScratch(): void {
  clear(freshEntries)
  clear(deletedKeys)
}
