// The second half of a commit: writes the journal. Its order is what makes a transaction atomic to packets:
//   1. the last subject number, rows, entries of fresh subjects and classes: nothing leads to them yet;
//   2. the address table, longer prefixes first, then the generations of the classes that entries left;
//   3. endpoints flip to their new subjects;
//   4. twins merge and entries that nobody wants go, shorter prefixes first, then generations again;
//   5. entries of dying subjects and of empty classes.

import { column, get, poke, set } from './memory'
import { clear, item, length, push, truncate, vector, words } from './pools'
import {
  classEntries, coveringEntry, dirtyEntries, entryClass, entryDropsAll, entryHome, entryMap, EntryMap, entryMove,
  entryNode, entryPlain, entryWanted, joinClass, Plain, quitClass, storeEntryKey, storePeer,
} from './addresses'
import {
  classGeneration, classLives, classOf, classSignature, classSize, classTwin, destroyClass, preferClass,
} from './classes'
import {
  deletedKeys, deleteEntriesOfClass, deleteEntriesOfSubject, freshEntries, storeEntryKey as storePolicyKey, storeSpan,
} from './entries'
import {
  dirtyEndpoints, endpointDiffers, endpointIfindex, endpointPublished, endpointRecord, endpointWanted,
} from './endpoints'
import { BpfMap, openRun, Operation, runKeys, runValues } from './journal'
import { freshClasses, moveFrom, moveTarget, NO_MOVE } from './moves'
import { nodeLength } from './prefixes'
import { ENDPOINT_SIZE, IP_ADDRESS_SIZE, PEER_SIZE, POLICY_KEY_SIZE, POLICY_ROW_SIZE, POLICY_SPAN_SIZE, PREFIX_KEY_SIZE } from './records.generated'
import { freshSpans, rowAt, spanFirst, spanRows } from './rows'
import { dyingSubjects, freshSubjects, lastSubjectNumber } from './subjects'

const PREFIX_LENGTHS: u32 = 129

let writes: usize = 0 // entries of the address table to write
let removals: usize = 0
let left: usize = 0 // classes that entries left since generations were last written
let leftFlags: usize = 0
let suspects: usize = 0 // classes that may be empty
let byLength: usize = 0 // entries of the prefix table, sorted
let lengthStarts: usize = 0
let shadowed: usize = 0

export function initializePublish(entryCapacity: u32, classCapacity: u32): void {
  writes = vector(entryCapacity * 2 + 1)
  removals = vector(entryCapacity + 1)
  left = vector(classCapacity)
  leftFlags = column(classCapacity)
  suspects = vector(classCapacity * 2)
  byLength = vector(entryCapacity * 2 + 1)
  shadowed = vector(entryCapacity)
  lengthStarts = column(PREFIX_LENGTHS + 1)
}

// ---- step 2a: entries enter their classes --------------------------------------------------------------------------

/** Moves entries to their classes and lists those whose record the datapath must get. */
export function settleEntries(): void {
  for (let i: u32 = 0; i < length(dirtyEntries); i++) settleEntry(item(dirtyEntries, i))
}

function settleEntry(entry: u32): void {
  const wanted = entryWanted(entry)
  const published = get(entryMap, entry) != EntryMap.NONE
  if (published && entryHome(entry) != get(entryMap, entry)) push(removals, entry)
  const move = get(entryMove, entry)
  const before = get(entryClass, entry)
  const target = move == NO_MOVE ? before : get(moveTarget, move)
  if (target != before) changeClass(entry, target)
  if (published && get(entryPlain, entry) == Plain.CLOSED) leaveClass(before)
  if (move != NO_MOVE && !published) takeAddresses(entry, get(moveFrom, move), target)
  if (!wanted && !published) {
    changeClass(entry, 0)
    return
  }
  const changed = !published || get(entryPlain, entry) != Plain.SAME || entryHome(entry) != get(entryMap, entry)
  if (target != before || (wanted && changed)) push(writes, entry)
}

