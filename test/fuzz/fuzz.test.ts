// The balancer's program against its model, on random and broken frames.

import test from 'ava'

import { Random } from '../differential/random.ts'
import { kernelTest } from '../helpers/index.ts'
import { randomFrame } from './frames.ts'
import { BalancerModel, type Outcome } from './model.ts'
import { EdgeWorld } from './world.ts'

/** `SLUICE_FUZZ_FRAMES` and `SLUICE_FUZZ_SEED` make the run longer or another one. */
const frames = Number(process.env['SLUICE_FUZZ_FRAMES'] ?? 100_000)
const seed = Number(process.env['SLUICE_FUZZ_SEED'] ?? 1)
/** Datagrams are forgotten on both sides, long before the datapath forgets them by itself. */
const FRAMES_PER_ROUND = 2000

let world: EdgeWorld
test.before(() => {
  world = new EdgeWorld()
})
test.after.always(() => world?.[Symbol.dispose]())

function run(frame: Uint8Array): Outcome {
  const { verdict, reason, data } = world.node.send('xdp_lb', 'uplink', frame)
  if (verdict === 'drop') return { verdict, reason: reason ?? 'none' }
  return { verdict, data, ...(reason !== undefined && { reason }) }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const textOf = (outcome: Outcome): string => `${outcome.verdict} ${outcome.reason ?? ''} ${outcome.verdict === 'drop' ? '' : hex(outcome.data)}`

kernelTest(`program and model agree about ${frames} frames`, (t) => {
  t.timeout(6 * 60 * 60_000)
  const random = new Random(seed)
  const model = new BalancerModel(world)
  const outcomes = new Map<string, number>()
  for (let index = 0; index < frames; index++) {
    if (index % FRAMES_PER_ROUND === 0) {
      model.reset()
      world.forgetDatagrams()
    }
    const { frame, changes } = randomFrame(random)
    const [expected, got] = [model.expect(frame), run(frame)]
    if (textOf(expected) !== textOf(got)) return void t.is(textOf(got), textOf(expected), `frame ${index} of seed ${seed} (${changes.join(', ')}): ${hex(frame)}`)
    const outcome = `${got.verdict} ${got.reason ?? ''}`.trim()
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }
  t.log(JSON.stringify(Object.fromEntries(outcomes)))
  for (const outcome of OUTCOMES) t.true((outcomes.get(outcome) ?? 0) >= frames / 1000, `the run met too little of: ${outcome}`)
})

/** Each must be met often, or the run says little. */
const OUTCOMES = [
  'pass', 'redirect', 'transmit', 'transmit too-big', 'drop malformed', 'drop no-backend', 'drop no-route', 'drop too-big', 'drop fragment-without-first', 'drop overlapping-fragment',
]
