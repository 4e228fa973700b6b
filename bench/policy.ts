// Policy in the engine: full resolution, what one change costs, and a stream of changes. JSON lines: `ms` and `us` are the
// engine's time from the inputs to the map records, `map_writes` and `bytes` what they hold (`bytes` of full
// resolution: the engine's linear memory). node bench/policy.ts [RULES IDENTITIES ENDPOINTS]

import { execFileSync } from 'node:child_process'
import { Engine } from '../engine/index.ts'
import { churn, manyAddresses, singleChanges } from './policy/changes.ts'
import { type World, worldInputs } from './policy/world.ts'

const SUBJECTS_OF_A_NODE = 50
const ENDPOINTS_OF_A_NODE = 250

/** Each in a process of its own, lest one finds another's code compiled and its memory touched. */
function full(name: string, rules: number, identities: number, more: Partial<World> & { worst?: string } = {}): void {
  const world = { name, rules, identities, endpoints: 1, subjects: 1, ...more }
  execFileSync(process.execPath, ['--expose-gc', `${import.meta.dirname}/policy/full.ts`, JSON.stringify(world)], { stdio: 'inherit' })
}

function fullNode(rules: number, identities: number, endpoints: number): void {
  const name = `full-node/${rules}/${identities}/${endpoints}`
  full(name, rules, identities, { endpoints, subjects: Math.min(SUBJECTS_OF_A_NODE, endpoints) })
}

async function changes(rules: number, identities: number, endpoints: number): Promise<void> {
  const world = { rules, identities, endpoints, subjects: Math.min(SUBJECTS_OF_A_NODE, endpoints) }
  const engine = await Engine.load()
  engine.transaction(() => worldInputs(world)(engine))
  engine.takeChanges()
  singleChanges(engine, world)
  manyAddresses(engine, 20_000)
  churn(engine, world)
}

const [rules, identities, endpoints] = process.argv.slice(2).map(Number)
if (rules !== undefined) {
  fullNode(rules, identities ?? 10_000, endpoints ?? ENDPOINTS_OF_A_NODE)
} else {
  full('full/1000/10000', 1000, 10_000)
  full('full/10000/10000', 10_000, 10_000)
  full('full/1000/100000', 1000, 100_000)
  fullNode(1000, 10_000, ENDPOINTS_OF_A_NODE)
  fullNode(10_000, 100_000, ENDPOINTS_OF_A_NODE)
  full('full-distinct/1000/10000', 1000, 10_000, { worst: 'distinct' })
  full('full-everything/1000/10000', 1000, 10_000, { worst: 'everything' })
}
await changes(rules ?? 1000, identities ?? 100_000, endpoints ?? ENDPOINTS_OF_A_NODE)
