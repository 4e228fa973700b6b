// Random ClusterNetworkPolicies around random NetworkPolicies, and what their API definition says about them, evaluated
// on the documents themselves: no code of the compiler or the engine takes part.
import fc from 'fast-check'
import {
  decidedByNetworkPolicies, documentsOf, namespaceLabelsOf, namespaceSelector, podSelector, prefixOf, selects, testClusterOf, within,
  type Family, type TestCluster, type TestPod, type TestProbe, type TestSelector,
} from './network-policies.ts'

interface TestPods {
  namespaces?: TestSelector
  pods?: { namespaceSelector?: TestSelector; podSelector: TestSelector }
}

interface TestTierPeer extends TestPods {
  networks?: string[]
}

interface TestProtocol {
  tcp?: { destinationPort: TestDestination }
  udp?: { destinationPort: TestDestination }
  sctp?: { destinationPort: TestDestination }
  destinationNamedPort?: string
}

interface TestDestination {
  number?: number
  range?: { start: number; end: number }
}

interface TestTierRule {
  action: 'Accept' | 'Deny' | 'Pass'
  from?: TestTierPeer[]
  to?: TestTierPeer[]
  protocols?: TestProtocol[]
}

interface TestTierPolicy {
  readonly name: string
  readonly spec: {
    readonly tier: 'Admin' | 'Baseline'
    readonly priority: number
    readonly subject: TestPods
    readonly ingress?: readonly TestTierRule[]
    readonly egress?: readonly TestTierRule[]
  }
}

export interface TieredCluster {
  readonly cluster: TestCluster
  readonly tiers: readonly TestTierPolicy[]
}

/* ---- what the definition says ---- */

export function isAllowedByTiers(all: TieredCluster, from: TestPod, to: TestPod, probe: TestProbe): boolean {
  return from === to || (side(all, from, to, to, probe, 'egress') && side(all, to, from, to, probe, 'ingress'))
}

function side(all: TieredCluster, pod: TestPod, peer: TestPod, destination: TestPod, probe: TestProbe, direction: 'ingress' | 'egress'): boolean {
  const { cluster } = all
  const inTier = (tier: 'Admin' | 'Baseline'): boolean | undefined => decidedByTier(all, tier, pod, peer, destination, probe, direction)
  const type = direction === 'ingress' ? 'Ingress' : 'Egress'
  return inTier('Admin') ?? decidedByNetworkPolicies(cluster, pod, peer, destination, probe, type) ?? inTier('Baseline') ?? true
}

function decidedByTier(
  { cluster, tiers }: TieredCluster,
  tier: 'Admin' | 'Baseline',
  pod: TestPod,
  peer: TestPod,
  destination: TestPod,
  probe: TestProbe,
  direction: 'ingress' | 'egress',
): boolean | undefined {
  const policies = tiers.filter(({ spec }) => spec.tier === tier && selectsPod(cluster, spec.subject, pod))
  const rules = policies.toSorted((a, b) => a.spec.priority - b.spec.priority).flatMap(({ spec }) => spec[direction] ?? [])
  const first = rules.find(
    ({ from = [], to = [], protocols }) =>
      [...from, ...to].some((candidate) => selectsPeer(cluster, candidate, peer)) &&
      (protocols === undefined || protocols.some((protocol) => opens(protocol, destination, probe))),
  )
  return first === undefined || first.action === 'Pass' ? undefined : first.action === 'Accept'
}

function selectsPod(cluster: TestCluster, { namespaces, pods }: TestPods, pod: TestPod): boolean {
  if (namespaces !== undefined) return selects(namespaces, namespaceLabelsOf(cluster, pod))
  return selects(pods?.namespaceSelector ?? {}, namespaceLabelsOf(cluster, pod)) && selects(pods?.podSelector ?? {}, pod.labels)
}

function selectsPeer(cluster: TestCluster, peer: TestTierPeer, pod: TestPod): boolean {
  return peer.networks === undefined ? selectsPod(cluster, peer, pod) : peer.networks.some((cidr) => within(pod.ip, cidr))
}

