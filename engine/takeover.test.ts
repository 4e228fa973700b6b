// A second engine takes over the maps that a first one filled, with inputs that changed while nobody was running. What
// must hold of every transaction must hold of the takeover, and of what follows.

import test from 'ava'
import fc from 'fast-check'
import type { Engine, PackedEntries, PinnedMaps } from './index.ts'
import { EngineError } from './index.ts'
import { history, step, type Step, type Tables } from './testing/arbitrary.ts'
import { Node, smallEngine } from './testing/checks.ts'
import type { DatapathMaps } from './testing/maps.ts'

const RUNS = Number(process.env['SLUICE_PROPERTY_RUNS'] ?? 100)

function packed(map: ReadonlyMap<string, Uint32Array>): PackedEntries {
  const keys = [...map.keys()].flatMap((key) => key.split(',').map(Number))
  const values = [...map.values()].flatMap((value) => [...value])
  return { keys: new Uint8Array(Uint32Array.from(keys).buffer), values: new Uint8Array(Uint32Array.from(values).buffer) }
}

function pinnedMaps({ maps }: DatapathMaps): PinnedMaps {
  const classGenerations = new Uint32Array(256)
  for (const [key, value] of maps.class_generations) classGenerations[Number(key)] = value[0] ?? 0
  return {
    endpoints: packed(maps.endpoints), addresses: packed(maps.addresses), prefixes: packed(maps.prefixes), policy: packed(maps.policy), classGenerations,
  }
}

/** What sources list after a restart, in an order of their own. */
function listEverything(engine: Engine, tables: Tables): void {
  for (const [key, policies] of tables.documents) engine.setPolicy(key, policies)
  for (const entry of tables.endpoints.values()) engine.setEndpoint(entry)
  for (const entry of tables.addresses.values()) engine.setAddress(entry)
  for (const [number, labels] of tables.identities) engine.setIdentity(number, labels)
}

async function restart(node: Node, whileDown: readonly Step[]): Promise<void> {
  for (const one of whileDown) one.record(node.tables)
  node.engine = await smallEngine()
  node.engine.restore(pinnedMaps(node.maps))
  listEverything(node.engine, node.tables)
  if (node.engine.takeChanges().length > 0) throw new Error('something was written before every source had listed')
  node.engine.finishRestore()
  node.settle()
}

/** The agent is killed after some of a transaction's changes: `share` of them, 0 to 1. */
function crash(node: Node, steps: readonly Step[], share: number): void {
  node.engine.transaction(() => steps.forEach((one) => one.apply(node.engine)))
  const changes = node.engine.takeChanges()
  let left = Math.round(changes.reduce((sum, { count }) => sum + count, 0) * share)
  for (const change of changes) {
    node.maps.apply({ ...change, count: Math.min(left, change.count) })
    left -= Math.min(left, change.count)
  }
}

test('a takeover after a crash at any change is atomic too', async (t) => {
  t.timeout(900_000)
  const scenario = fc.tuple(history, fc.array(step, { minLength: 1, maxLength: 4 }), fc.double({ min: 0, max: 1, noNaN: true }))
  await fc.assert(fc.asyncProperty(scenario, async ([before, last, share]) => {
    const node = new Node(await smallEngine())
    for (const steps of before) node.transact(steps)
    crash(node, last, share)
    await restart(node, last)
    node.checkNothingLeaks()
  }), { numRuns: RUNS, includeErrorInReport: true })
  t.pass()
})

test('a takeover is atomic and leads to what the model says', async (t) => {
  t.timeout(900_000)
  const scenario = fc.tuple(history, fc.array(step, { maxLength: 4 }), history)
  await fc.assert(fc.asyncProperty(scenario, async ([before, whileDown, after]) => {
    const node = new Node(await smallEngine())
    for (const steps of before) node.transact(steps)
    await restart(node, whileDown)
    for (const steps of after.slice(0, 3)) node.transact(steps)
    await restart(node, [])
    node.checkNothingLeaks()
  }), { numRuns: RUNS, includeErrorInReport: true })
  t.pass()
})

test('restore comes first, finishRestore after it', async (t) => {
  const engine = await smallEngine()
  engine.setIdentity(300, ['k8s:app=web'])
  const empty = { keys: new Uint8Array(), values: new Uint8Array() }
  const nothing = { endpoints: empty, addresses: empty, prefixes: empty, policy: empty, classGenerations: new Uint32Array(1) }
  t.throws(() => engine.restore(nothing), { instanceOf: EngineError, code: 'STATE' })
  t.throws(() => engine.finishRestore(), { instanceOf: EngineError, code: 'STATE' })
})
