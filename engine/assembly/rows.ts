// Spans of policy rows, interned by content and counted, in a mirror of the `policy_rows` array. Room is given out
// by a buddy allocator, so that restored spans can be carved out of it again. A span that loses its last reference
// in one transaction is reused in the next one at the earliest: the journal has deleted the entries that led to it
// by then.

import { column, fail, Failure, get, put, reserve, set, Subject } from './memory'
import { enterTable, firstInChain, hashTable, leaveTable } from './hashing'
import { clear, give, pool, push, take, vector } from './pools'
import { POLICY_ROW_SIZE } from './records.generated'
import { hashWords } from './sequences'

const ROW_WORDS: u32 = <u32>(POLICY_ROW_SIZE / 4)
const ORDERS: u32 = 32
const NO_ROW: u32 = 0xffffffff

// Buddy allocator: heads of the free lists by order, and of each free block its order + 1 and its neighbours + 1.
let capacity: u32 = 0
let freeHeads: usize = 0
let freeOrder: usize = 0
let freeNext: usize = 0
let freePrevious: usize = 0

let spans: usize = 0
let table: usize = 0
let nexts: usize = 0
let hashes: usize = 0
let referenceCounts: usize = 0
let limboNext: usize = 0
let limboHead: usize = 0 // address of the word
let rowsInUse: usize = 0 // address of the word

export let rowArena: usize = 0
export let spanFirst: usize = 0
export let spanRows: usize = 0
export let freshSpans: usize = 0

export function initializeRows(rowCapacity: u32, spanCapacity: u32): void {
  capacity = rowCapacity
  freeHeads = column(ORDERS)
  freeOrder = column(rowCapacity)
  freeNext = column(rowCapacity)
  freePrevious = column(rowCapacity)
  rowArena = reserve(<usize>rowCapacity * POLICY_ROW_SIZE)
  spans = pool(spanCapacity, Subject.POLICY_ENTRIES)
  nexts = column(spanCapacity)
  hashes = column(spanCapacity)
  table = hashTable(spanCapacity, hashes, nexts, 4)
  referenceCounts = column(spanCapacity)
  limboNext = column(spanCapacity)
  spanFirst = column(spanCapacity)
  spanRows = column(spanCapacity)
  freshSpans = vector(spanCapacity)
  limboHead = reserve(4)
  rowsInUse = reserve(4)
  addFreeBlocks()
}

@inline export function rowsUsed(): u32 { return load<u32>(rowsInUse) }
@inline export function rowAt(index: u32): usize { return rowArena + <usize>index * POLICY_ROW_SIZE }

/** Splits the whole array into the largest aligned blocks. */
function addFreeBlocks(): void {
  let first: u32 = 0
  for (let order: i32 = 31; order >= 0; order--) {
    if ((capacity >>> order & 1) == 0) continue
    linkFree(first, order)
    first += 1 << order
  }
}

function linkFree(first: u32, order: u32): void {
  const head = get(freeHeads, order)
  set(freeOrder, first, order + 1)
  set(freeNext, first, head)
  set(freePrevious, first, 0)
  if (head != 0) set(freePrevious, head - 1, first + 1)
  set(freeHeads, order, first + 1)
}

function unlinkFree(first: u32, order: u32): void {
  const before = get(freePrevious, first)
  const after = get(freeNext, first)
  if (before == 0) set(freeHeads, order, after)
  else set(freeNext, before - 1, after)
  if (after != 0) set(freePrevious, after - 1, before)
  set(freeOrder, first, 0)
}

@inline function orderOf(rows: u32): u32 { return rows <= 1 ? 0 : 32 - <u32>clz<u32>(rows - 1) }

function takeRows(rows: u32): u32 {
  const wanted = orderOf(rows)
  let order = wanted
  while (order < ORDERS && get(freeHeads, order) == 0) order++
  if (order == ORDERS) {
    fail(Failure.CAPACITY, Subject.POLICY_ROWS)
    return NO_ROW
  }
  const first = get(freeHeads, order) - 1
  unlinkFree(first, order)
  while (order > wanted) linkFree(first + (1 << --order), order)
  put(rowsInUse, load<u32>(rowsInUse) + rows)
  return first
}

