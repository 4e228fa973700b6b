// Sorting of scratch words in place: insertion for short runs, heapsort (no recursion, no worst case) for long ones.

import { get, poke } from './memory'
const INSERTION_LIMIT: u32 = 24

export function sort(base: usize, count: u32): void {
  if (count <= INSERTION_LIMIT) {
    insertionSort(base, count)
    return
  }
  for (let root = count / 2; root > 0; root--) sift(base, root - 1, count)
  for (let end = count - 1; end > 0; end--) {
    const largest = get(base, 0)
    poke(base, 0, get(base, end))
    poke(base, end, largest)
    sift(base, 0, end)
  }
}

function insertionSort(base: usize, count: u32): void {
  for (let i: u32 = 1; i < count; i++) {
    const value = get(base, i)
    let hole = i
    while (hole > 0 && get(base, hole - 1) > value) {
      poke(base, hole, get(base, hole - 1))
      hole--
    }
    poke(base, hole, value)
  }
}

function sift(base: usize, start: u32, count: u32): void {
  const value = get(base, start)
  let hole = start
  for (;;) {
    let child = hole * 2 + 1
    if (child >= count) break
    if (child + 1 < count && get(base, child + 1) > get(base, child)) child++
    if (get(base, child) <= value) break
    poke(base, hole, get(base, child))
    hole = child
  }
  poke(base, hole, value)
}

/** Sorts, drops duplicates, and gives the number of words left. */
export function sortUnique(base: usize, count: u32): u32 {
  if (count < 2) return count
  sort(base, count)
  let kept: u32 = 1
  for (let i: u32 = 1; i < count; i++) {
    if (get(base, i) == get(base, kept - 1)) continue
    poke(base, kept++, get(base, i))
  }
  return kept
}
