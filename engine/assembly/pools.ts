// Record numbers with a free list, hash buckets, and vectors of scratch words.

import { column, fail, Failure, get, poke, put, reserve, set } from './memory'

// A pool's header: first free number, numbers ever used, capacity, what to report when it is exhausted, its links.
const FREE: usize = 0
const USED: usize = 4
const CAPACITY: usize = 8
const SUBJECT: usize = 12
const LINKS: usize = 16
const HEADER_BYTES: usize = 20

/** Numbers that are free are linked through a column of its own, or through one that only numbers in use need. */
export function pool(capacity: u32, subject: u32, links: usize = 0): usize {
  const header = reserve(HEADER_BYTES)
  store<u32>(header + CAPACITY, capacity)
  store<u32>(header + SUBJECT, subject)
  store<u32>(header + LINKS, <u32>(links != 0 ? links : column(capacity)))
  return header
}

/** A free number from 1 to the capacity; 0, and a failure, when there is none. */
export function take(header: usize): u32 {
  const free = load<u32>(header + FREE)
  if (free != 0) {
    put(header + FREE, get(load<u32>(header + LINKS), free))
    return free
  }
  const used = load<u32>(header + USED)
  if (used == load<u32>(header + CAPACITY)) {
    fail(Failure.CAPACITY, load<u32>(header + SUBJECT))
    return 0
  }
  put(header + USED, used + 1)
  return used + 1
}

export function give(header: usize, index: u32): void {
  if (index == 0) return
  set(load<u32>(header + LINKS), index, load<u32>(header + FREE))
  put(header + FREE, index)
}

/** The highest number ever taken: the end of a loop over all records. */
@inline export function used(header: usize): u32 { return load<u32>(header + USED) }

/** A power of two of buckets, at least as many as records. */
export function bucketCount(capacity: u32): u32 {
  let count: u32 = 16
  while (count < capacity) count <<= 1
  return count
}

// A vector's header: length, capacity, length at the start of the transaction; then its words. Vectors are not in the
// undo log: a rollback cuts them back.
const VECTOR_HEADER: usize = 12
const MAX_VECTORS: u32 = 64
let vectors: usize = 0
let vectorCount: u32 = 0

export function vector(capacity: u32): usize {
  const header = reserve(VECTOR_HEADER + (<usize>capacity << 2))
  store<u32>(header + 4, capacity)
  if (vectors == 0) vectors = reserve(<usize>MAX_VECTORS << 2)
  if (vectorCount == MAX_VECTORS) unreachable() // a constant of this program
  poke(vectors, vectorCount++, <u32>header)
  return header
}

export function saveVectors(): void {
  for (let i: u32 = 0; i < vectorCount; i++) {
    const header = <usize>get(vectors, i)
    store<u32>(header + 8, load<u32>(header))
  }
}

export function rollbackVectors(): void {
  for (let i: u32 = 0; i < vectorCount; i++) {
    const header = <usize>get(vectors, i)
    store<u32>(header, load<u32>(header + 8))
  }
}

@inline export function length(header: usize): u32 { return load<u32>(header) }
@inline export function item(header: usize, index: u32): u32 { return load<u32>(header + VECTOR_HEADER + (<usize>index << 2)) }
@inline export function words(header: usize): usize { return header + VECTOR_HEADER }
@inline export function clear(header: usize): void { store<u32>(header, 0) }
@inline export function truncate(header: usize, count: u32): void { store<u32>(header, count) }

export function push(header: usize, value: u32): void {
  const count = load<u32>(header)
  if (count == load<u32>(header + 4)) {
    fail(Failure.CAPACITY, 0)
    return
  }
  store<u32>(header + VECTOR_HEADER + (<usize>count << 2), value)
  store<u32>(header, count + 1)
}