function opens({ tcp, udp, sctp, destinationNamedPort }: TestProtocol, destination: TestPod, probe: TestProbe): boolean {
  if (destinationNamedPort !== undefined) {
    return destination.ports.some(
      ({ name, containerPort, protocol = 'TCP' }) =>
        name === destinationNamedPort && protocol === probe.protocol && containerPort === probe.port,
    )
  }
  const { number, range } = { TCP: tcp, UDP: udp, SCTP: sctp }[probe.protocol]?.destinationPort ?? {}
  return range === undefined ? number === probe.port : range.start <= probe.port && probe.port <= range.end
}

/* ---- random clusters ---- */

const podsOf: fc.Arbitrary<TestPods> = fc.oneof(
  fc.record({ namespaces: namespaceSelector }),
  fc.record({ pods: fc.record({ podSelector }) }),
  fc.record({ pods: fc.record({ namespaceSelector, podSelector }) }),
)

const networks = (family: Family): fc.Arbitrary<TestTierPeer> =>
  fc
    .array(fc.tuple(fc.nat(15), fc.nat(4)), { minLength: 1, maxLength: 2 })
    .map((list) => ({ networks: [...new Set(list.map(([last, free]) => prefixOf(family, last, free)))] }))

const port = fc.integer({ min: 80, max: 83 })
const destinationPort: fc.Arbitrary<TestDestination> = fc.oneof(
  fc.record({ number: port }),
  fc.tuple(fc.constantFrom(80, 81), fc.constantFrom(82, 83)).map(([start, end]) => ({ range: { start, end } })),
)
const transport = fc.record({ destinationPort })
const numbered: fc.Arbitrary<TestProtocol> = fc.oneof(fc.record({ tcp: transport }), fc.record({ udp: transport }), fc.record({ sctp: transport }))
const named: fc.Arbitrary<TestProtocol> = fc.record({ destinationNamedPort: fc.constantFrom('http', 'dns', 'absent') })

const protocols = (of: fc.Arbitrary<TestProtocol>): fc.Arbitrary<{ protocols?: TestProtocol[] }> =>
  fc.option(fc.array(of, { minLength: 1, maxLength: 2 }), { nil: undefined }).map((list) => (list === undefined ? {} : { protocols: list }))

const action = fc.constantFrom('Accept' as const, 'Deny' as const, 'Pass' as const)

const rule = (field: 'from' | 'to', peer: fc.Arbitrary<TestTierPeer>, ports: fc.Arbitrary<TestProtocol>): fc.Arbitrary<TestTierRule> =>
  fc
    .tuple(action, fc.array(peer, { minLength: 1, maxLength: 2 }), protocols(ports))
    .map(([decision, peers, own]) => ({ action: decision, [field]: peers, ...own }))

const tierPolicy = (family: Family) =>
  fc.record({
    tier: fc.constantFrom('Admin' as const, 'Baseline' as const),
    subject: podsOf,
    ingress: fc.array(rule('from', podsOf, fc.oneof(numbered, named)), { maxLength: 3 }),
    // Peers by address have no named ports.
    egress: fc.array(fc.oneof(rule('to', podsOf, fc.oneof(numbered, named)), rule('to', networks(family), numbered)), { maxLength: 3 }),
  })

export const tieredCluster: fc.Arbitrary<TieredCluster> = fc.constantFrom<Family[]>('IPv4', 'IPv6').chain((family) =>
  fc.record({
    cluster: testClusterOf(family),
    tiers: fc.array(tierPolicy(family), { minLength: 1, maxLength: 4 }).chain((list) =>
      // Equal priorities would leave the order to the implementation.
      fc
        .uniqueArray(fc.nat(1000), { minLength: list.length, maxLength: list.length })
        .map((priorities) => list.map((spec, index) => ({ name: `tier-${index}`, spec: { ...spec, priority: priorities[index] ?? 0 } }))),
    ),
  }),
)

export function tieredDocuments({ cluster, tiers }: TieredCluster): readonly object[] {
  const documents = tiers.map(({ name, spec }) => ({
    apiVersion: 'policy.networking.k8s.io/v1alpha2',
    kind: 'ClusterNetworkPolicy',
    metadata: { name },
    spec,
  }))
  return [...documentsOf(cluster), ...documents]
}
