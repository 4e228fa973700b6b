import test from 'ava'

import { kernelTest } from '../helpers/index.ts'
import { Coverage, CONSTRUCTS } from './coverage.ts'
import { Datapath, inNetworkNamespace, Playground } from './datapath.ts'
import { run } from './run.ts'

/** `SLUICE_FUZZ_SETS` and `SLUICE_FUZZ_SEED` make the run longer or another one: npm run fuzz. */
const sets = Number(process.env['SLUICE_FUZZ_SETS'] ?? 1000)
const seed = Number(process.env['SLUICE_FUZZ_SEED'] ?? 1)
const PACKETS_PER_SET = 100

kernelTest(`engine, model and datapath agree about ${sets * PACKETS_PER_SET} packets of ${sets} policy sets`, async (t) => {
  t.timeout(30 * 60_000)
  using playground = new Playground(`sluice-differential-${process.pid}`)
  const inside = <T>(body: () => T): T => inNetworkNamespace(playground.path, body)
  using datapath = inside(() => new Datapath('build/bpf'))
  const { coverage, difference } = await run(datapath, { seed, sets, packetsPerSet: PACKETS_PER_SET }, inside)
  t.log(JSON.stringify(coverage))
  t.is(difference, undefined, `seed ${seed}: one of the three differs`)
  t.deepEqual(coverage.shortfalls(), [], 'the run met too little of something')
})

test('a coverage that met nothing falls short of everything', (t) => {
  t.true(new Coverage().shortfalls().length >= CONSTRUCTS.length)
})
