// Random CiliumNetworkPolicies with the documents that they refer to, and what Cilium's documentation says about them,
// evaluated on the documents themselves: no code of the compiler or the engine takes part.
import fc from 'fast-check'
import { selects, type TestSelector } from './network-policies.ts'

interface Pod {
  readonly kind: 'pod'
  readonly namespace: string
  readonly name: string
  readonly labels: Record<string, string>
  readonly address: string
  readonly ports: readonly { name: string; port: number; protocol: string }[]
}

/** An address that no pod has: outside, or that of a node. */
interface Other {
  readonly kind: 'world' | 'node'
  readonly address: string
  readonly labels: Record<string, string>
}

export type CiliumEnd = Pod | Other

interface CidrRule {
  cidr?: string
  except?: string[]
  cidrGroupRef?: string
  cidrGroupSelector?: TestSelector
}

interface ServiceRule {
  k8sService?: { serviceName: string; namespace?: string }
  k8sServiceSelector?: { selector: TestSelector; namespace?: string }
}

interface Peers {
  Endpoints?: TestSelector[]
  Entities?: string[]
  CIDR?: string[]
  CIDRSet?: CidrRule[]
  Nodes?: TestSelector[]
  Services?: ServiceRule[]
  Requires?: TestSelector[]
}

interface Port {
  port: string
  endPort?: number
  protocol?: string
}

interface Ports {
  toPorts?: { ports: Port[]; rules?: { http: object[] } }[]
  authentication?: { mode: string }
}

/** Of either direction; `document` gives the fields their prefixes. */
export interface CiliumRule extends Ports {
  peers: Peers
}

const LISTS = ['ingress', 'ingressDeny', 'egress', 'egressDeny'] as const

export interface CiliumPolicy {
  /** Empty: clusterwide. */
  readonly namespace: string
  readonly selector: TestSelector
  readonly defaultDeny: { ingress?: boolean; egress?: boolean }
  readonly rules: { readonly [L in (typeof LISTS)[number]]: readonly CiliumRule[] }
}

export interface CiliumCluster {
  readonly pods: readonly Pod[]
  readonly policies: readonly CiliumPolicy[]
}

export interface CiliumProbe {
  readonly protocol: string
  readonly port: number
}

const NAMESPACES: Record<string, Record<string, string>> = { red: { team: 'a' }, green: { team: 'b' } }
const NAMESPACE = 'k8s:io.kubernetes.pod.namespace'
const NAMESPACE_LABEL = 'k8s:io.cilium.k8s.namespace.labels.'

const GROUPS = [
  { name: 'near', labels: { zone: 'a' }, prefixes: ['192.0.2.0/28'] },
  { name: 'far', labels: { zone: 'b' }, prefixes: ['198.51.100.0/24', '192.0.2.64/26', '10.0.0.0/8'] },
] as const

const SERVICES: readonly { namespace: string; name: string; labels: Record<string, string>; selector: Record<string, string> }[] = [
  { namespace: 'red', name: 'first', labels: { tier: 'front' }, selector: { app: 'a' } },
  { namespace: 'green', name: 'first', labels: { tier: 'back' }, selector: { app: 'b' } },
]

export const OTHERS: readonly Other[] = [
  { kind: 'node', address: '192.0.2.1', labels: { rack: '1' } },
  { kind: 'node', address: '192.0.2.65', labels: {} },
  ...['192.0.2.2', '192.0.2.64', '192.0.2.128', '198.51.100.1', '203.0.113.1'].map((address) => ({ kind: 'world', address, labels: {} }) as const),
]

/* ---- what the documentation says ---- */

/** Whether both ends' policies let the connection pass; what is no pod has none. */
export function ciliumAllows({ policies }: CiliumCluster, from: CiliumEnd, to: CiliumEnd, probe: CiliumProbe): boolean {
  return from === to || (side(policies, from, to, to, probe, 'egress') && side(policies, to, from, to, probe, 'ingress'))
}

