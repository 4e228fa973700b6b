// What one change costs in a world that stands, and a stream of changes.

import { endpointRecord, policyKeyRecord, type Field } from '../../bpf/index.ts'
import { addressOf, type Engine, type Label, type Requirement } from '../../engine/index.ts'
import { costOf, measure, measureRounds, print, printCost, quantile, round1 } from './measure.ts'
import { labelsOf, policyOf, ruleOf, selectorOf, workload, type World } from './world.ts'

const ROUNDS = 200
const NEW_IDENTITIES = 2_000_000
const NEW_ADDRESSES = 10_000_000 // Indexes far above those of the world's peers.
const IDENTITIES_A_SECOND = 1000
const POLICIES_A_SECOND = 2
const CHURN_SECONDS = 5

export function singleChanges(engine: Engine, world: World): void {
  const scale = { rules: world.rules, identities: world.identities, endpoints: world.endpoints }
  const printed = (name: string, rounds: number, change: (round: number) => void, rest: object = {}): void =>
    printCost(name, measureRounds(engine, rounds, change), { ...rest, ...scale })
  engine.setIdentity(NEW_IDENTITIES, labelsOf(1, world))
  engine.takeChanges()
  printed('new-address/existing-class', ROUNDS, (round) => engine.setAddress(workload(NEW_ADDRESSES + round, NEW_IDENTITIES)))
  printed('new-identity/existing-class', ROUNDS, (round) => addPeer(engine, ROUNDS + round, labelsOf(round, world)))
  const last = labelsOfTwo(ROUNDS / 10 - 1, world)
  const selecting = { selecting_rules: rulesSelecting(last, world) }
  printed('new-identity/new-class', ROUNDS / 10, (round) => addPeer(engine, 2 * ROUNDS + round, labelsOfTwo(round, world)), selecting)
  const policy = policyOf(0, [ruleOf(world.rules + 7, world)])
  const counted = policyCounts(engine, () => engine.setPolicy('counted', [policy]))
  printed('new-policy', ROUNDS / 10, (round) => engine.setPolicy(`extra-${round}`, [policy]), counted)
  const countedRemoval = policyCounts(engine, () => engine.removePolicy('counted'))
  printed('removed-policy', ROUNDS / 10, (round) => engine.removePolicy(`extra-${round}`), countedRemoval)
}

function rulesSelecting(labels: readonly Label[], world: World): number {
  const rules = Array.from({ length: world.rules }, (_, index) => ruleOf(index, world).peers[0])
  const has = ({ key, values }: Requirement): boolean => values.some((value) => labels.includes(`${key}=${value}`))
  return rules.filter((peer) => typeof peer === 'object' && peer.selector?.requirements.every(has)).length
}

/** Entries of the map `policy` that a change writes for subjects which endpoints turn to by it, and what it does to all others. */
function policyCounts(engine: Engine, change: () => void): object {
  engine.transaction(change)
  const changes = engine.takeChanges().filter(({ operation }) => operation === 'update')
  const turnedTo = new Set(changes.filter(({ map }) => map === 'endpoints').flatMap(({ values }) => wordsAt(values, endpointRecord, 'subject')))
  const subjects = changes.filter(({ map }) => map === 'policy').flatMap(({ keys }) => wordsAt(keys, policyKeyRecord, 'subject'))
  const own = subjects.filter((subject) => turnedTo.has(subject)).length
  return { subjects_changed: turnedTo.size, own_entries: own, other_entries: engine.stats().entries - own, other_entries_rewritten: subjects.length - own }
}

/** One 32-bit field of each of the records. */
function wordsAt(records: Uint8Array, { size, fields }: { size: number; fields: readonly Field[] }, name: string): number[] {
  const view = new DataView(records.buffer, records.byteOffset, records.length)
  const offset = fields.find((field) => field.name === name)?.offset ?? Number.NaN
  return Array.from({ length: records.length / size }, (_, index) => view.getUint32(index * size + offset, true))
}

