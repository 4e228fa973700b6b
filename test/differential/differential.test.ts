import { readFileSync } from 'node:fs'

import test from 'ava'

import { kernelTest } from '../helpers/index.ts'
import { Coverage, CONSTRUCTS } from './coverage.ts'
import { Datapath, inNetworkNamespace, Playground } from './datapath.ts'
import { FaultyBuild, MAP_FAULTS, SOURCE_FAULTS } from './faults.ts'
import { run } from './run.ts'
import type { Difference, RunOptions } from './run.ts'
import { WITHOUT_EFFECT, WRITTEN_CONSTRUCTS } from './written.ts'

/** `SLUICE_FUZZ_SETS` and `SLUICE_FUZZ_SEED` make the run longer or another one: npm run fuzz. */
const sets = Number(process.env['SLUICE_FUZZ_SETS'] ?? 1000)
const seed = Number(process.env['SLUICE_FUZZ_SEED'] ?? 1)
const PACKETS_PER_SET = 100

/** Sets that a planted fault may go unnoticed. */
const SETS_WITH_FAULT = 200

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

for (const fault of SOURCE_FAULTS) {
  kernelTest(`a run notices in ${fault.file.split('/')[0]}: ${fault.name}`, async (t) => {
    t.timeout(5 * 60_000)
    using build = await FaultyBuild.plant(fault)
    const isBpf = fault.file.startsWith('bpf')
    const difference = await runWithFault({
      objects: isBpf ? `${build.root}/build/bpf` : 'build/bpf',
      ...(!isBpf && { wasm: readFileSync(`${build.root}/build/engine.wasm`) }),
    })
    t.not(difference, undefined)
  })
}

for (const { name, tamper } of MAP_FAULTS) {
  kernelTest(`a run notices in the maps: ${name}`, async (t) => {
    t.not(await runWithFault({ objects: 'build/bpf', tamper }), undefined)
  })
}

async function runWithFault({ objects, ...fault }: { objects: string } & Pick<RunOptions, 'wasm' | 'tamper'>): Promise<Difference | undefined> {
  using playground = new Playground(`sluice-fault-${process.pid}`)
  const inside = <T>(body: () => T): T => inNetworkNamespace(playground.path, body)
  using datapath = inside(() => new Datapath(objects))
  return (await run(datapath, { seed: 1, sets: SETS_WITH_FAULT, packetsPerSet: PACKETS_PER_SET, ...fault }, inside)).difference
}

test('a coverage that met nothing falls short of everything', (t) => {
  const constructs = [...CONSTRUCTS, ...WRITTEN_CONSTRUCTS, ...WITHOUT_EFFECT]
  t.is(new Set(constructs).size, constructs.length)
  t.true(new Coverage().shortfalls().length >= constructs.length)
})