function side(
  policies: readonly CiliumPolicy[],
  subject: CiliumEnd,
  peer: CiliumEnd,
  destination: CiliumEnd,
  probe: CiliumProbe,
  direction: 'ingress' | 'egress',
): boolean {
  if (subject.kind !== 'pod') return true
  const own = policies.filter(({ namespace, selector }) => (namespace === '' || namespace === subject.namespace) && matches(selector, subject))
  const allowing = own.flatMap((policy) => policy.rules[direction].map((rule) => ({ policy, rule })))
  const denying = own.flatMap((policy) => policy.rules[`${direction}Deny`].map((rule) => ({ policy, rule })))
  const meant = ({ policy, rule }: (typeof denying)[number]): boolean =>
    rule.peers.Endpoints === undefined || (peer.kind === 'pod' && conditions(policy, `${direction}Deny`).every((selector) => matchesInScope(policy, selector, peer)))
  const hit = ({ policy, rule }: (typeof allowing)[number]): boolean => selectsPeer(policy, rule, peer) && opens(rule, destination, probe)
  const required = allowing.flatMap(({ policy, rule }) => (rule.peers.Requires ?? []).map((selector) => ({ policy, selector })))
  const unmet = required.some(({ policy, selector }) => peer.kind === 'pod' && !matchesInScope(policy, selector, peer))
  const unauthenticated = allowing.some((candidate) => candidate.rule.authentication?.mode === 'required' && hit(candidate))
  if (denying.filter(meant).some(hit) || unmet || unauthenticated) return false
  if (allowing.some(hit)) return true
  // Nobody is there to judge what a rule leaves to a proxy, whether or not anything else is denied by default.
  if (allowing.some(({ policy, rule }) => selectsPeer(policy, rule, peer) && opens(rule, destination, probe, true))) return false
  return !own.some(({ rules, defaultDeny }) => rules[direction].length + rules[`${direction}Deny`].length > 0 && defaultDeny[direction] !== false)
}

const conditions = ({ rules }: CiliumPolicy, list: 'ingressDeny' | 'egressDeny'): TestSelector[] => rules[list].flatMap(({ peers }) => peers.Requires ?? [])

function labelsOf(pod: Pod): Record<string, string> {
  const ofNamespace = { ...NAMESPACES[pod.namespace], 'kubernetes.io/metadata.name': pod.namespace }
  const own = [
    ...Object.entries(pod.labels).map(([key, value]) => [`k8s:${key}`, value]),
    ...Object.entries(ofNamespace).map(([key, value]) => [`${NAMESPACE_LABEL}${key}`, value]),
    [NAMESPACE, pod.namespace],
  ]
  // A key without a source, or of any, is that of the one source there is.
  return Object.fromEntries(own.flatMap(([key = '', value = '']) => [[key, value], [key.slice(4), value], [`any:${key.slice(4)}`, value]]))
}

const matches = (selector: TestSelector, pod: Pod): boolean => selects(selector, labelsOf(pod))

function keysOf({ matchLabels = {}, matchExpressions = [] }: TestSelector): string[] {
  return [...Object.keys(matchLabels), ...matchExpressions.map(({ key }) => key)]
}

/** In a namespaced policy a selector speaks of its own namespace, unless it names one itself. */
function matchesInScope({ namespace }: CiliumPolicy, selector: TestSelector, pod: Pod): boolean {
  const named = keysOf(selector).some((key) => key.includes('io.kubernetes.pod.namespace') || key.includes('io.cilium.k8s.namespace.labels.'))
  return matches(selector, pod) && (namespace === '' || named || namespace === pod.namespace)
}