/**
 * A new entry takes addresses from the one that covered it: flows there are decided again if they may have begun and
 * their class, or that anything gets through, changes.
 */
function takeAddresses(entry: u32, from: u32, target: u32): void {
  if (entryDropsAll(coveringEntry(entry, true))) return
  if (from != target || entryDropsAll(entry)) leaveClass(from)
}

function changeClass(entry: u32, target: u32): void {
  const before = get(entryClass, entry)
  if (before != 0) {
    set(classSize, before, get(classSize, before) - 1)
    leaveClass(before)
    quitClass(entry)
  }
  if (target == 0) return
  set(classSize, target, get(classSize, target) + 1)
  joinClass(entry, target)
}

/** An address leaves the class: flows that were decided by it are decided again. */
export function leaveClass(peerClass: u32): void {
  if (peerClass == 0 || get(leftFlags, peerClass) != 0) return
  poke(leftFlags, peerClass, 1)
  push(left, peerClass)
  push(suspects, peerClass)
}

// ---- steps 1 to 5 ---------------------------------------------------------------------------------------------------

export function publish(): void {
  publishLastSubject()
  publishRows()
  publishPolicy()
  publishEntries()
  publishGenerations()
  publishEndpoints()
  mergeTwins()
  publishEntries()
  removeEntries()
  publishGenerations()
  removeOldPolicy()
}

function publishLastSubject(): void {
  if (length(freshSubjects) == 0 || !openRun(BpfMap.LAST_SUBJECT, Operation.UPDATE, 1)) return
  store<u32>(runKeys, 0)
  store<u32>(runValues, lastSubjectNumber())
}

function publishRows(): void {
  let count: u32 = 0
  for (let i: u32 = 0; i < length(freshSpans); i++) count += get(spanRows, item(freshSpans, i))
  if (!openRun(BpfMap.POLICY_ROWS, Operation.UPDATE, count)) return
  let keys = runKeys
  let values = runValues
  for (let i: u32 = 0; i < length(freshSpans); i++) {
    const span = item(freshSpans, i)
    const rows = get(spanRows, span)
    memory.copy(values, rowAt(get(spanFirst, span)), <usize>rows * POLICY_ROW_SIZE)
    values += <usize>rows * POLICY_ROW_SIZE
    for (let row: u32 = 0; row < rows; row++, keys += 4) store<u32>(keys, get(spanFirst, span) + row)
  }
}

function publishPolicy(): void {
  if (!openRun(BpfMap.POLICY, Operation.UPDATE, length(freshEntries))) return
  for (let i: u32 = 0; i < length(freshEntries); i++) {
    storePolicyKey(item(freshEntries, i), runKeys + <usize>i * POLICY_KEY_SIZE)
    storeSpan(item(freshEntries, i), runValues + <usize>i * POLICY_SPAN_SIZE)
  }
}

// ---- the address table ----------------------------------------------------------------------------------------------

/** Writes the listed entries to the map where they belong, and to the one where they still are. */
function publishEntries(): void {
  publishExact()
  publishPrefixes()
  for (let i: u32 = 0; i < length(writes); i++) {
    const entry = item(writes, i)
    if (get(entryMap, entry) == EntryMap.NONE) set(entryMap, entry, entryHome(entry))
  }
  clear(writes)
}

@inline function livesIn(entry: u32, map: u32): bool { return get(entryMap, entry) == map || entryHome(entry) == map }

function publishExact(): void {
  let count: u32 = 0
  for (let i: u32 = 0; i < length(writes); i++) if (livesIn(item(writes, i), EntryMap.ADDRESSES)) count++
  if (!openRun(BpfMap.ADDRESSES, Operation.UPDATE, count)) return
  let at: usize = 0
  for (let i: u32 = 0; i < length(writes); i++) {
    if (!livesIn(item(writes, i), EntryMap.ADDRESSES)) continue
    storeEntryKey(item(writes, i), EntryMap.ADDRESSES, runKeys + at * IP_ADDRESS_SIZE)
    storePeer(item(writes, i), runValues + at * PEER_SIZE)
    at++
  }
}

