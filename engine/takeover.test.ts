// A second engine takes over the maps that a first one filled, with inputs that changed while nobody was running. What
// must hold of every transaction must hold of the takeover, and of what follows.

import test from 'ava'
import fc from 'fast-check'
import type { Engine, PackedEntries, PinnedMaps, Policy } from './index.ts'
import { EngineError } from './index.ts'
import { history, step, type Step, steps, type Tables } from './testing/arbitrary.ts'
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
    lastSubject: maps.last_subject.get('0')?.[0] ?? 0,
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

test('a number freed just before a crash is not given again: conntrack may still hold it', async (t) => {
  const node = new Node(await smallEngine())
  const mac = new Uint8Array(6)
  const endpoint = steps.endpoint({ ifindex: 11, id: 1, identity: 256, flags: 0, mac, nodeMac: mac, namedPorts: [] })
  const policy = (isolates: Policy['isolates']) =>
    steps.policy('a', [{ subject: { requirements: [] }, tier: 'normal', priority: 0, isolates, rules: [], audit: false }])
  node.transact([endpoint, policy({})])
  const number = node.maps.subject(11) ?? 0
  node.transact([steps.removeEndpoint(11)])
  await restart(node, [policy({ ingress: 1 }), endpoint])
  t.true((node.maps.subject(11) ?? 0) > number, `${node.maps.subject(11)} after ${number}`)
})

test('restore comes first, finishRestore after it', async (t) => {
  const engine = await smallEngine()
  engine.setIdentity(300, ['k8s:app=web'])
  const empty = { keys: new Uint8Array(), values: new Uint8Array() }
  const nothing = { endpoints: empty, addresses: empty, prefixes: empty, policy: empty, classGenerations: new Uint32Array(1), lastSubject: 0 }
  t.throws(() => engine.restore(nothing), { instanceOf: EngineError, code: 'STATE' })
  t.throws(() => engine.finishRestore(), { instanceOf: EngineError, code: 'STATE' })
})