function selectsPeer(policy: CiliumPolicy, { peers, toPorts }: CiliumRule, end: CiliumEnd): boolean {
  const { Endpoints, Entities, CIDR, CIDRSet, Nodes, Services, Requires } = peers
  const given = [Endpoints, Entities, CIDR, CIDRSet, Nodes, Services].filter((list) => list !== undefined)
  if (given.length === 0) return toPorts !== undefined && Requires === undefined
  const outside = end.kind === 'world'
  return (
    (Endpoints ?? []).some((selector) => end.kind === 'pod' && matchesInScope(policy, selector, end)) ||
    (Entities ?? []).some((entity) => isEntity(entity, end)) ||
    (CIDR ?? []).some((cidr) => outside && within(end.address, cidr)) ||
    (CIDRSet ?? []).some((rule) => outside && inCidrRule(rule, end.address)) ||
    (Nodes ?? []).some((selector) => end.kind === 'node' && selects(selector, end.labels)) ||
    (Services ?? []).some((rule) => end.kind === 'pod' && isBackend(rule, end))
  )
}

function isEntity(entity: string, { kind }: CiliumEnd): boolean {
  return entity === 'all' || entity === kind || (entity === 'remote-node' && kind === 'node') || (entity === 'cluster' && kind !== 'world')
}

function inCidrRule({ cidr, except = [], cidrGroupRef, cidrGroupSelector }: CidrRule, address: string): boolean {
  if (cidr !== undefined) return within(address, cidr) && !except.some((exception) => within(address, exception))
  const groups = GROUPS.filter(({ name, labels }) => (cidrGroupSelector ? selects(cidrGroupSelector, labels) : name === cidrGroupRef))
  return groups.some(({ prefixes }) => prefixes.some((prefix) => within(address, prefix)))
}

function isBackend({ k8sService, k8sServiceSelector }: ServiceRule, pod: Pod): boolean {
  const wanted = k8sService?.namespace ?? k8sServiceSelector?.namespace
  const services = SERVICES.filter(({ namespace, name, labels }) =>
    (wanted ?? namespace) === namespace && (k8sServiceSelector ? selects(k8sServiceSelector.selector, labels) : name === k8sService?.serviceName))
  return services.some(({ namespace, selector }) => namespace === pod.namespace && selects({ matchLabels: selector }, pod.labels))
}

const numberOf = (address: string): number => address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0)

function within(address: string, cidr: string): boolean {
  const [base = '', length = ''] = cidr.split('/')
  const size = 2 ** (32 - Number(length))
  return Math.floor(numberOf(address) / size) === Math.floor(numberOf(base) / size)
}

/** Of a rule without ports: all; `proxied`: only those that a proxy is to judge, or only the others. */
function opens({ toPorts }: CiliumRule, destination: CiliumEnd, probe: CiliumProbe, proxied = false): boolean {
  if (toPorts === undefined) return !proxied
  return toPorts.some(({ ports, rules }) => (rules !== undefined) === proxied && ports.some((port) => opensPort(port, destination, probe)))
}

function opensPort({ port, endPort, protocol = 'ANY' }: Port, destination: CiliumEnd, probe: CiliumProbe): boolean {
  if (protocol !== 'ANY' && protocol !== probe.protocol) return false
  if (port === '0') return true
  if (/^\d/.test(port)) return probe.port >= Number(port) && probe.port <= (endPort ?? Number(port))
  const named = destination.kind === 'pod' ? destination.ports.filter(({ name }) => name === port) : []
  return named.some((own) => own.port === probe.port && own.protocol === probe.protocol)
}

/* ---- random clusters ---- */

const key = fc.constantFrom('app', 'tier', 'k8s:app', 'any:tier', NAMESPACE, `${NAMESPACE_LABEL}team`)
const value = fc.constantFrom('a', 'b', 'red')

const selectorOver = (keys: fc.Arbitrary<string>, values: fc.Arbitrary<string>): fc.Arbitrary<TestSelector> =>
  fc.oneof(
    { weight: 1, arbitrary: fc.constant({}) },
    { weight: 2, arbitrary: fc.record({ matchLabels: fc.dictionary(keys, values, { minKeys: 1, maxKeys: 1, noNullPrototype: true }) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        matchExpressions: fc.array(
          fc.oneof(
            fc.record({ key: keys, operator: fc.constantFrom('In', 'NotIn'), values: fc.uniqueArray(values, { minLength: 1, maxLength: 2 }) }),
            fc.record({ key: keys, operator: fc.constantFrom('Exists', 'DoesNotExist') }),
          ),
          { minLength: 1, maxLength: 1 },
        ),
      }),
    },
  )