function publishPrefixes(): void {
  sortByLength(writes, EntryMap.PREFIXES)
  const count = length(byLength)
  if (!openRun(BpfMap.PREFIXES, Operation.UPDATE, count)) return
  for (let i: u32 = 0; i < count; i++) {
    const entry = item(byLength, count - 1 - i)
    storeEntryKey(entry, EntryMap.PREFIXES, runKeys + <usize>i * PREFIX_KEY_SIZE)
    storePeer(entry, runValues + <usize>i * PEER_SIZE)
  }
}

/** Counting sort of the list's entries that live in the map, shorter prefixes first. */
function sortByLength(list: usize, map: u32): void {
  memory.fill(lengthStarts, 0, (<usize>PREFIX_LENGTHS + 1) << 2)
  clear(byLength)
  for (let i: u32 = 0; i < length(list); i++) {
    if (!livesIn(item(list, i), map)) continue
    const slot = lengthStarts + (<usize>(get(nodeLength, get(entryNode, item(list, i))) + 1) << 2)
    store<u32>(slot, load<u32>(slot) + 1)
    push(byLength, 0)
  }
  for (let bits: u32 = 1; bits <= PREFIX_LENGTHS; bits++) {
    const slot = lengthStarts + (<usize>bits << 2)
    store<u32>(slot, load<u32>(slot) + load<u32>(slot - 4))
  }
  for (let i: u32 = 0; i < length(list); i++) {
    if (!livesIn(item(list, i), map)) continue
    const slot = lengthStarts + (<usize>get(nodeLength, get(entryNode, item(list, i))) << 2)
    poke(words(byLength), load<u32>(slot), item(list, i))
    store<u32>(slot, load<u32>(slot) + 1)
  }
}

/** Deletes from the map where an entry was what nobody wants there any more. */
function removeEntries(): void {
  removeFrom(BpfMap.PREFIXES, EntryMap.PREFIXES, PREFIX_KEY_SIZE)
  removeFrom(BpfMap.ADDRESSES, EntryMap.ADDRESSES, IP_ADDRESS_SIZE)
  for (let i: u32 = 0; i < length(removals); i++) {
    const entry = item(removals, i)
    set(entryMap, entry, entryHome(entry))
    if (!entryWanted(entry)) changeClass(entry, 0)
  }
  clear(removals)
}

function removeFrom(map: u32, entryMapValue: u32, keyBytes: usize): void {
  sortRemovals(entryMapValue)
  if (entryMapValue == EntryMap.PREFIXES) appendShadowed()
  if (!openRun(map, Operation.DELETE, length(byLength))) return
  for (let i: u32 = 0; i < length(byLength); i++) storeEntryKey(item(byLength, i), entryMapValue, runKeys + <usize>i * keyBytes)
}

function sortRemovals(map: u32): void {
  sortByLength(removals, map)
  let kept: u32 = 0
  for (let i: u32 = 0; i < length(byLength); i++) {
    if (get(entryMap, item(byLength, i)) != map) continue
    poke(words(byLength), kept++, item(byLength, i))
  }
  truncate(byLength, kept)
}

/**
 * A pinned prefix that an exact address shadows: a move between the maps was cut off. It goes, unless it was just
 * written, and what remains to be deleted is the exact address.
 */
export function noteShadowedPrefix(entry: u32): void { push(shadowed, entry) }

function appendShadowed(): void {
  for (let i: u32 = 0; i < length(shadowed); i++) if (entryHome(item(shadowed, i)) != EntryMap.PREFIXES) push(byLength, item(shadowed, i))
  clear(shadowed)
}

