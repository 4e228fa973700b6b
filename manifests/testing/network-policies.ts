// Random clusters with NetworkPolicies, and what Kubernetes' documentation says about them, evaluated on the
// documents themselves: no code of the compiler or the engine takes part.
import fc from 'fast-check'

export interface TestPod {
  readonly namespace: string
  readonly name: string
  readonly labels: Record<string, string>
  readonly ip: string
  readonly ports: readonly { name: string; containerPort: number; protocol?: string }[]
}

export interface TestSelector {
  matchLabels?: Record<string, string>
  matchExpressions?: { key: string; operator: string; values?: string[] }[]
}

export interface TestPeer {
  podSelector?: TestSelector
  namespaceSelector?: TestSelector
  ipBlock?: { cidr: string; except?: string[] }
}

export interface TestPort {
  protocol?: string
  port?: number | string
  endPort?: number
}

export interface TestPolicy {
  readonly namespace: string
  readonly name: string
  readonly spec: {
    podSelector?: TestSelector
    policyTypes?: string[]
    ingress?: { from?: TestPeer[]; ports?: TestPort[] }[]
    egress?: { to?: TestPeer[]; ports?: TestPort[] }[]
  }
}

export interface TestCluster {
  readonly namespaces: readonly { name: string; labels: Record<string, string> }[]
  readonly pods: readonly TestPod[]
  readonly policies: readonly TestPolicy[]
}

export interface TestProbe {
  readonly protocol: string
  readonly port: number
}

/* ---- what the documentation says ---- */

export function isAllowed(cluster: TestCluster, from: TestPod, to: TestPod, probe: TestProbe): boolean {
  if (from === to) return true
  const passes = (pod: TestPod, peer: TestPod, type: string): boolean => decidedByNetworkPolicies(cluster, pod, peer, to, probe, type) ?? true
  return passes(from, to, 'Egress') && passes(to, from, 'Ingress')
}

/** Undefined where no NetworkPolicy isolates the pod in that direction. */
export function decidedByNetworkPolicies(
  cluster: Pick<TestCluster, 'namespaces' | 'policies'>,
  pod: TestPod,
  peer: TestPod,
  destination: TestPod,
  probe: TestProbe,
  type: string,
): boolean | undefined {
  const isolating = cluster.policies.filter(
    ({ namespace, spec }) => namespace === pod.namespace && selects(spec.podSelector ?? {}, pod.labels) && typesOf(spec).includes(type),
  )
  if (isolating.length === 0) return undefined
  return isolating.some((policy) =>
    rulesOf(policy, type).some(
      ({ peers, ports }) =>
        (peers.length === 0 || peers.some((candidate) => admits(cluster, policy.namespace, candidate, peer))) &&
        (ports.length === 0 || ports.some((port) => opens(port, destination, probe))),
    ),
  )
}

function typesOf(spec: TestPolicy['spec']): readonly string[] {
  if (spec.policyTypes !== undefined && spec.policyTypes.length > 0) return spec.policyTypes
  return (spec.egress ?? []).length > 0 ? ['Ingress', 'Egress'] : ['Ingress']
}

function rulesOf({ spec }: TestPolicy, type: string): readonly { peers: readonly TestPeer[]; ports: readonly TestPort[] }[] {
  if (type === 'Ingress') return (spec.ingress ?? []).map(({ from = [], ports = [] }) => ({ peers: from, ports }))
  return (spec.egress ?? []).map(({ to = [], ports = [] }) => ({ peers: to, ports }))
}

export function selects(selector: TestSelector, labels: Record<string, string>): boolean {
  const equal = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value)
  return equal && (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
    const value = labels[key]
    if (operator === 'Exists') return value !== undefined
    if (operator === 'DoesNotExist') return value === undefined
    if (operator === 'In') return value !== undefined && values.includes(value)
    return value === undefined || !values.includes(value)
  })
}

function admits(cluster: Pick<TestCluster, 'namespaces'>, policyNamespace: string, peer: TestPeer, pod: TestPod): boolean {
  if (peer.ipBlock) {
    const { cidr, except = [] } = peer.ipBlock
    return within(pod.ip, cidr) && !except.some((exception) => within(pod.ip, exception))
  }
  const inNamespace = peer.namespaceSelector
    ? selects(peer.namespaceSelector, namespaceLabelsOf(cluster, pod))
    : pod.namespace === policyNamespace
  return inNamespace && selects(peer.podSelector ?? {}, pod.labels)
}