const selector = selectorOver(key, value)
const some = <T>(item: fc.Arbitrary<T>) => fc.array(item, { minLength: 1, maxLength: 2 })
const cidr = fc.constantFrom('0.0.0.0/0', '192.0.2.0/24', '192.0.2.64/27', '10.0.0.0/8', '198.51.100.1/32')
const cidrRule: fc.Arbitrary<CidrRule> = fc.oneof(
  fc.record({ cidr: fc.constant('192.0.2.0/24'), except: fc.uniqueArray(fc.constantFrom('192.0.2.0/30', '192.0.2.128/25'), { maxLength: 2 }) }),
  fc.record({ cidrGroupRef: fc.constantFrom('near', 'far', 'absent') }),
  fc.record({ cidrGroupSelector: selectorOver(fc.constant('zone'), value) }),
)
const serviceName = fc.constantFrom('first', 'absent')
const service: fc.Arbitrary<ServiceRule> = fc.oneof(
  fc.record({ k8sService: fc.record({ serviceName, namespace: fc.constantFrom('red', 'green') }, { requiredKeys: ['serviceName'] }) }),
  fc.record({ k8sServiceSelector: fc.record({ selector: selectorOver(fc.constant('tier'), fc.constantFrom('front', 'back')) }) }),
)

/** One field each: they do not stand together. */
const common: fc.Arbitrary<Peers>[] = [
  fc.constant({}),
  fc.record({ Endpoints: some(selector) }),
  fc.record({ Endpoints: some(selector) }),
  fc.record({ Entities: some(fc.constantFrom('all', 'world', 'cluster', 'remote-node', 'none')) }),
  fc.record({ CIDR: some(cidr) }),
  fc.record({ CIDRSet: some(cidrRule) }),
  fc.record({ Nodes: some(selectorOver(fc.constant('rack'), fc.constantFrom('1', '2'))) }),
]

const toPorts = (layer7: boolean) =>
  fc.array(
    fc
      .tuple(
        fc.oneof(
          fc.record({ port: fc.constantFrom('80', '81', '0'), protocol: fc.constantFrom('TCP', 'UDP', 'ANY') }),
          fc.record({ port: fc.constant('80'), endPort: fc.constant(82) }),
          fc.record({ port: fc.constantFrom('http', 'dns') }),
        ),
        fc.boolean(),
      )
      .map(([port, proxied]) => {
        const proxiable = layer7 && port.port === '80' && 'protocol' in port && port.protocol === 'TCP'
        return proxiable && proxied ? { ports: [port], rules: { http: [{ method: 'GET' }] } } : { ports: [port] }
      }),
    { minLength: 1, maxLength: 2 },
  )

const required: fc.Arbitrary<Peers> = fc.record({ Requires: some(selectorOver(fc.constantFrom('app', 'tier'), value)) })

function rule(direction: 'ingress' | 'egress', allows: boolean): fc.Arbitrary<CiliumRule> {
  const peers = [
    ...common,
    ...(direction === 'egress' ? [fc.record({ Services: some(service) })] : []),
    ...(allows ? [required] : [required.chain((own) => some(selector).map((Endpoints) => ({ ...own, Endpoints })))]),
  ]
  const authentication = fc.constantFrom({}, {}, {}, {}, {}, {}, { authentication: { mode: 'disabled' } }, { authentication: { mode: 'required' } })
  const ports = fc.oneof(fc.constant({}), toPorts(allows).map((list) => ({ toPorts: list })))
  return fc.tuple(fc.oneof(...peers), ports, allows ? authentication : fc.constant({})).map(([own, open, auth]) => ({ peers: own, ...open, ...auth }))
}