function addPeer(engine: Engine, index: number, labels: readonly Label[]): void {
  engine.setIdentity(NEW_IDENTITIES + index, labels)
  engine.setAddress(workload(NEW_ADDRESSES + index, NEW_IDENTITIES + index))
}

/** Labels of two kinds at once: no identity of the world matches what this one does. */
function labelsOfTwo(round: number, world: World): Label[] {
  return [...labelsOf(round, world), ...labelsOf(round + 4321, world)]
}

/** Addresses that a name resolves to: one identity, one class, however many there are. */
export function manyAddresses(engine: Engine, addresses: number, world: World): void {
  const identity = NEW_IDENTITIES + 1_000_000
  const selector = selectorOf({ 'fqdn:name': 'example.org' })
  const before = engine.stats().classes
  const cost = measure(engine, () => {
    engine.setIdentity(identity, ['fqdn:name=example.org'])
    engine.setPolicy('fqdn', [policyOf(0, [{ number: 1, direction: 'egress', action: 'allow', peers: [{ selector }], ports: 'all' }])])
    for (let i = 0; i < addresses; i++) engine.setAddress({ ...workload(i, identity), address: worldAddress(i), flags: 0 })
  })
  print(`addresses/${addresses}`, 'ms', round1(cost.us / 1000), { new_classes: engine.stats().classes - before, map_writes: cost.writes })
  printCost('one-more-address', measureRounds(engine, ROUNDS, (round) => {
    engine.setAddress({ ...workload(0, identity), address: worldAddress(addresses + round), flags: 0 })
  }), { selectors: 1 + world.rules })
}

function worldAddress(index: number): Uint8Array {
  return addressOf(`203.${index >> 16}.${index >> 8 & 255}.${index & 255}`)
}

/** A policy whose entries do not fit the map: nothing is written, and the error names it and what is in use. */
export function overflow(engine: Engine, world: World): void {
  const everybody = { requirements: [{ key: 'k8s:release', operator: 'Exists' as const, values: [] }] }
  const policy = policyOf(0, [{ ...ruleOf(world.rules, world), peers: [{ selector: everybody }] }])
  try {
    engine.setPolicy('too-much', [policy])
  } catch (error) {
    const { entries } = engine.stats()
    print('overflow', 'map_writes', costOf(engine.takeChanges(), 0).writes, { entries, error: (error as Error).message })
  }
}

/** Identities come and go and policies change, each a transaction of its own; latencies from the change to its records. */
export function churn(engine: Engine, world: World): void {
  const identities: number[] = []
  const policies: number[] = []
  const every = IDENTITIES_A_SECOND / POLICIES_A_SECOND
  for (let i = 0; i < IDENTITIES_A_SECOND * CHURN_SECONDS; i++) {
    const come = (): void => addPeer(engine, 10_000 + i, labelsOf(i, world))
    const go = (): void => removePeer(engine, 10_000 + i - 1)
    identities.push(measure(engine, i % 2 === 0 ? come : go).us)
    if (i % every !== 0) continue
    const policy = policyOf(i / every % world.subjects, [ruleOf(i, world)])
    policies.push(measure(engine, () => engine.setPolicy(`churn-${i / every % 3}`, [policy])).us)
  }
  for (const [name, values] of [['churn/identities', identities], ['churn/policies', policies]] as const) {
    const [p50, p99] = [quantile(values, 0.5), quantile(values, 0.99)].map(round1)
    print(name, 'p99_us', p99 ?? Number.NaN, { p50_us: p50, max_us: round1(Math.max(...values)), changes: values.length })
  }
}

function removePeer(engine: Engine, index: number): void {
  engine.removeIdentity(NEW_IDENTITIES + index)
  engine.removeAddress(workload(NEW_ADDRESSES + index, 0).address, 128)
}