/** As Kubernetes has them: with the name among them. */
export function namespaceLabelsOf(cluster: Pick<TestCluster, 'namespaces'>, pod: TestPod): Record<string, string> {
  const namespace = cluster.namespaces.find(({ name }) => name === pod.namespace)
  return { ...namespace?.labels, 'kubernetes.io/metadata.name': pod.namespace }
}

/** Of one family. */
export function within(ip: string, cidr: string): boolean {
  const [base = '', length = ''] = cidr.split('/')
  const [own, other] = [bitsOf(ip), bitsOf(base)]
  return own.length === other.length && own.startsWith(other.slice(0, Number(length)))
}

/** As a string of 32 or 128 zeros and ones. */
function bitsOf(address: string): string {
  if (!address.includes(':')) return address.split('.').map((byte) => Number(byte).toString(2).padStart(8, '0')).join('')
  const [left = [], right = []] = address.split('::').map((half) => half.split(':').filter((group) => group !== ''))
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right]
  return groups.map((group) => Number.parseInt(group, 16).toString(2).padStart(16, '0')).join('')
}

function opens({ protocol = 'TCP', port, endPort }: TestPort, destination: TestPod, probe: TestProbe): boolean {
  if (protocol !== probe.protocol) return false
  if (port === undefined) return true
  if (typeof port === 'number') return probe.port >= port && probe.port <= (endPort ?? port)
  const named = destination.ports.find((own) => own.name === port && (own.protocol ?? 'TCP') === protocol)
  return named?.containerPort === probe.port
}

/* ---- random clusters ---- */

const KEYS = ['app', 'tier', 'example.com/role']
const VALUES = ['a', 'b', '']
const NAMESPACES = ['red', 'green', 'blue']

const labels = fc.dictionary(fc.constantFrom(...KEYS), fc.constantFrom(...VALUES), { maxKeys: 3, noNullPrototype: true })

const namespaceLabels = fc.dictionary(fc.constantFrom('team', 'app'), fc.constantFrom(...VALUES), { noNullPrototype: true })

/** Absent as often as not: a key with the value undefined is left out of the document. */
const maybe = <T>(arbitrary: fc.Arbitrary<T>, key: string) =>
  fc.option(arbitrary, { nil: undefined, freq: 2 }).map((value) => (value === undefined ? {} : { [key]: value }))

const merge = <T>(...parts: fc.Arbitrary<object>[]) => fc.tuple(...parts).map((values) => Object.assign({}, ...values) as T)

const selectorOver = (keys: readonly string[], values: readonly string[]): fc.Arbitrary<TestSelector> => {
  const key = fc.constantFrom(...keys)
  const expression = fc.oneof(
    fc.record({
      key,
      operator: fc.constantFrom('In', 'NotIn'),
      values: fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 2 }),
    }),
    fc.record({ key, operator: fc.constantFrom('Exists', 'DoesNotExist') }),
  )
  return merge<TestSelector>(
    maybe(fc.dictionary(key, fc.constantFrom(...values), { maxKeys: 1, noNullPrototype: true }), 'matchLabels'),
    maybe(fc.array(expression, { maxLength: 2 }), 'matchExpressions'),
  )
}

export const podSelector = selectorOver(KEYS, VALUES)
export const namespaceSelector = fc.oneof(
  selectorOver(['team', 'app'], VALUES),
  selectorOver(['kubernetes.io/metadata.name'], NAMESPACES),
)

export type Family = 'IPv4' | 'IPv6'

const addressOf = (family: Family, last: number): string => (family === 'IPv4' ? `10.0.0.${last}` : `fd00::${last.toString(16)}`)

export function prefixOf(family: Family, last: number, free: number): string {
  return `${addressOf(family, (last >> free) << free)}/${(family === 'IPv4' ? 32 : 128) - free}`
}

