// Full resolution: from all inputs at once to all map records, in engines that know nothing before. `first_ms` is the
// first of the process, when no code was compiled; of the others, which share its code and have fresh memory, the least
// counts, since disturbances only add. `cpu_ms` and `first_cpu_ms` leave out what the thread waited for. node --expose-gc bench/policy/full.ts WORLD, a JSON object.

import { readFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { Engine, type Label } from '../../engine/index.ts'
import { costOf, print, printCost, round1 } from './measure.ts'
import { type Case, policyOf, ruleOf, worldInputs } from './world.ts'

const ROUNDS = 9
const wasm = await WebAssembly.compile(readFileSync(`${import.meta.dirname}/../../build/engine.wasm`))

/** 20 of as many labels as there are rules, by a walk of its own; a rule asks for one of them. */
function distinctLabels(identity: number, rules: number): Label[] {
  return Array.from({ length: 20 }, (_, i) => `k8s:has-${(Math.imul(identity * 20 + i, 0x9e3779b1) >>> 4) % rules}=yes`)
}

function tell(engine: Engine, { distinct, everything, ...world }: Case, inputs: (engine: Engine) => void): void {
  inputs(engine)
  const ofAll = { ...ruleOf(world.rules, world), peers: [{ selector: { requirements: [] } }] }
  if (everything) engine.setPolicy('everything', [policyOf(0, [ofAll])])
  for (let rule = 0; distinct && rule < world.rules; rule++) {
    const selector = { requirements: [{ key: `k8s:has-${rule}`, operator: 'Exists', values: [] }] } as const
    engine.setPolicy(`policy-${rule}`, [policyOf(0, [{ ...ruleOf(rule, world), peers: [{ selector }] }])])
  }
}

/** What processors spent on this thread: on a busy machine the clock goes on while others have them. */
function threadUs(): number {
  const { user, system } = process.threadCpuUsage()
  return user + system
}

async function resolveAll(world: Case, inputs: (engine: Engine) => void) {
  const engine = await Engine.instantiate(wasm)
  engine.takeChanges()
  globalThis.gc?.() // What the inputs left behind is not the engine's to clear away.
  const [start, used] = [performance.now(), threadUs()]
  engine.transaction(() => tell(engine, world, inputs))
  const changes = engine.takeChanges()
  const us = (performance.now() - start) * 1000
  return { ...costOf(changes, us), cpuUs: threadUs() - used, stats: engine.stats() }
}

const ms = (us: number): number => round1(us / 1000)

const world = JSON.parse(process.argv[2] ?? '{}') as Case
const inputs = worldInputs(world, world.distinct ? (identity) => distinctLabels(identity, world.rules) : undefined)
const first = await resolveAll(world, inputs)
const rounds = []
for (let round = 0; round < ROUNDS; round++) rounds.push(await resolveAll(world, inputs))
const us = Math.min(...rounds.map((round) => round.us))
const cpuUs = Math.min(...rounds.map((round) => round.cpuUs))
const times = { first_ms: ms(first.us), cpu_ms: ms(cpuUs), first_cpu_ms: ms(first.cpuUs) }
if (world.written) printCost(world.name, { ...first, us })
else print(world.name, 'ms', ms(us), { ...times, map_writes: first.writes, ...first.stats })
