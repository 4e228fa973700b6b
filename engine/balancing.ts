// Load balancing by engine.wasm: tables and picks, computed in its memory and copied out.

import { EngineError } from './errors.ts'
import { checkedWeight, hashText, isPrime } from './values.ts'
import type { EngineExports } from './wasm.ts'

const MAX_SLOTS = 131_071
const MAX_BACKENDS = 65_536
const MAX_PICKS = 262_144

export interface MaglevBackend {
  /** What the backend is known by: its place in the table follows from this alone. */
  readonly hash: bigint | string
  readonly weight: number
}

export function maglevTable(wasm: EngineExports, backends: readonly MaglevBackend[], slots: number): Uint32Array {
  if (!isPrime(slots) || slots > MAX_SLOTS) throw new EngineError('INVALID', `${slots} slots; allowed are primes up to ${MAX_SLOTS}`)
  if (backends.length > MAX_BACKENDS) throw new EngineError('INVALID', `${backends.length} backends; at most ${MAX_BACKENDS}`)
  const keys = new BigUint64Array(wasm.memory.buffer, wasm.maglevKeys(), backends.length)
  const weights = new Uint32Array(wasm.memory.buffer, wasm.maglevWeights(), backends.length)
  for (const [index, { hash, weight }] of backends.entries()) {
    keys[index] = typeof hash === 'bigint' ? BigInt.asUintN(64, hash) : hashText(hash)
    weights[index] = checkedWeight(weight)
  }
  if (!wasm.maglev(backends.length, slots)) throw new EngineError('INVALID', 'no backend has a weight above 0')
  return new Uint32Array(wasm.memory.buffer, wasm.maglevTable(), slots).slice()
}

export function roundRobinPicks(wasm: EngineExports, weights: readonly number[], picks: number): Uint32Array {
  if (weights.length > MAX_BACKENDS || picks > MAX_PICKS) throw new EngineError('INVALID', `at most ${MAX_BACKENDS} weights and ${MAX_PICKS} picks`)
  new Uint32Array(wasm.memory.buffer, wasm.wrrWeights(), weights.length).set(weights.map(checkedWeight))
  if (!wasm.weightedRoundRobin(weights.length, picks)) throw new EngineError('INVALID', 'no weight is above 0')
  return new Uint32Array(wasm.memory.buffer, wasm.wrrPicks(), picks).slice()
}
