// What was seen is allowed by what is suggested, and what was not seen is not.
import test from 'ava'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { compile, parseDocuments, type Cluster } from '../../manifests/index.ts'
import { connectionsOf, decideEverywhere } from '../connections.ts'
import type { End } from '../ends.ts'
import { readFlows } from '../flows.ts'
import { RecordedEnds } from '../recorded.ts'
import { within } from '../segments.ts'
import { Simulation } from '../simulation.ts'
import { end, flow, host, jsonl, outside } from '../testing/flows.ts'
import type { FlowEnd } from '../../observe/index.ts'
import { groupsOf } from './groups.ts'
import { suggest, type SuggestOptions } from './index.ts'

const NETWORK_POLICY: SuggestOptions = { kind: 'NetworkPolicy', world: 'cidr' }
const CILIUM: SuggestOptions = { kind: 'CiliumNetworkPolicy', world: 'cidr' }

const workload = (namespace: string, name: string, labels: Record<string, string>, address: string): object => ({
  apiVersion: 'sluice.io/v1', kind: 'Workload', metadata: { name, namespace, labels }, spec: { addresses: [address] },
})

const clusterOf = (...documents: readonly object[]): Cluster => {
  const { documents: parsed, errors } = parseDocuments(documents.map((document) => stringify(document)).join('---\n'), 'c.yaml')
  if (errors[0]) throw errors[0]
  return compile(parsed)
}

const labels = fc.record({
  app: fc.constantFrom('web', 'db'), tier: fc.constantFrom('a', 'b'), canary: fc.constant('yes'), 'pod-template-hash': fc.constantFrom('x1', 'x2'),
}, { requiredKeys: [] })
const places = fc.array(fc.record({ namespace: fc.constantFrom('one', 'two'), labels }), { minLength: 2, maxLength: 8 })
const seen = fc.array(fc.record({ from: fc.nat(), to: fc.nat(), port: fc.constantFrom(80, 81, 5432), protocol: fc.constantFrom('TCP', 'UDP') }), { minLength: 1, maxLength: 12 })

interface Generated {
  readonly documents: readonly object[]
  readonly record: string
}

/** The last two ends are the world and the host. */
const generated = fc.tuple(places, seen).map(([list, flows]): Generated => {
  const documents = list.map(({ namespace, labels: own }, index) => workload(namespace, `w-${index}`, own as Record<string, string>, `10.0.0.${index + 1}`))
  const ends = (port: number): readonly FlowEnd[] => [
    ...list.map(({ namespace, labels: own }, index) => end(`${namespace}/w-${index}`, `10.0.0.${index + 1}`, port, own as Record<string, string>)),
    outside('192.0.2.7', port), host('10.9.9.9', port),
  ]
  const lines = flows.flatMap(({ from, to, port, protocol }, index) => {
    const [source, destination] = [ends(40_000 + index)[from % (list.length + 2)], ends(port)[to % (list.length + 2)]]
    return source === undefined || destination === undefined || source.address === destination.address ? [] : [flow(source, destination, { protocol })]
  })
  return { documents, record: jsonl(...lines) }
})

const KEYS = [6, 17].flatMap((protocol) => [80, 81, 82, 5432].map((port) => (protocol << 16) | port))

for (const options of [NETWORK_POLICY, CILIUM]) {
  test(`${options.kind}: every seen flow is allowed, and between groups no other`, async (t) => {
    const counts = { allowed: 0, denied: 0 }
    const property = fc.asyncProperty(generated, async ({ documents, record: text }) => {
      const record = await readFlows(text.split('\n'), 'f')
      const known = new RecordedEnds(clusterOf(...documents), record.connections)
      const { policies } = suggest(record.connections, known, options)
      const ends = new RecordedEnds(clusterOf(...documents, ...policies.map(({ document }) => document)), record.connections)
      const simulation = await Simulation.of(ends.cluster, ends.standIns)
      const groups = groupsOf(ends.cluster.workloads)
      const idOf = ({ workload: own, standIn, address }: End): unknown => (own ? groups.get(own) : (standIn ?? address))
      const allows = (from: End, to: End, key: number): boolean => connectionsOf(simulation, from, to).every((connection) =>
        within(decideEverywhere(simulation, connection), key, key)[0]?.value.decision === 'allowed')
      const talks = record.connections.map(({ from, to, key }) => ({ from: ends.endOf(from), to: ends.endOf(to), key }))
      for (const { from, to, key } of talks) {
        t.true(allows(from, to, key))
        counts.allowed++
      }
      const closed = new Set(talks.flatMap(({ from, to }) => [from, to]).map(idOf))
      const members: readonly End[] = [...ends.cluster.workloads.map((own): End => ({ workload: own })), { address: '192.0.2.7' }, { address: '192.0.2.8' }]
      for (const [from, to, key] of members.flatMap((a) => members.flatMap((b) => KEYS.map((each) => [a, b, each] as const)))) {
        const isSeen = talks.some((talk) => idOf(talk.from) === idOf(from) && idOf(talk.to) === idOf(to) && talk.key === key)
        const guarded = [from, to].some((each) => each.workload !== undefined && closed.has(idOf(each)))
        if (isSeen || !guarded || from.workload === to.workload) continue
        t.false(allows(from, to, key))
        counts.denied++
      }
    })
    await fc.assert(property, { numRuns: 60 })
    t.true(counts.allowed > 100 && counts.denied > 1000, JSON.stringify(counts))
  })
}

