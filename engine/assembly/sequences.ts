// Hash-consed sequences of words: equal content is one number with a count of references. Labels, selectors, CIDRs,
// named ports, signatures of classes and rule sets of subjects are all interned here, so that comparing two of them
// is comparing two numbers. `owner` leads from the content to the record that stands for it.

import { column, fail, Failure, get, put, reserve, set, Subject } from './memory'
import { bucketCount, give, pool, take } from './pools'

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
  export const LABELS: u32 = 9
  export const RANGES: u32 = 10
  export const NAMES: u32 = 11
}

let records: usize = 0
let buckets: usize = 0
let bucketMask: u32 = 0
let hashes: usize = 0
let nexts: usize = 0
let referenceCounts: usize = 0
let tags: usize = 0
let lengths: usize = 0
let blocks: usize = 0
let owners: usize = 0

// Blocks of 4 << order words, one free list an order, linked through their first word.
const ORDERS: u32 = 24
let freeBlocks: usize = 0
let blockNext: usize = 0 // address of the word that holds the end of what was ever used
let blockEnd: usize = 0

export function initializeSequences(capacity: u32, blockBytes: usize): void {
  records = pool(capacity, Subject.LABELS)
  bucketMask = bucketCount(capacity) - 1
  buckets = column(bucketMask + 1)
  hashes = column(capacity)
  nexts = column(capacity)
  referenceCounts = column(capacity)
  tags = column(capacity)
  lengths = column(capacity)
  blocks = column(capacity)
  owners = column(capacity)
  freeBlocks = column(ORDERS)
  blockNext = reserve(4)
  const base = reserve(blockBytes)
  store<u32>(blockNext, <u32>base)
  blockEnd = base + blockBytes
}

@inline export function sequenceLength(sequence: u32): u32 { return get(lengths, sequence) }
@inline export function sequenceWords(sequence: u32): usize { return <usize>get(blocks, sequence) }
@inline export function sequenceWord(sequence: u32, index: u32): u32 { return get(<usize>get(blocks, sequence), index) }
@inline export function sequenceOwner(sequence: u32): u32 { return get(owners, sequence) }
@inline export function setSequenceOwner(sequence: u32, owner: u32): void { set(owners, sequence, owner) }
@inline export function references(sequence: u32): u32 { return get(referenceCounts, sequence) }
@inline export function retain(sequence: u32): void { if (sequence != 0) set(referenceCounts, sequence, get(referenceCounts, sequence) + 1) }

/** MurmurHash3's 32-bit mixing (Appleby, public domain) over words. */
export function hashWords(seed: u32, base: usize, count: u32): u32 {
  let hash = seed
  for (let i: u32 = 0; i < count; i++) {
    let k = get(base, i) * 0xcc9e2d51
    k = rotl(k, 15) * 0x1b873593
    hash = rotl(hash ^ k, 13) * 5 + 0xe6546b64
  }
  hash = (hash ^ count ^ (hash >>> 16)) * 0x85ebca6b
  hash = (hash ^ (hash >>> 13)) * 0xc2b2ae35
  return hash ^ (hash >>> 16)
}

function lookup(tag: u32, base: usize, count: u32, hash: u32): u32 {
  let found = get(buckets, hash & bucketMask)
  while (found != 0) {
    if (get(hashes, found) == hash && get(tags, found) == tag && get(lengths, found) == count
      && memory.compare(sequenceWords(found), base, <usize>count << 2) == 0) return found
    found = get(nexts, found)
  }
  return 0
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
  const sequence = take(records)
  if (sequence == 0 || block == 0) return 0
  for (let i: usize = 0; i < <usize>count << 2; i += 4) put(block + i, load<u32>(base + i))
  set(hashes, sequence, hash)
  set(tags, sequence, tag)
  set(lengths, sequence, count)
  set(blocks, sequence, <u32>block)
  set(referenceCounts, sequence, 1)
  set(owners, sequence, 0)
  set(nexts, sequence, get(buckets, hash & bucketMask))
  set(buckets, hash & bucketMask, sequence)
  return sequence
}

/** Gives up one reference; true when it was the last one and the sequence is gone. */
export function release(sequence: u32): bool {
  if (sequence == 0) return false
  const left = get(referenceCounts, sequence) - 1
  set(referenceCounts, sequence, left)
  if (left != 0) return false
  unlink(sequence)
  giveBlock(<usize>get(blocks, sequence), get(lengths, sequence))
  give(records, sequence)
  return true
}

function unlink(sequence: u32): void {
  const bucket = get(hashes, sequence) & bucketMask
  let previous: u32 = 0
  let current = get(buckets, bucket)
  while (current != sequence && current != 0) {
    previous = current
    current = get(nexts, current)
  }
  if (previous == 0) set(buckets, bucket, get(nexts, sequence))
  else set(nexts, previous, get(nexts, sequence))
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
