// Smooth weighted round robin, as nginx does it: at every pick each backend gains its weight, the one with the most
// is picked and pays the sum of all weights. Equal shares are spread out instead of coming in bursts.

import { get, poke, reserve } from './memory'

const MAX_BACKENDS: u32 = 65536
const MAX_PICKS: u32 = 1 << 18

let weights: usize = 0
let current: usize = 0 // i64 a backend
let picks: usize = 0

export function initializeWrr(): void {
  weights = reserve(MAX_BACKENDS * 4)
  current = reserve(MAX_BACKENDS * 8)
  picks = reserve(MAX_PICKS * 4)
}

export function wrrWeights(): usize { return weights }
export function wrrPicks(): usize { return picks }

/** Fills `wrrPicks` with indexes of backends; false when no backend has a weight. */
export function weightedRoundRobin(backends: u32, count: u32): bool {
  memory.fill(current, 0, <usize>backends << 3)
  let total: i64 = 0
  for (let i: u32 = 0; i < backends; i++) total += <i64>get(weights, i)
  if (total == 0) return false
  for (let i: u32 = 0; i < count; i++) poke(picks, i, pick(backends, total))
  return true
}

function pick(backends: u32, total: i64): u32 {
  let best: u32 = 0
  let most: i64 = i64.MIN_VALUE
  for (let i: u32 = 0; i < backends; i++) {
    const weight = <i64>get(weights, i)
    const gained = load<i64>(current + (<usize>i << 3)) + weight
    store<i64>(current + (<usize>i << 3), gained)
    if (weight == 0 || gained <= most) continue
    best = i
    most = gained
  }
  store<i64>(current + (<usize>best << 3), most - total)
  return best
}