function ipBlock(family: Family): fc.Arbitrary<TestPeer> {
  const last = fc.nat(15)
  return fc.tuple(last, fc.nat(4), fc.array(fc.tuple(fc.nat(15), fc.nat(2)), { maxLength: 2 })).map(([base, free, exceptions]) => {
    const first = (base >> free) << free
    const except = exceptions
      .filter(([, bits]) => bits < free)
      .map(([offset, bits]) => prefixOf(family, first + (offset % (1 << free)), bits))
    return { ipBlock: { cidr: prefixOf(family, base, free), ...(except.length > 0 && { except }) } }
  })
}

const peer = (family: Family): fc.Arbitrary<TestPeer> =>
  fc.oneof(
    fc.record({ podSelector }),
    fc.record({ namespaceSelector }),
    fc.record({ podSelector, namespaceSelector }),
    ipBlock(family),
  )

const protocol = maybe(fc.constantFrom('TCP', 'UDP', 'SCTP'), 'protocol')

const port: fc.Arbitrary<TestPort> = fc.oneof(
  merge<TestPort>(protocol),
  merge<TestPort>(protocol, fc.record({ port: fc.integer({ min: 80, max: 83 }) })),
  merge<TestPort>(protocol, fc.record({ port: fc.constantFrom('http', 'dns', 'absent') })),
  merge<TestPort>(protocol, fc.record({ port: fc.integer({ min: 80, max: 81 }), endPort: fc.integer({ min: 81, max: 83 }) })),
)

const ports = maybe(fc.array(port, { maxLength: 2 }), 'ports')

function policySpec(family: Family): fc.Arbitrary<TestPolicy['spec']> {
  const peers = (key: string) => maybe(fc.array(peer(family), { maxLength: 3 }), key)
  return merge<TestPolicy['spec']>(
    maybe(podSelector, 'podSelector'),
    maybe(fc.uniqueArray(fc.constantFrom('Ingress', 'Egress'), { maxLength: 2 }), 'policyTypes'),
    maybe(fc.array(merge<object>(peers('from'), ports), { maxLength: 3 }), 'ingress'),
    maybe(fc.array(merge<object>(peers('to'), ports), { maxLength: 3 }), 'egress'),
  )
}

function pods(family: Family): fc.Arbitrary<TestPod[]> {
  const port = fc.record({
    name: fc.constantFrom('http', 'dns'),
    containerPort: fc.integer({ min: 80, max: 83 }),
    protocol: fc.constantFrom('TCP', 'UDP', 'SCTP'),
  })
  const named = fc.uniqueArray(port, { maxLength: 3, selector: (own) => `${own.name}/${own.protocol}` })
  const pod = fc.record({ namespace: fc.constantFrom(...NAMESPACES), labels, ports: named })
  return fc
    .array(pod, { minLength: 2, maxLength: 6 })
    .map((list) => list.map((item, index) => ({ ...item, name: `pod-${index}`, ip: addressOf(family, 2 * index + 1) })))
}

export const testClusterOf = (family: Family): fc.Arbitrary<TestCluster> =>
  fc.record({
    namespaces: fc.tuple(...NAMESPACES.map((name) => namespaceLabels.map((own) => ({ name, labels: own })))),
    pods: pods(family),
    policies: fc
      .array(fc.record({ namespace: fc.constantFrom(...NAMESPACES), spec: policySpec(family) }), { minLength: 1, maxLength: 4 })
      .map((list) => list.map((item, index) => ({ ...item, name: `policy-${index}` }))),
  })

export const testCluster: fc.Arbitrary<TestCluster> = fc.constantFrom<Family[]>('IPv4', 'IPv6').chain(testClusterOf)

/** The cluster as Kubernetes documents. */
export function documentsOf({ namespaces, pods: list, policies }: TestCluster): readonly object[] {
  return [
    ...namespaces.map(({ name, labels: own }) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: own } })),
    ...list.map(({ namespace, name, labels: own, ip, ports: named }) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace, name, labels: own },
      spec: { containers: [{ name: 'main', image: 'main', ports: named }] },
      status: { podIPs: [{ ip }] },
    })),
    ...policies.map(policyDocument),
  ]
}

export function policyDocument({ namespace, name, spec }: TestPolicy) {
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace, name }, spec }
}