function giveRows(first: u32, rows: u32): void {
  put(rowsInUse, load<u32>(rowsInUse) - rows)
  let order = orderOf(rows)
  let block = first
  for (;;) {
    const buddy = block ^ (1 << order)
    if (order >= ORDERS - 1 || buddy + (1 << order) > capacity || get(freeOrder, buddy) != order + 1) break
    unlinkFree(buddy, order)
    block = min(block, buddy)
    order++
  }
  linkFree(block, order)
}

/** Takes exactly these rows, which a pinned map holds, out of the free blocks. */
function carveRows(first: u32, rows: u32): bool {
  const wanted = orderOf(rows)
  if (first + rows > capacity || (first & ((1 << wanted) - 1)) != 0) return false
  let order = wanted
  let block = first
  while (order < ORDERS - 1 && get(freeOrder, block) != order + 1) block = first & ~((1 << ++order) - 1)
  if (get(freeOrder, block) != order + 1) return false
  unlinkFree(block, order)
  while (order > wanted) {
    order--
    const upper = block + (1 << order)
    if (first >= upper) {
      linkFree(block, order)
      block = upper
    } else linkFree(upper, order)
  }
  put(rowsInUse, load<u32>(rowsInUse) + rows)
  return true
}

/** The span of these rows, with one more reference; 0 for no rows. */
export function internSpan(rows: usize, count: u32): u32 {
  if (count == 0) return 0
  const hash = hashWords(1, rows, count * ROW_WORDS) | 1
  let span = firstInChain(table, hash)
  for (; span != 0; span = get(nexts, span)) {
    if (get(hashes, span) == hash && get(spanRows, span) == count
      && memory.compare(rowAt(get(spanFirst, span)), rows, <usize>count * POLICY_ROW_SIZE) == 0) break
  }
  if (span == 0) return createSpan(rows, count, hash)
  retainSpan(span)
  return span
}

function createSpan(rows: usize, count: u32, hash: u32): u32 {
  const first = takeRows(count)
  if (first == NO_ROW) return 0
  memory.copy(rowAt(first), rows, <usize>count * POLICY_ROW_SIZE) // free rows hold nothing that a rollback would miss
  const span = addSpan(first, count, hash)
  push(freshSpans, span)
  return span
}

function addSpan(first: u32, rows: u32, hash: u32): u32 {
  const span = take(spans)
  set(spanFirst, span, first)
  set(spanRows, span, rows)
  set(referenceCounts, span, 1)
  enterTable(table, span, hash)
  return span
}

/** A span of a pinned map: its rows are taken, their content is not known and never shared. 0: it cannot stand there. */
export function restoreSpan(first: u32, rows: u32): u32 {
  const hash = first << 1 // content hashes are odd
  let span = firstInChain(table, hash)
  while (span != 0 && (get(hashes, span) != hash || get(spanFirst, span) != first)) span = get(nexts, span)
  if (span != 0) {
    retainSpan(span)
    return get(spanRows, span) == rows ? span : 0
  }
  return carveRows(first, rows) ? addSpan(first, rows, hash) : 0
}

@inline export function retainSpan(span: u32): void { if (span != 0) set(referenceCounts, span, get(referenceCounts, span) + 1) }

export function releaseSpan(span: u32): void {
  if (span == 0) return
  set(referenceCounts, span, get(referenceCounts, span) - 1)
  if (get(referenceCounts, span) != 0) return
  leaveTable(table, span)
  set(limboNext, span, load<u32>(limboHead))
  put(limboHead, span)
}

/** At the start of a transaction: what the one before released may be used again. */
export function reclaimRows(): void {
  while (load<u32>(limboHead) != 0) {
    const span = load<u32>(limboHead)
    put(limboHead, get(limboNext, span))
    giveRows(get(spanFirst, span), get(spanRows, span))
    give(spans, span)
  }
}

export function clearRowScratch(): void { clear(freshSpans) }
