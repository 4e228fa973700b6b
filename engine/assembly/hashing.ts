// Hash tables over records that keep their own hash and the next record of their chain. Linear hashing (Litwin, VLDB
// 1980): with every record that comes one more bucket is split in two, so that few records stand in few pages of memory.
// Buckets below `split` and their images have twice the mask of the others.

import { column, get, put, reserve, set } from './memory'
import { bucketCount } from './pools'

const FIRST_BUCKETS: u32 = 1024

// A table's header: mask and the next bucket to split, then what never changes.
const MASK: usize = 0
const SPLIT: usize = 4
const LIMIT: usize = 8
const BUCKETS: usize = 12
const HASHES: usize = 16 // address of record 0's hash
const NEXTS: usize = 20 // address of record 0's next
const STRIDE: usize = 24 // bytes from one record to the next
const HEADER_BYTES: usize = 28

export function hashTable(capacity: u32, hashes: usize, nexts: usize, stride: usize): usize {
  const table = reserve(HEADER_BYTES)
  const limit = bucketCount(capacity)
  store<u32>(table, min(FIRST_BUCKETS, limit) - 1, MASK)
  store<u32>(table, limit, LIMIT)
  store<u32>(table, <u32>column(limit), BUCKETS)
  store<u32>(table, <u32>hashes, HASHES)
  store<u32>(table, <u32>nexts, NEXTS)
  store<u32>(table, <u32>stride, STRIDE)
  return table
}

@inline function bucketOf(table: usize, hash: u32): u32 {
  const mask = load<u32>(table, MASK)
  const bucket = hash & mask
  return bucket < load<u32>(table, SPLIT) ? hash & (mask << 1 | 1) : bucket
}

@inline function hashAt(table: usize, record: u32): usize { return <usize>(load<u32>(table, HASHES) + record * load<u32>(table, STRIDE)) }
@inline function nextAt(table: usize, record: u32): usize { return <usize>(load<u32>(table, NEXTS) + record * load<u32>(table, STRIDE)) }

/** The first record that may have the hash; the others follow by their own next. */
@inline export function firstInChain(table: usize, hash: u32): u32 { return get(load<u32>(table, BUCKETS), bucketOf(table, hash)) }

/** Enters a record that is in no chain. */
export function enterTable(table: usize, record: u32, hash: u32): void {
  splitBucket(table)
  const bucket = bucketOf(table, hash)
  put(hashAt(table, record), hash)
  put(nextAt(table, record), get(load<u32>(table, BUCKETS), bucket))
  set(load<u32>(table, BUCKETS), bucket, record)
}

export function leaveTable(table: usize, record: u32): void {
  const bucket = bucketOf(table, load<u32>(hashAt(table, record)))
  let previous: u32 = 0
  let current = get(load<u32>(table, BUCKETS), bucket)
  while (current != record && current != 0) {
    previous = current
    current = load<u32>(nextAt(table, current))
  }
  const next = load<u32>(nextAt(table, record))
  if (previous == 0) set(load<u32>(table, BUCKETS), bucket, next)
  else put(nextAt(table, previous), next)
}

/** Leaves in the bucket what belongs there under the larger mask, and moves the rest to its image. */
function splitBucket(table: usize): void {
  const mask = load<u32>(table, MASK)
  if (mask + 1 == load<u32>(table, LIMIT)) return
  const bucket = load<u32>(table, SPLIT)
  const buckets = load<u32>(table, BUCKETS)
  let record = get(buckets, bucket)
  let stays: u32 = 0
  let moves: u32 = 0
  while (record != 0) {
    const next = load<u32>(nextAt(table, record))
    const moved = (load<u32>(hashAt(table, record)) & (mask + 1)) != 0
    put(nextAt(table, record), moved ? moves : stays)
    if (moved) moves = record
    else stays = record
    record = next
  }
  set(buckets, bucket, stays)
  set(buckets, bucket + mask + 1, moves)
  put(table + SPLIT, bucket == mask ? 0 : bucket + 1)
  if (bucket == mask) put(table + MASK, mask << 1 | 1)
}
