// Maglev tables (Eisenbud et al., NSDI 2016, section 3.4), weighted: every backend walks its own permutation of the
// slots and takes the next free one at each of its turns; a backend of weight w gets w turns where the heaviest gets
// as many as its own weight. Backends take turns in the order of their keys, so that the table does not depend on
// the order in which they were given. A bitset of taken slots (8 KiB for 65,537) stays in the L1 cache, where the
// table itself (256 KiB) would not.

import { get, poke, reserve } from './memory'

const MAX_SLOTS: u32 = 131072
const MAX_BACKENDS: u32 = 65536

let taken: usize = 0 // bitset
let table: usize = 0 // u32 a slot
let keys: usize = 0 // u64 a backend, as given
let weights: usize = 0 // u32, as given
let order: usize = 0 // u32: backends of weight > 0 by key
let walks: usize = 0 // position, skip: u32 each, in that order
let credits: usize = 0

export function initializeMaglev(): void {
  taken = reserve(MAX_SLOTS / 8 + 8)
  table = reserve(MAX_SLOTS * 4)
  keys = reserve(MAX_BACKENDS * 8)
  weights = reserve(MAX_BACKENDS * 4)
  order = reserve(MAX_BACKENDS * 4)
  walks = reserve(MAX_BACKENDS * 8)
  credits = reserve(MAX_BACKENDS * 4)
}

export function maglevKeys(): usize { return keys }
export function maglevWeights(): usize { return weights }
export function maglevTable(): usize { return table }

/** splitmix64's finalizer (Steele et al., OOPSLA 2014). */
@inline function mix(value: u64): u64 {
  let x = value + 0x9e3779b97f4a7c15
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb
  return x ^ (x >> 31)
}

@inline function key(backend: u32): u64 { return load<u64>(keys + (<usize>backend << 3)) }
@inline function ordered(i: u32): u32 { return get(order, i) }
@inline function weightOf(backend: u32): u32 { return get(weights, backend) }

/** Fills the table with indexes of backends; false when no backend has a weight. `slots` is a prime, 3 to 131,071. */
export function maglev(backends: u32, slots: u32): bool {
  const count = orderBackends(backends)
  if (count == 0) return false
  startWalks(count, slots)
  memory.fill(taken, 0, slots / 8 + 8)
  const heaviest = heaviestOf(count)
  if (isUniform(count, heaviest)) fillUniform(count, slots)
  else fillWeighted(count, slots, heaviest)
  return true
}

/** Insertion by binary search would be quadratic: heapsort by key, ties by index. */
function orderBackends(backends: u32): u32 {
  let count: u32 = 0
  for (let i: u32 = 0; i < backends; i++) if (weightOf(i) != 0) poke(order, count++, i)
  for (let root = count / 2; root > 0; root--) sift(root - 1, count)
  for (let end = count; end > 1; end--) {
    const last = ordered(0)
    store<u32>(order, ordered(end - 1))
    poke(order, end - 1, last)
    sift(0, end - 1)
  }
  return count
}

@inline function before(a: u32, b: u32): bool { return key(a) != key(b) ? key(a) < key(b) : a < b }

function sift(start: u32, count: u32): void {
  const value = ordered(start)
  let hole = start
  for (;;) {
    let child = hole * 2 + 1
    if (child >= count) break
    if (child + 1 < count && before(ordered(child), ordered(child + 1))) child++
    if (!before(value, ordered(child))) break
    poke(order, hole, ordered(child))
    hole = child
  }
  poke(order, hole, value)
}

function startWalks(count: u32, slots: u32): void {
  for (let i: u32 = 0; i < count; i++) {
    const hash = mix(key(ordered(i)))
    store<u32>(walks + (<usize>i << 3), <u32>(hash % slots))
    store<u32>(walks + (<usize>i << 3) + 4, <u32>(mix(hash) % (slots - 1)) + 1)
    poke(credits, i, 0)
  }
}

function heaviestOf(count: u32): u32 {
  let heaviest: u32 = 0
  for (let i: u32 = 0; i < count; i++) heaviest = max(heaviest, weightOf(ordered(i)))
  return heaviest
}

function isUniform(count: u32, weight: u32): bool {
  for (let i: u32 = 0; i < count; i++) if (weightOf(ordered(i)) != weight) return false
  return true
}

/** The walk's next free slot becomes the backend's. */
@inline function takeSlot(i: u32, slots: u32): void {
  const walk = walks + (<usize>i << 3)
  const skip = load<u32>(walk + 4)
  let position = load<u32>(walk)
  let word = taken + (<usize>(position >>> 5) << 2)
  while ((load<u32>(word) >>> (position & 31) & 1) != 0) {
    position += skip
    position = select<u32>(position - slots, position, position >= slots)
    word = taken + (<usize>(position >>> 5) << 2)
  }
  store<u32>(word, load<u32>(word) | 1 << (position & 31))
  poke(table, position, ordered(i))
  store<u32>(walk, position) // taken now: the next turn walks on from here
}

function fillUniform(count: u32, slots: u32): void {
  for (let left = slots; left > 0;) {
    const turns = min(left, count)
    for (let i: u32 = 0; i < turns; i++) takeSlot(i, slots)
    left -= turns
  }
}

function fillWeighted(count: u32, slots: u32, heaviest: u32): void {
  let left = slots
  for (;;) {
    for (let i: u32 = 0; i < count; i++) {
      const credit = get(credits, i) + weightOf(ordered(i))
      poke(credits, i, credit >= heaviest ? credit - heaviest : credit)
      if (credit < heaviest) continue
      takeSlot(i, slots)
      if (--left == 0) return
    }
  }
}
