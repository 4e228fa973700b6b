// Load balancing in the engine: `ms_per_table` of a Maglev table of 65,537 slots.
// node bench/engine.ts

import { performance } from 'node:perf_hooks'
import { Engine } from '../engine/index.ts'

const SLOTS = 65_537
const ROUNDS = 15
/** Katran's C++ and Cilium's Go on the reference machine, in ms a table. */
const BASELINES: Readonly<Record<number, readonly [katran: number, cilium: number]>> = { 10: [2, 2.9], 100: [1.5, 20], 1000: [1.5, 185] }

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

function measure(body: () => void): number {
  body()
  return median(Array.from({ length: ROUNDS }, () => {
    const start = performance.now()
    body()
    return performance.now() - start
  }))
}

const engine = await Engine.load()
for (const count of [10, 100, 1000, 10_000]) {
  for (const [suffix, weightOf] of [['', () => 1], ['/weighted', (i: number) => 1 + (i % 10)]] as const) {
    const backends = Array.from({ length: count }, (_, i) => ({ hash: BigInt(i) * 0x9e3779b97f4a7c15n, weight: weightOf(i) }))
    const value = measure(() => engine.maglev(backends, SLOTS))
    const [katran, cilium] = suffix === '' ? BASELINES[count] ?? [] : []
    console.log(JSON.stringify({
      bench: 'engine', case: `maglev/${SLOTS}/${count}${suffix}`, metric: 'ms_per_table', value: Number(value.toFixed(3)), baseline_katran: katran, baseline_cilium: cilium,
    }))
  }
}
