// Property tests of policy: whatever the history of inputs, the engine, the maps that its journal fills, and the naive
// model give the same verdicts; no state between two runs of a transaction shows anything but the old or the new
// verdict; and a flow that checks subject and generation alone is never wrong.

import { readFile } from 'node:fs/promises'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { Engine, formatAddress } from './index.ts'
import { modelVerdict, type World } from './model.ts'
import { ADDRESSES, history, PORTS, type Step, Tables } from './testing/arbitrary.ts'
import { DatapathMaps, type Lookup } from './testing/maps.ts'
import type { Direction } from './types.ts'

const RUNS = Number(process.env['SLUICE_PROPERTY_RUNS'] ?? 300)
const SMALL = {
  identities: 64, labels: 1024, selectors: 1024, rules: 1024, addresses: 256, endpoints: 16, classes: 256, policyEntries: 4096, policyRows: 16_384,
}
const module = new WebAssembly.Module(await readFile(new URL('../build/engine.wasm', import.meta.url)))
const IFINDEXES = [11, 12, 13]
const DIRECTIONS: readonly Direction[] = ['ingress', 'egress']

/** Every (endpoint, direction, address, port) with what the maps decide for it now. */
function* lookups(maps: DatapathMaps) {
  for (const address of ADDRESSES) {
    const peerClass = maps.peer(address)?.peerClass ?? 0
    for (const ifindex of IFINDEXES) for (const direction of DIRECTIONS) for (const [protocol, port] of PORTS) {
      const lookup = maps.decideByClass(ifindex, direction, peerClass, protocol, port)
      yield { query: `${ifindex} ${direction} ${formatAddress(address)} ${protocol}/${port}`, lookup }
    }
  }
}

const textOf = (lookup: Lookup | undefined) => (lookup ? `${lookup.decision} ${lookup.rule}` : 'none')

function verdictsOf(maps: DatapathMaps): Map<string, string> {
  return new Map([...lookups(maps)].map(({ query, lookup }) => [query, textOf(lookup)]))
}

function checkBetween(between: Map<string, string>, before: Map<string, string>, after: Map<string, string>, run: string): void {
  for (const [query, verdict] of between) {
    if (verdict !== before.get(query) && verdict !== after.get(query)) {
      throw new Error(`after ${run}: ${query} is "${verdict}", neither the old "${before.get(query)}" nor the new "${after.get(query)}"`)
    }
  }
}

function checkSettled(engine: Engine, maps: DatapathMaps, world: World): void {
  const peers = new Map(ADDRESSES.map((address) => [address, maps.peer(address)]))
  for (const from of ADDRESSES) for (const to of ADDRESSES) for (const [protocol, port] of PORTS) {
    const query = { from, to, protocol, port }
    const expected = modelVerdict(world, query)
    const actual = engine.verdict(query)
    const where = `${formatAddress(from)} -> ${formatAddress(to)} ${protocol}/${port}`
    for (const direction of ['egress', 'ingress'] as const) {
      const wanted = expected[direction] && `${expected[direction].decision} ${expected[direction].rule}`
      const got = actual[direction] && `${actual[direction].decision} ${actual[direction].rule}`
      const [own, peer] = direction === 'egress' ? [from, to] : [to, from]
      const lookup = maps.decideByClass(peers.get(own)?.ifindex ?? 0, direction, peers.get(peer)?.peerClass ?? 0, protocol, port)
      const mapped = lookup && textOf(lookup)
      if (wanted !== got || wanted !== mapped) throw new Error(`${where} ${direction}: model ${wanted}, engine ${got}, maps ${mapped}`)
    }
    if (actual.decision !== expected.decision) throw new Error(`${where}: model ${expected.decision}, engine ${actual.decision}`)
  }
}

/** Established flows, as conntrack keeps them: subject, class and generation as read when they were decided. */
class Flows {
  readonly #sides = new Map<string, { subject: number; peerClass: number; generation: number; verdict: string }>()

  check(maps: DatapathMaps): void {
    for (const { query, lookup } of lookups(maps)) {
      const kept = this.#sides.get(query)
      if (!lookup) this.#sides.delete(query)
      else if (!kept || kept.subject !== lookup.subject || maps.generation(kept.peerClass) !== kept.generation) {
        this.#sides.set(query, { ...lookup, generation: maps.generation(lookup.peerClass), verdict: textOf(lookup) })
      } else if (kept.verdict !== textOf(lookup)) {
        throw new Error(`an established flow ${query} keeps "${kept.verdict}", a new one gets "${textOf(lookup)}"`)
      }
    }
  }
}

/** Applies what the journal holds; `maps` afterwards is the new state. The runs are copied, so that they can be looked at one by one. */
function takeRuns(engine: Engine) {
  return engine.takeChanges().map((change) => ({ ...change, keys: change.keys.slice(), values: change.values.slice() }))
}

async function follow(transactions: readonly (readonly Step[])[]): Promise<void> {
  const engine = await Engine.instantiate(module, { capacities: SMALL })
  const maps = new DatapathMaps()
  const tables = new Tables()
  const flows = new Flows()
  for (const change of takeRuns(engine)) maps.apply(change)
  for (const steps of transactions) {
    engine.transaction(() => steps.forEach((one) => one.apply(engine)))
    for (const one of steps) one.record(tables)
    const runs = takeRuns(engine)
    const before = verdictsOf(maps)
    const states = runs.map((change) => {
      maps.apply(change)
      return { run: `${change.operation} of ${change.count} in ${change.map}`, verdicts: verdictsOf(maps) }
    })
    const after = states.at(-1)?.verdicts ?? before
    for (const { run, verdicts } of states) checkBetween(verdicts, before, after, run)
    checkSettled(engine, maps, tables.world())
    flows.check(maps)
  }
  checkNothingLeaks(engine, maps, tables)
}

/** With everything removed the maps hold what they held at the start, generations and old rows aside. */
function checkNothingLeaks(engine: Engine, maps: DatapathMaps, tables: Tables): void {
  engine.transaction(() => {
    for (const key of tables.documents.keys()) engine.removePolicy(key)
    for (const entry of tables.addresses.values()) engine.removeAddress(entry.address, entry.prefixLength)
    for (const ifindex of tables.endpoints.keys()) engine.removeEndpoint(ifindex)
  })
  for (const change of takeRuns(engine)) maps.apply(change)
  const sizes = [maps.maps.addresses.size, maps.maps.prefixes.size, maps.maps.endpoints.size, maps.maps.policy.size]
  if (sizes.join() !== '0,2,0,0') throw new Error(`left over: addresses, prefixes, endpoints, policy entries ${sizes.join()}`)
  engine.setIdentity(256, [])
  const { subjects, rows, entries } = engine.stats()
  if (subjects + rows + entries !== 0) throw new Error(`left over: ${JSON.stringify(engine.stats())}`)
}

test('engine, maps and model agree, transactions are atomic, established flows are right', async (t: ExecutionContext) => {
  t.timeout(600_000)
  await fc.assert(fc.asyncProperty(history, follow), { numRuns: RUNS, includeErrorInReport: true })
  t.pass()
})