function publishGenerations(): void {
  const count = length(left)
  const open = openRun(BpfMap.CLASS_GENERATIONS, Operation.UPDATE, count)
  for (let i: u32 = 0; i < count; i++) {
    const peerClass = item(left, i)
    set(classGeneration, peerClass, get(classGeneration, peerClass) + 1)
    poke(leftFlags, peerClass, 0)
    if (!open) continue
    poke(runKeys, i, peerClass)
    poke(runValues, i, get(classGeneration, peerClass))
  }
  clear(left)
}

// ---- endpoints ------------------------------------------------------------------------------------------------------

function publishEndpoints(): void {
  publishEndpointRun(Operation.UPDATE, 1)
  publishEndpointRun(Operation.DELETE, 0)
  for (let i: u32 = 0; i < length(dirtyEndpoints); i++) {
    const endpoint = item(dirtyEndpoints, i)
    set(endpointPublished, endpoint, get(endpointWanted, endpoint))
  }
}

@inline function isInRun(endpoint: u32, wanted: u32): bool {
  if (get(endpointWanted, endpoint) != wanted) return false
  return wanted != 0 ? endpointDiffers(endpoint) : get(endpointPublished, endpoint) != 0
}

function publishEndpointRun(operation: u32, wanted: u32): void {
  let count: u32 = 0
  for (let i: u32 = 0; i < length(dirtyEndpoints); i++) if (isInRun(item(dirtyEndpoints, i), wanted)) count++
  if (!openRun(BpfMap.ENDPOINTS, operation, count)) return
  let at: usize = 0
  for (let i: u32 = 0; i < length(dirtyEndpoints); i++) {
    const endpoint = item(dirtyEndpoints, i)
    if (!isInRun(endpoint, wanted)) continue
    store<u32>(runKeys + (at << 2), get(endpointIfindex, endpoint))
    if (wanted != 0) memory.copy(runValues + at * ENDPOINT_SIZE, endpointRecord(endpoint), ENDPOINT_SIZE)
    at++
  }
}

// ---- merging and clearing away ----------------------------------------------------------------------------------------

/** Classes that are the same now that no dying subject tells them apart become one: the largest stays. */
function mergeTwins(): void {
  for (let i: u32 = 0; i < length(freshClasses); i++) {
    const signature = get(classSignature, item(freshClasses, i))
    if (get(classTwin, classOf(signature)) != 0) mergeClasses(signature)
  }
}

function mergeClasses(signature: u32): void {
  let largest = classOf(signature)
  for (let c = largest; c != 0; c = get(classTwin, c)) if (get(classSize, c) > get(classSize, largest)) largest = c
  preferClass(largest)
  for (let c = get(classTwin, largest); c != 0; c = get(classTwin, c)) {
    while (get(classEntries, c) != 0) {
      const entry = get(classEntries, c)
      changeClass(entry, largest)
      if (entryWanted(entry)) push(writes, entry)
    }
  }
}

function removeOldPolicy(): void {
  for (let i: u32 = 0; i < length(dyingSubjects); i++) deleteEntriesOfSubject(item(dyingSubjects, i))
  for (let i: u32 = 0; i < length(freshClasses); i++) push(suspects, item(freshClasses, i))
  for (let i: u32 = 0; i < length(suspects); i++) {
    const peerClass = item(suspects, i)
    if (get(classSize, peerClass) != 0 || get(classLives, peerClass) == 0) continue
    deleteEntriesOfClass(peerClass)
    destroyClass(peerClass)
  }
  const count = length(deletedKeys) / 2
  if (openRun(BpfMap.POLICY, Operation.DELETE, count)) memory.copy(runKeys, words(deletedKeys), <usize>count * POLICY_KEY_SIZE)
}

export function clearPublishScratch(): void {
  for (let i: u32 = 0; i < length(left); i++) poke(leftFlags, item(left, i), 0)
  clear(writes)
  clear(removals)
  clear(left)
  clear(suspects)
}
