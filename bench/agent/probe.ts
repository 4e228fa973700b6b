// Loaded into the agent's process before its own code: at each SIGUSR2 it writes the delays of the main thread's event
// loop since the one before to the file that PROBE_FILE names.

import { renameSync, writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isMainThread } from 'node:worker_threads'

export interface Delays {
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

const RESOLUTION_MS = 1
const NS_PER_MS = 1e6

function report(file: string): void {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delay.enable()
  const ms = (ns: number): number => Number(Math.max(0, ns / NS_PER_MS - RESOLUTION_MS).toFixed(2))
  process.on('SIGUSR2', () => {
    const [p50 = 0, p99 = 0, p999 = 0] = [50, 99, 99.9].map((percentile) => ms(delay.percentile(percentile)))
    const delays: Delays = { p50, p99, p999, max: ms(delay.max) }
    delay.reset()
    writeFileSync(`${file}.new`, JSON.stringify(delays))
    renameSync(`${file}.new`, file)
  })
}

const file = process.env['PROBE_FILE']
if (isMainThread && file !== undefined) report(file)