// ---- selectors ----------------------------------------------------------------------------------------------------

const selectorsOf = (...all: readonly Record<string, string>[]): readonly unknown[] => {
  const { workloads } = clusterOf(...all.map((own, index) => workload('demo', `w-${index}`, own, `10.0.0.${index + 1}`)))
  const groups = groupsOf(workloads)
  return [...new Set(groups.values())].map(({ selector }) => selector)
}

test('hashes of controllers are no part of a group, and an application\'s name is enough where it is', (t) => {
  t.deepEqual(selectorsOf({ app: 'web', 'pod-template-hash': 'x', a: '1' }, { app: 'web', 'pod-template-hash': 'y', a: '1' }, { app: 'db' }), [
    { matchLabels: { app: 'web' } }, { matchLabels: { app: 'db' } },
  ])
})

test('where the name is not enough, a label that tells apart is added', (t) => {
  t.deepEqual(selectorsOf({ app: 'web', role: 'a', zone: '1' }, { app: 'web', role: 'b', zone: '1' }), [
    { matchLabels: { app: 'web', role: 'a' } }, { matchLabels: { app: 'web', role: 'b' } },
  ])
})

test('who has fewer labels than another is told apart by what it lacks', (t) => {
  t.deepEqual(selectorsOf({ app: 'web' }, { app: 'web', canary: 'yes' }, {}), [
    { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'canary', operator: 'DoesNotExist' }] },
    { matchLabels: { app: 'web', canary: 'yes' } },
    { matchExpressions: [{ key: 'app', operator: 'DoesNotExist' }] },
  ])
})

// ---- documents ----------------------------------------------------------------------------------------------------

const web = (port: number) => end('demo/web', '10.0.0.1', port, { app: 'web' })
const db = (port: number) => end('data/db', '10.0.0.2', port, { app: 'db' })
const ping = { protocol: 'ICMP', icmp: { type: 8, code: 0 } } as const

async function suggested(options: SuggestOptions, ...flows: readonly ReturnType<typeof flow>[]) {
  const { connections } = await readFlows(jsonl(...flows).split('\n'), 'f')
  return suggest(connections, new RecordedEnds(clusterOf(workload('demo', 'idle', { app: 'idle' }, '10.0.0.3')), connections), options)
}

test('a NetworkPolicy a group, closed in both directions but for what was seen', async (t) => {
  const { policies, unsaid, unseen } = await suggested(NETWORK_POLICY, flow(web(1), db(5432)), flow(web(2), db(5433)), flow(outside('192.0.2.7', 3), web(80)), flow(web(0), db(0), ping))
  t.deepEqual(policies.map(({ document }) => document), [
    {
      apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'suggested-web', namespace: 'demo' },
      spec: {
        podSelector: { matchLabels: { app: 'web' } },
        policyTypes: ['Ingress', 'Egress'],
        ingress: [{ from: [{ ipBlock: { cidr: '192.0.2.7/32' } }], ports: [{ port: 80, protocol: 'TCP' }] }],
        egress: [{
          to: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'data' } }, podSelector: { matchLabels: { app: 'db' } } }],
          ports: [{ port: 5432, endPort: 5433, protocol: 'TCP' }],
        }],
      },
    },
    {
      apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'suggested-db', namespace: 'data' },
      spec: {
        podSelector: { matchLabels: { app: 'db' } },
        policyTypes: ['Ingress', 'Egress'],
        ingress: [{
          from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'demo' } }, podSelector: { matchLabels: { app: 'web' } } }],
          ports: [{ port: 5432, endPort: 5433, protocol: 'TCP' }],
        }],
      },
    },
  ])
  t.deepEqual([unsaid.length, unseen], [1, ['demo/idle']])
})

test('a CiliumNetworkPolicy has words for ICMP, hosts and the world', async (t) => {
  const { policies, unsaid } = await suggested({ ...CILIUM, world: 'entity' }, flow(outside('192.0.2.7', 1), web(80)), flow(host('10.9.9.9', 0), web(0), ping))
  t.deepEqual(policies.map(({ document }) => document), [{
    apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata: { name: 'suggested-web', namespace: 'demo' },
    spec: {
      endpointSelector: { matchLabels: { app: 'web' } },
      ingress: [
        { fromEntities: ['host'], icmps: [{ fields: [{ family: 'IPv4', type: 8 }] }] },
        { fromEntities: ['world'], toPorts: [{ ports: [{ port: '80', protocol: 'TCP' }] }] },
      ],
      egress: [{}],
    },
  }])
  t.deepEqual(unsaid, [])
})

test('peers with the same ports share a rule; drops ask for nothing', async (t) => {
  const at = (address: string) => flow(outside(address, 1), web(80))
  const dropped = flow(outside('192.0.2.9', 1), web(80), { verdict: 'dropped', reason: 'policy-denied' })
  const { policies } = await suggested(CILIUM, at('192.0.2.7'), at('192.0.2.8'), dropped)
  t.like(policies[0]?.document, { spec: { ingress: [{ fromCIDR: ['192.0.2.7/32', '192.0.2.8/32'] }] } })
})

test('workloads without known labels get no policy', async (t) => {
  const early: FlowEnd = { ...web(1), labels: ['reserved:init='] }
  const { policies, unsaid } = await suggested(NETWORK_POLICY, flow(early, db(80)))
  t.deepEqual([policies.length, unsaid.length], [0, 1])
})
