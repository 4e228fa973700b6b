// Hash-consed sequences of words: equal content is one number with a count of references. Labels, selectors, CIDRs,
// named ports, signatures of classes and rule sets of subjects are all interned here, so that comparing two of them
// is comparing two numbers. `owner` leads from the content to the record that stands for it.

import { column, fail, Failure, get, put, reserve, set, Subject } from './memory'
import { enterTable, firstInChain, hashTable, leaveTable } from './hashing'
import { give, pool, take } from './pools'

/** What a sequence is; equal words of two kinds are two sequences, since kinds differ in what their members' references are. */
export namespace Tag {
  export const TEXT: u32 = 1
  export const SELECTORS: u32 = 2
  export const SELECTOR: u32 = 3
  export const CIDR: u32 = 4
  export const TERM: u32 = 5
  export const SIGNATURE: u32 = 6
  export const SUBJECT: u32 = 7
  export const NAMED_PORTS: u32 = 8
  export const RANGES: u32 = 9
  export const NAMES: u32 = 10
}

// A record a sequence, since a lookup reads nearly all of it: one cache line instead of one a column.
const HASH: usize = 0
const NEXT: usize = 4 // in its bucket
const REFERENCES: usize = 8
const TAG_LENGTH: usize = 12 // tag << 28 | words
const BLOCK: usize = 16 // address of the words
const OWNER: usize = 20
const RECORD_BYTES: usize = 24

let numbers: usize = 0
let records: usize = 0
let table: usize = 0

// Blocks of 4 << order words, one free list an order, linked through their first word.
const ORDERS: u32 = 24
let freeBlocks: usize = 0
let blockNext: usize = 0 // address of the word that holds the end of what was ever used
let blockEnd: usize = 0

export function initializeSequences(capacity: u32, blockBytes: usize): void {
  numbers = pool(capacity, Subject.LABELS)
  records = reserve((<usize>capacity + 1) * RECORD_BYTES)
  table = hashTable(capacity, records + HASH, records + NEXT, RECORD_BYTES)
  freeBlocks = column(ORDERS)
  blockNext = reserve(4)
  const base = reserve(blockBytes)
  store<u32>(blockNext, <u32>base)
  blockEnd = base + blockBytes
}

@inline function at(sequence: u32): usize { return records + <usize>sequence * RECORD_BYTES }
@inline export function sequenceLength(sequence: u32): u32 { return load<u32>(at(sequence), TAG_LENGTH) & 0x0fffffff }
@inline export function sequenceWords(sequence: u32): usize { return <usize>load<u32>(at(sequence), BLOCK) }
@inline export function sequenceWord(sequence: u32, index: u32): u32 { return get(sequenceWords(sequence), index) }
@inline export function sequenceOwner(sequence: u32): u32 { return load<u32>(at(sequence), OWNER) }
@inline export function setSequenceOwner(sequence: u32, owner: u32): void { put(at(sequence) + OWNER, owner) }
@inline export function references(sequence: u32): u32 { return load<u32>(at(sequence), REFERENCES) }
@inline export function retain(sequence: u32): void { if (sequence != 0) put(at(sequence) + REFERENCES, references(sequence) + 1) }

/**
 * MurmurHash3's 32-bit mixing (Appleby, public domain) over words. Its rotations are written out: V8's first compiler
 * calls a C function for a rotation, and its second one makes a rotation of the shifts.
 */
export function hashWords(seed: u32, base: usize, count: u32): u32 {
  let hash = seed
  for (let i: u32 = 0; i < count; i++) {
    let k = get(base, i) * 0xcc9e2d51
    k = (k << 15 | k >>> 17) * 0x1b873593
    hash ^= k
    hash = (hash << 13 | hash >>> 19) * 5 + 0xe6546b64
  }
  hash = (hash ^ count ^ (hash >>> 16)) * 0x85ebca6b
  hash = (hash ^ (hash >>> 13)) * 0xc2b2ae35
  return hash ^ (hash >>> 16)
}

function lookup(tag: u32, base: usize, count: u32, hash: u32): u32 {
  let found = firstInChain(table, hash)
  while (found != 0) {
    const record = at(found)
    if (load<u32>(record, HASH) == hash && load<u32>(record, TAG_LENGTH) == (tag << 28 | count)
      && sameWords(load<u32>(record, BLOCK), base, count)) return found
    found = load<u32>(record, NEXT)
  }
  return 0
}

/** Words are few: a call of memory.compare would cost more. */
@inline function sameWords(a: usize, b: usize, count: u32): bool {
  let i: u32 = 0
  while (i < count && get(a, i) == get(b, i)) i++
  return i == count
}

/** The sequence of this content, or 0. */
export function findSequence(tag: u32, base: usize, count: u32): u32 {
  return lookup(tag, base, count, hashWords(tag, base, count))
}

/** The sequence of this content, with one more reference. */
export function intern(tag: u32, base: usize, count: u32): u32 {
  const hash = hashWords(tag, base, count)
  const found = lookup(tag, base, count, hash)
  if (found != 0) {
    retain(found)
    return found
  }
  return create(tag, base, count, hash)
}

function create(tag: u32, base: usize, count: u32, hash: u32): u32 {
  const block = takeBlock(count)
  const sequence = take(numbers)
  if (sequence == 0 || block == 0) return 0
  for (let i: usize = 0; i < <usize>count << 2; i += 4) put(block + i, load<u32>(base + i))
  const record = at(sequence)
  put(record + REFERENCES, 1)
  put(record + TAG_LENGTH, tag << 28 | count)
  put(record + BLOCK, <u32>block)
  put(record + OWNER, 0)
  enterTable(table, sequence, hash)
  return sequence
}

/** Gives up one reference; true when it was the last one and the sequence is gone. */
export function release(sequence: u32): bool {
  if (sequence == 0) return false
  const left = references(sequence) - 1
  put(at(sequence) + REFERENCES, left)
  if (left != 0) return false
  leaveTable(table, sequence)
  giveBlock(sequenceWords(sequence), sequenceLength(sequence))
  give(numbers, sequence)
  return true
}

@inline function orderOf(count: u32): u32 {
  return count <= 4 ? 0 : 30 - <u32>clz<u32>(count - 1)
}

function takeBlock(count: u32): usize {
  const order = orderOf(count)
  const free = <usize>get(freeBlocks, order)
  if (free != 0) {
    set(freeBlocks, order, load<u32>(free))
    return free
  }
  const block = <usize>load<u32>(blockNext)
  const end = block + (<usize>16 << order)
  if (end > blockEnd) {
    fail(Failure.CAPACITY, Subject.TEXT)
    return 0
  }
  put(blockNext, <u32>end)
  return block
}

function giveBlock(block: usize, count: u32): void {
  const order = orderOf(count)
  put(block, get(freeBlocks, order))
  set(freeBlocks, order, <u32>block)
}
