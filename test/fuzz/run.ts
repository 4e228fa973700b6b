// Program and model on the same frames, until they differ.

import { setImmediate } from 'node:timers/promises'

import { Random } from '../differential/random.ts'
import { randomFrame } from './frames.ts'
import { BalancerModel, type Outcome } from './model.ts'
import type { EdgeWorld } from './world.ts'

export interface RunOptions {
  readonly seed: number
  readonly frames: number
}

export interface RunResult {
  /** How often each verdict was met, with its reason. */
  readonly outcomes: ReadonlyMap<string, number>
  /** The first frame that the two do not agree about, and what each says. */
  readonly difference?: string
}

/** Datagrams are forgotten on both sides, long before the datapath forgets them by itself. */
const FRAMES_PER_ROUND = 2000

/** Others on this thread have their turn between rounds. */
export async function compare(world: EdgeWorld, { seed, frames }: RunOptions): Promise<RunResult> {
  const random = new Random(seed)
  const model = new BalancerModel(world)
  const outcomes = new Map<string, number>()
  for (let index = 0; index < frames; index++) {
    if (index % FRAMES_PER_ROUND === 0) {
      await setImmediate()
      model.reset()
      world.forgetDatagrams()
    }
    const { frame, changes } = randomFrame(random)
    const [expected, got] = [textOf(model.expect(frame)), textOf(run(world, frame))]
    if (expected !== got) return { outcomes, difference: `frame ${index} of seed ${seed} (${changes.join(', ')})\n${hex(frame)}\nmodel: ${expected}\nprogram: ${got}` }
    const outcome = got.split(':')[0] ?? ''
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }
  return { outcomes }
}

function run(world: EdgeWorld, frame: Uint8Array): Outcome {
  const { verdict, reason, data } = world.node.send('xdp_lb', 'uplink', frame)
  if (verdict === 'drop') return { verdict, reason: reason === undefined || IN_FLOODS.includes(reason) ? 'of a flood' : reason }
  return { verdict, data, ...(reason !== undefined && { reason }) }
}

/** Few of these are events. */
const IN_FLOODS = ['prefiltered', 'source-refused']

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

function textOf(outcome: Outcome): string {
  const told = outcome.reason === undefined ? outcome.verdict : `${outcome.verdict} ${outcome.reason}`
  return outcome.verdict === 'drop' ? told : `${told}: ${hex(outcome.data)}`
}
