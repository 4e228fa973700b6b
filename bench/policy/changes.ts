// What one change costs in a world that stands, and a stream of changes.

import { addressOf, type Engine, type Label } from '../../engine/index.ts'
import { measure, print, printRounds, quantile, round1 } from './measure.ts'
import { labelsOf, policyOf, ruleOf, selectorOf, workload, type World } from './world.ts'

const ROUNDS = 200
const NEW_IDENTITIES = 2_000_000
const NEW_ADDRESSES = 10_000_000 // Indexes far above those of the world's peers.
const IDENTITIES_A_SECOND = 1000
const POLICIES_A_SECOND = 2
const CHURN_SECONDS = 5

export function singleChanges(engine: Engine, world: World): void {
  engine.setIdentity(NEW_IDENTITIES, labelsOf(1, world))
  engine.takeChanges()
  printRounds('new-address/existing-class', engine, ROUNDS, (round) => engine.setAddress(workload(NEW_ADDRESSES + round, NEW_IDENTITIES)))
  printRounds('new-identity/existing-class', engine, ROUNDS, (round) => addPeer(engine, ROUNDS + round, labelsOf(round, world)))
  printRounds('new-identity/new-class', engine, ROUNDS / 10, (round) => addPeer(engine, 2 * ROUNDS + round, labelsOfTwo(round, world)))
  const policy = policyOf(0, [ruleOf(world.rules + 7, world)])
  printRounds('new-policy', engine, ROUNDS / 10, (round) => engine.setPolicy(`extra-${round}`, [policy]))
  printRounds('removed-policy', engine, ROUNDS / 10, (round) => engine.removePolicy(`extra-${round}`))
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
export function manyAddresses(engine: Engine, addresses: number): void {
  const identity = NEW_IDENTITIES + 1_000_000
  const selector = selectorOf({ 'fqdn:name': 'example.org' })
  const before = engine.stats().classes
  const cost = measure(engine, () => {
    engine.setIdentity(identity, ['fqdn:name=example.org'])
    engine.setPolicy('fqdn', [policyOf(0, [{ number: 1, direction: 'egress', action: 'allow', peers: [{ selector }], ports: 'all' }])])
    for (let i = 0; i < addresses; i++) engine.setAddress({ ...workload(i, identity), address: worldAddress(i), flags: 0 })
  })
  print(`addresses/${addresses}`, 'ms', round1(cost.us / 1000), { new_classes: engine.stats().classes - before, map_writes: cost.writes })
  printRounds('one-more-address', engine, ROUNDS, (round) => {
    engine.setAddress({ ...workload(0, identity), address: worldAddress(addresses + round), flags: 0 })
  })
}

function worldAddress(index: number): Uint8Array {
  return addressOf(`203.${index >> 16}.${index >> 8 & 255}.${index & 255}`)
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
