// What must hold of the engine's journal and verdicts, checked on the maps that the journal fills.

import { readFile } from 'node:fs/promises'
import { HOST_IFINDEX, PEER_HOST, PEER_LOCAL_RANGE } from '../assembly/records.generated.ts'
import { Engine, formatAddress } from '../index.ts'
import { modelVerdict, type World } from './model.ts'
import type { Capacities, Change, Direction } from '../types.ts'
import { ADDRESSES, ENDPOINTS, PORTS, type Step, Tables } from './arbitrary.ts'
import { DatapathMaps, type Lookup } from './maps.ts'

const SMALL = {
  identities: 64, labels: 1024, selectors: 1024, rules: 1024, addresses: 256, endpoints: 16, classes: 256, policyEntries: 4096, policyRows: 16_384,
}
const DIRECTIONS: readonly Direction[] = ['ingress', 'egress']
const module = new WebAssembly.Module(await readFile(new URL('../../build/engine.wasm', import.meta.url)))

/** An engine with room for the worlds of arbitrary.ts. */
export function smallEngine(capacities: Partial<Capacities> = {}): Promise<Engine> {
  return Engine.instantiate(module, { capacities: { ...SMALL, ...capacities } })
}

/**
 * Every (endpoint, direction, address, port) with what the maps decide for it now: what policy alone says, or with the
 * drop of what is in a local range without an entry, which comes before policy.
 */
function* lookups(maps: DatapathMaps, dropsLocalRange: boolean) {
  for (const address of ADDRESSES) {
    const peer = maps.peer(address)
    const dropped = dropsLocalRange && ((peer?.flags ?? 0) & PEER_LOCAL_RANGE) !== 0
    const peerClass = dropped ? 0 : peer?.peerClass ?? 0
    for (const ifindex of ENDPOINTS) for (const direction of DIRECTIONS) for (const [protocol, port] of PORTS) {
      const lookup = maps.decideByClass(ifindex, direction, peerClass, protocol, port)
      yield { query: `${ifindex} ${direction} ${formatAddress(address)} ${protocol}/${port}`, lookup }
    }
  }
}

const textOf = (lookup: Lookup | undefined) => (lookup ? `${lookup.decision} ${lookup.rule}` : 'none')

export function verdictsOf(maps: DatapathMaps): Map<string, string> {
  return new Map([...lookups(maps, false)].map(({ query, lookup }) => [query, textOf(lookup)]))
}

function checkBetween(between: Map<string, string>, before: Map<string, string>, after: Map<string, string>, run: string): void {
  for (const [query, verdict] of between) {
    if (verdict !== before.get(query) && verdict !== after.get(query)) {
      throw new Error(`after ${run}: ${query} is "${verdict}", neither the old "${before.get(query)}" nor the new "${after.get(query)}"`)
    }
  }
}

export function checkSettled(engine: Engine, maps: DatapathMaps, world: World): void {
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
      const lookup = maps.decideByClass(endpointOf(peers.get(own)), direction, peers.get(peer)?.peerClass ?? 0, protocol, port)
      const mapped = lookup && textOf(lookup)
      if (wanted !== got || wanted !== mapped) throw new Error(`${where} ${direction}: model ${wanted}, engine ${got}, maps ${mapped}`)
    }
    if (actual.decision !== expected.decision) throw new Error(`${where}: model ${expected.decision}, engine ${actual.decision}`)
  }
}

/** Interface of the endpoint that has the address; 0: none. */
function endpointOf(peer: ReturnType<DatapathMaps['peer']>): number {
  if (peer === undefined) return 0
  return (peer.flags & PEER_HOST) === 0 ? peer.ifindex : HOST_IFINDEX
}

/** Established flows, as conntrack keeps them: subject, class and generation as read when they were decided. */
export class Flows {
  readonly #sides = new Map<string, { subject: number; peerClass: number; generation: number; verdict: string }>()

  check(maps: DatapathMaps): void {
    for (const { query, lookup } of lookups(maps, true)) {
      const kept = this.#sides.get(query)
      if (!lookup) continue // the endpoint is gone, its entries in conntrack are not
      if (!kept || kept.subject !== lookup.subject || maps.generation(kept.peerClass) !== kept.generation) {
        this.#sides.delete(query)
        if (lookup.decision === 'unknown') continue // dropped before policy: no flow begins
        this.#sides.set(query, { ...lookup, generation: maps.generation(lookup.peerClass), verdict: textOf(lookup) })
      } else if (kept.verdict !== textOf(lookup)) {
        throw new Error(`an established flow ${query} keeps "${kept.verdict}", a new one gets "${textOf(lookup)}"`)
      }
    }
  }
}

/** The kernel applies a batch record by record, and packets see every state; of rows, generations and numbers nobody can tell. */
function* recordsOf(change: Change): Iterable<Change> {
  if (change.map === 'policy_rows' || change.map === 'class_generations' || change.map === 'last_subject') {
    yield change
    return
  }
  const keyBytes = change.keys.length / change.count
  const valueBytes = change.values.length / change.count
  for (let i = 0; i < change.count; i++) {
    yield { ...change, count: 1, keys: change.keys.subarray(i * keyBytes, (i + 1) * keyBytes), values: change.values.subarray(i * valueBytes, (i + 1) * valueBytes) }
  }
}

/** Applies the journal record by record: each state in between must show only old and new verdicts. */
export function applyAtomically(engine: Engine, maps: DatapathMaps): void {
  const before = verdictsOf(maps)
  const states = engine.takeChanges().flatMap((change) => [...recordsOf(change)]).map((change) => {
    maps.apply(change)
    return { what: `${change.operation} of ${change.map}`, verdicts: verdictsOf(maps) }
  })
  const after = states.at(-1)?.verdicts ?? before
  for (const { what, verdicts } of states) checkBetween(verdicts, before, after, what)
}

/** An engine, the maps behind it, and the tables that the model reads, led through transactions together. */
export class Node {
  readonly maps = new DatapathMaps()
  readonly tables = new Tables()
  readonly flows = new Flows()
  engine: Engine

  constructor(engine: Engine) {
    this.engine = engine
    for (const change of engine.takeChanges()) this.maps.apply(change)
  }

  transact(steps: readonly Step[]): void {
    this.engine.transaction(() => steps.forEach((step) => step.apply(this.engine)))
    for (const step of steps) step.record(this.tables)
    this.settle()
  }

  settle(): void {
    applyAtomically(this.engine, this.maps)
    checkSettled(this.engine, this.maps, this.tables.world())
    this.flows.check(this.maps)
  }

  /** With everything removed the maps hold what they held at the start, generations and old rows aside. */
  checkNothingLeaks(): void {
    const { engine, tables } = this
    engine.transaction(() => {
      for (const key of tables.documents.keys()) engine.removePolicy(key)
      for (const entry of tables.addresses.values()) engine.removeAddress(entry.address, entry.prefixLength)
      for (const ifindex of tables.endpoints.keys()) engine.removeEndpoint(ifindex)
    })
    for (const change of engine.takeChanges()) this.maps.apply(change)
    const { addresses, prefixes, endpoints, policy } = this.maps.maps
    const sizes = [addresses.size, prefixes.size, endpoints.size, policy.size].join()
    if (sizes !== '0,2,0,0') throw new Error(`left over: addresses, prefixes, endpoints, policy entries ${sizes}`)
    engine.setIdentity(256, []) // spans are given back at the start of the next transaction
    const { subjects, rows, entries } = engine.stats()
    if (subjects + rows + entries !== 0) throw new Error(`left over: ${JSON.stringify(engine.stats())}`)
  }
}
