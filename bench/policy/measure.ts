// Lines of results, and the cost of one change.

import { performance } from 'node:perf_hooks'
import type { Change, Engine } from '../../engine/index.ts'

export interface Cost {
  /** From the input to the changes. */
  readonly us: number
  readonly writes: number
  readonly bytes: number
}

export function print(name: string, metric: string, value: number, rest: object = {}): void {
  console.log(JSON.stringify({ bench: 'policy', case: name, metric, value, ...rest }))
}

export const round1 = (value: number): number => Number(value.toFixed(1))

/** The value below which `share` of the values lie. */
export function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)] ?? Number.NaN
}

export function costOf(changes: readonly Change[], us: number): Cost {
  const writes = changes.reduce((sum, { count }) => sum + count, 0)
  return { us, writes, bytes: changes.reduce((sum, { keys, values }) => sum + keys.length + values.length, 0) }
}

/** One change, as a transaction of its own. */
export function measure(engine: Engine, change: () => void): Cost {
  const start = performance.now()
  engine.transaction(change)
  const changes = engine.takeChanges()
  return costOf(changes, (performance.now() - start) * 1000)
}

/** The same cost by its time and by its writes, each with the rest beside it. */
export function printCost(name: string, { us, writes, bytes }: Cost, rest: object = {}): void {
  print(name, 'us', round1(us), { map_writes: writes, bytes, ...rest })
  print(name, 'map_writes', writes, { us: round1(us), bytes, ...rest })
}

/** Median time, and the last change's writes. */
export function measureRounds(engine: Engine, rounds: number, change: (round: number) => void): Cost {
  const costs = Array.from({ length: rounds }, (_, round) => measure(engine, () => change(round)))
  return { ...(costs.at(-1) as Cost), us: quantile(costs.map(({ us }) => us), 0.5) }
}
