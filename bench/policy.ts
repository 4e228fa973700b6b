// Policy in the engine: full resolution, what one change costs, and a stream of changes. JSON lines: `ms` and `us` are the
// engine's time from the inputs to the map records, `map_writes` their number and `bytes` their size (of `full/...` and
// `full-...`: the engine's linear memory). node bench/policy.ts [RULES IDENTITIES ENDPOINTS]

import { execFileSync } from 'node:child_process'
import { type Capacities, Engine } from '../engine/index.ts'
import { churn, manyAddresses, overflow, singleChanges } from './policy/changes.ts'
import { type Case, worldInputs } from './policy/world.ts'

const SUBJECTS_OF_A_NODE = 50
const ENDPOINTS_OF_A_NODE = 250

/** Each in a process of its own, lest one finds another's code compiled and its memory touched. */
function full(name: string, rules: number, identities: number, more: Partial<Case> = {}): void {
  const world = { name, rules, identities, endpoints: 1, subjects: 1, ...more }
  execFileSync(process.execPath, ['--expose-gc', `${import.meta.dirname}/policy/full.ts`, JSON.stringify(world)], { stdio: 'inherit' })
}

function fullNode(kind: string, rules: number, identities: number, endpoints: number, more: Partial<Case> = {}): void {
  full(`${kind}/${rules}/${identities}/${endpoints}`, rules, identities, { endpoints, subjects: Math.min(SUBJECTS_OF_A_NODE, endpoints), ...more })
}

async function engineOf(rules: number, identities: number, endpoints: number, capacities: Partial<Capacities> = {}) {
  const world = { rules, identities, endpoints, subjects: Math.min(SUBJECTS_OF_A_NODE, endpoints) }
  const engine = await Engine.load({ capacities })
  engine.transaction(() => worldInputs(world)(engine))
  engine.takeChanges()
  return { engine, world }
}

async function changes(rules: number, identities: number, endpoints: number): Promise<void> {
  const { engine, world } = await engineOf(rules, identities, endpoints)
  singleChanges(engine, world)
  manyAddresses(engine, 20_000, world)
  churn(engine, world)
}

function fullSizes(): void {
  full('full', 1000, 10_000, { endpoints: 100, subjects: SUBJECTS_OF_A_NODE, written: true })
  full('full/1000/10000', 1000, 10_000)
  full('full/10000/10000', 10_000, 10_000)
  full('full/1000/100000', 1000, 100_000)
  fullNode('full-node', 1000, 10_000, ENDPOINTS_OF_A_NODE)
  fullNode('full-node', 10_000, 100_000, ENDPOINTS_OF_A_NODE)
  fullNode('full-node-tiers', 10_000, 100_000, ENDPOINTS_OF_A_NODE, { tiers: true })
  full('full-distinct/1000/10000', 1000, 10_000, { distinct: true })
  full('full-everything/1000/10000', 1000, 10_000, { everything: true })
  full('full-worst/1000/10000', 1000, 10_000, { distinct: true, everything: true })
}

const [rules, identities, endpoints] = process.argv.slice(2).map(Number)
if (rules === undefined) {
  fullSizes()
  const { engine, world } = await engineOf(1000, 10_000, 100, { policyEntries: 2000 })
  singleChanges(engine, world)
  overflow(engine, world)
  await changes(1000, 100_000, ENDPOINTS_OF_A_NODE)
} else {
  fullNode('full-node', rules, identities ?? 10_000, endpoints ?? ENDPOINTS_OF_A_NODE)
  await changes(rules, identities ?? 10_000, endpoints ?? ENDPOINTS_OF_A_NODE)
}
