// How much changes, counted: what a large cluster costs is a matter of how many records one change writes.

import test from 'ava'
import { PEER_LOCAL_RANGE } from './assembly/records.generated.ts'
import { addressOf, type AddressEntry, type Change, Engine, type EngineMap, type Policy } from './index.ts'

const IDENTITIES = 100_000
const RULES = 1000
const SUBJECTS = 10
const FIRST = 1000
const SUBJECT = 1 << 20
const MIB = 1 << 20
const mac = new Uint8Array(6)

const labelsOf = (index: number) => [`k8s:app=app-${index % 100}`, `k8s:group=group-${Math.floor(index / 100) % 10}`, `k8s:release=${Math.floor(index / 1000)}`]
const addressAt = (identity: number, text: string): AddressEntry => ({ address: addressOf(text), prefixLength: 128, identity, flags: 0, ifindex: 0, namedPorts: [] })
const having = (pairs: Readonly<Record<string, string>>) =>
  ({ requirements: Object.entries(pairs).map(([key, value]) => ({ key, operator: 'In' as const, values: [value] })) })

/** Every rule has a selector of two labels and a port of its own; each subject has a tenth of the rules. */
function policyOf(rule: number, port = 1000 + rule): Policy {
  const selector = having({ 'k8s:app': `app-${rule % 100}`, 'k8s:group': `group-${Math.floor(rule / 100) % 10}` })
  return {
    subject: having({ 'k8s:subject': `${rule % SUBJECTS}` }), tier: 'normal', priority: 0, isolates: { ingress: 1 }, audit: false,
    rules: [{ number: rule + 2, direction: 'ingress', action: 'allow', peers: [{ selector }], ports: [{ protocol: 6, first: port, last: port }] }],
  }
}

/** All of it told in one transaction; made once, and each test leaves behind what does not matter to the others. */
const engine = await Engine.load()
engine.transaction(() => {
  // What has no entry in the workloads' range is dropped: no flow can have begun to an address that comes.
  engine.setAddress({ ...addressAt(2, '10.0.0.0'), prefixLength: 103, flags: PEER_LOCAL_RANGE })
  for (let i = 0; i < SUBJECTS; i++) {
    engine.setIdentity(SUBJECT + i, [`k8s:subject=${i}`])
    engine.setEndpoint({ ifindex: i + 1, id: i + 1, identity: SUBJECT + i, flags: 0, mac, nodeMac: mac, namedPorts: [] })
  }
  for (let rule = 0; rule < RULES; rule++) engine.setPolicy(`policy-${rule}`, [policyOf(rule)])
  for (let i = 0; i < IDENTITIES; i++) {
    engine.setIdentity(FIRST + i, labelsOf(i))
    engine.setAddress(addressAt(FIRST + i, `10.${i >> 16}.${i >> 8 & 255}.${i & 255}`))
  }
})
engine.takeChanges()

function written(change: () => void): Partial<Record<EngineMap, number>> {
  engine.transaction(change)
  const counts: Partial<Record<EngineMap, number>> = {}
  for (const { map, count } of engine.takeChanges()) counts[map] = (counts[map] ?? 0) + count
  return counts
}

function subjectsOf({ keys, count }: Change): number[] {
  const view = new DataView(keys.buffer, keys.byteOffset)
  return Array.from({ length: count }, (_, index) => view.getUint32(index * 8, true))
}

test.serial('100,000 identities in one transaction fit 256 MiB, and make as many classes as they match differently', (t) => {
  const { bytes, classes } = engine.stats()
  t.true(bytes < 256 * MIB, `${bytes} bytes`)
  t.is(classes, RULES + 1) // The world and the range, which no rule selects, are one class.
})

test.serial('an identity of a known class is one write', (t) => {
  t.deepEqual(written(() => {
    engine.setIdentity(SUBJECT + 100, labelsOf(7))
    engine.setAddress(addressAt(SUBJECT + 100, '11.0.0.1'))
  }), { addresses: 1 })
})

test.serial('an identity of a new class writes for the rules that select it', (t) => {
  for (const [index, groups] of [[2, 3], [3, 6]] as const) {
    const labels = Array.from({ length: groups }, (_, group) => `k8s:group=group-${group}`)
    // Rules 5, 105, 205...: one for each group, all of one subject.
    const counts = written(() => {
      engine.setIdentity(SUBJECT + 100 + index, ['k8s:app=app-5', ...labels])
      engine.setAddress(addressAt(SUBJECT + 100 + index, `11.0.0.${index}`))
    })
    t.deepEqual(counts, { addresses: 1, policy: 1, policy_rows: groups })
  }
})

test.serial('a policy that comes, changes or goes writes the entries of its own subjects alone', (t) => {
  const changes: (() => void)[] = [
    () => engine.setPolicy('one more', [policyOf(3, 9000)]), () => engine.setPolicy('one more', [policyOf(13, 9001)]), () => engine.removePolicy('one more'),
  ]
  let own: number | undefined
  for (const change of changes) {
    engine.transaction(change)
    const runs = engine.takeChanges()
    const removed = runs.filter(({ map, operation }) => map === 'policy' && operation === 'delete').flatMap(subjectsOf)
    const added = runs.filter(({ map, operation }) => map === 'policy' && operation === 'update').flatMap(subjectsOf)
    t.is(new Set(added).size, 1)
    t.is(new Set(removed).size, 1)
    if (own !== undefined) t.is(removed[0], own)
    own = added[0]
    t.is(runs.filter(({ map }) => map === 'endpoints').reduce((sum, { count }) => sum + count, 0), 1)
    t.false(runs.some(({ map }) => map === 'addresses' || map === 'prefixes'), 'no address is touched')
  }
})

test.serial('20,000 addresses behind one selector are one class, and one more is one write and a generation', (t) => {
  const { classes } = engine.stats()
  const identity = SUBJECT + 200
  const selector = having({ 'fqdn:name': 'example.org' })
  written(() => {
    engine.setIdentity(identity, ['fqdn:name=example.org'])
    engine.setPolicy('name', [{ ...policyOf(0), rules: [{ number: 1, direction: 'ingress', action: 'allow', peers: [{ selector }], ports: 'all' }] }])
    for (let i = 0; i < 20_000; i++) engine.setAddress(addressAt(identity, `203.0.${i >> 8}.${i & 255}`))
  })
  t.is(engine.stats().classes, classes + 1)
  // The address was the world's: its flows are decided again.
  t.deepEqual(written(() => engine.setAddress(addressAt(identity, '203.1.0.0'))), { addresses: 1, class_generations: 1 })
})