const rules = fc.record({
  ingress: fc.array(rule('ingress', true), { maxLength: 3 }),
  ingressDeny: fc.array(rule('ingress', false), { maxLength: 2 }),
  egress: fc.array(rule('egress', true), { maxLength: 3 }),
  egressDeny: fc.array(rule('egress', false), { maxLength: 2 }),
})

const policy: fc.Arbitrary<CiliumPolicy> = fc
  .record({
    namespace: fc.constantFrom('red', 'green', ''),
    selector: selectorOver(fc.constantFrom('app', 'tier'), value),
    rules,
    open: fc.constantFrom([], [], [], ['ingress'], ['egress'], ['ingress', 'egress']),
  })
  .filter((own) => LISTS.some((list) => own.rules[list].length > 0))
  .map(({ open, ...rest }) => ({ ...rest, defaultDeny: Object.fromEntries(open.map((direction) => [direction, false])) }))

const pod = fc.record({
  namespace: fc.constantFrom('red', 'green'),
  labels: fc.dictionary(fc.constantFrom('app', 'tier'), fc.constantFrom('a', 'b'), { noNullPrototype: true }),
  ports: fc.constantFrom(
    [],
    [{ name: 'http', port: 81, protocol: 'TCP' }],
    [{ name: 'http', port: 80, protocol: 'TCP' }, { name: 'dns', port: 82, protocol: 'UDP' }],
  ),
})

export const ciliumCluster: fc.Arbitrary<CiliumCluster> = fc.record({
  pods: fc
    .array(pod, { minLength: 2, maxLength: 4 })
    .map((list) => list.map((own, index): Pod => ({ kind: 'pod', ...own, name: `pod-${index}`, address: `10.0.0.${index + 1}` }))),
  policies: fc.array(policy, { minLength: 1, maxLength: 3 }),
})

/* ---- as documents ---- */

export function ciliumDocuments({ pods, policies }: CiliumCluster): readonly object[] {
  const v1 = 'v1'
  return [
    ...Object.entries(NAMESPACES).map(([name, labels]) => ({ apiVersion: v1, kind: 'Namespace', metadata: { name, labels } })),
    ...pods.map(({ namespace, name, labels, address, ports }) => ({
      apiVersion: 'sluice.io/v1', kind: 'Workload', metadata: { namespace, name, labels }, spec: { addresses: [address], ports },
    })),
    ...OTHERS.filter(({ kind }) => kind === 'node').map(({ address, labels }, index) => ({
      apiVersion: v1, kind: 'Node', metadata: { name: `node-${index}`, labels }, status: { addresses: [{ type: 'InternalIP', address }] },
    })),
    ...GROUPS.map(({ name, labels, prefixes }) => ({
      apiVersion: 'cilium.io/v2', kind: 'CiliumCIDRGroup', metadata: { name, labels }, spec: { externalCIDRs: prefixes },
    })),
    ...SERVICES.map(({ namespace, name, labels, selector: own }) => ({
      apiVersion: v1, kind: 'Service', metadata: { namespace, name, labels }, spec: { selector: own },
    })),
    ...policies.map(policyDocument),
  ]
}

function policyDocument({ namespace, selector: endpointSelector, defaultDeny, rules: own }: CiliumPolicy, index: number): object {
  const lists = LISTS.map((list) => [list, own[list].map((item) => ruleDocument(list.startsWith('ingress') ? 'from' : 'to', item))])
  const spec = { endpointSelector, enableDefaultDeny: defaultDeny, ...Object.fromEntries(lists) }
  const metadata = { name: `policy-${index}`, ...(namespace !== '' && { namespace }) }
  return { apiVersion: 'cilium.io/v2', kind: namespace === '' ? 'CiliumClusterwideNetworkPolicy' : 'CiliumNetworkPolicy', metadata, spec }
}

function ruleDocument(prefix: 'from' | 'to', { peers, ...rest }: CiliumRule): object {
  return { ...rest, ...Object.fromEntries(Object.entries(peers).map(([field, list]) => [`${prefix}${field}`, list])) }
}
