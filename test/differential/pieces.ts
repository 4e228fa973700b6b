// What rules of written policies are made of, construct by construct. A table is both what is drawn from and the list of
// what a run has to have met, so that whatever is added here is asked for there.

import type { Random } from './random.ts'
import { API_SERVER, EXCEPTS, KEYS, OUTSIDE_BACKEND, PORT_NAMES, PORTS, PREFIXES, VALUES } from './world.ts'

/** A construct by name, and fields of a rule that use it. */
export interface Piece {
  readonly construct: string
  readonly draw: (random: Random) => object
}

/** Few destinations have a port of a name, so that such rules decide seldom: they are drawn as often as some others together. */
const NAMED_SHARE = 0.3

/** Any of them. */
export function pickPiece(random: Random, from: readonly Piece[]): Piece {
  const named = from.filter(isNamed)
  return random.pick(named.length > 0 && random.chance(NAMED_SHARE) ? named : from)
}

export const isNamed = ({ construct }: Piece): boolean => /named/i.test(construct)

const pieces = (draws: Readonly<Record<string, Piece['draw']>>): readonly Piece[] => Object.entries(draws).map(([construct, draw]) => ({ construct, draw }))

export function selector(random: Random, keys: readonly string[] = KEYS, values: readonly string[] = VALUES): object {
  const kind = random.below(5)
  if (kind === 0) return {}
  if (kind < 3) return { matchLabels: { [random.pick(keys)]: random.pick(values) } }
  const operator = random.pick(['In', 'NotIn', 'Exists', 'DoesNotExist'])
  const listed = operator === 'In' || operator === 'NotIn' ? { values: [...new Set(random.some(1, 2, () => random.pick(values)))] } : {}
  return { matchExpressions: [{ key: random.pick(keys), operator, ...listed }] }
}

const ports = PORTS.filter((port) => port < 65_535)
const namespaced = (random: Random): object => ({ matchLabels: { team: random.pick(['x', 'y']) } })
const byName = (random: Random): object => ({ matchLabels: { 'kubernetes.io/metadata.name': random.pick(NAMESPACES) } })
const withExcept = Object.keys(EXCEPTS)
const except = (random: Random) => {
  const cidr = random.pick(withExcept)
  return { cidr, except: EXCEPTS[cidr] }
}

export const NAMESPACES = ['ns', 'other'] as const

/* ---- networking.k8s.io ---- */

/** Items of `from` and `to`; nothing of it: everybody. */
export const NETWORK_POLICY_PEERS = pieces({
  podSelector: (random) => ({ podSelector: selector(random) }),
  namespaceSelector: (random) => ({ namespaceSelector: namespaced(random) }),
  'namespaceSelector by name': (random) => ({ namespaceSelector: byName(random) }),
  'namespaceSelector and podSelector': (random) => ({ namespaceSelector: random.pick([{}, namespaced(random)]), podSelector: selector(random) }),
  ipBlock: (random) => ({ ipBlock: { cidr: random.pick(PREFIXES) } }),
  'ipBlock with except': (random) => ({ ipBlock: except(random) }),
})

export const NETWORK_POLICY_PORTS = pieces({
  port: (random) => ({ protocol: random.pick(['TCP', 'UDP']), port: random.pick(ports) }),
  'port of SCTP': (random) => ({ protocol: 'SCTP', port: random.pick(ports) }),
  endPort: (random) => ({ port: 80, endPort: random.pick([443, 8080, 30_000]) }),
  'named port': (random) => ({ protocol: random.pick(['TCP', 'TCP', 'UDP', 'SCTP']), port: random.pick(PORT_NAMES) }),
  protocol: (random) => ({ protocol: random.pick(['TCP', 'UDP', 'SCTP']) }),
})

/* ---- policy.networking.k8s.io ---- */

const pods = (random: Random): object => ({ pods: { podSelector: selector(random), ...(random.chance(0.5) && { namespaceSelector: namespaced(random) }) } })

export const TIER_INGRESS_PEERS = pieces({
  namespaces: (random) => ({ namespaces: random.pick([{}, namespaced(random), byName(random)]) }),
  pods,
})

export const TIER_EGRESS_PEERS = [
  ...TIER_INGRESS_PEERS,
  ...pieces({
    nodes: (random) => ({ nodes: selector(random, ['zone'], ['a', 'b']) }),
    networks: (random) => ({ networks: [random.pick(PREFIXES)] }),
  }),
]

export const PROTOCOLS_OF_RULES = pieces({
  tcp: (random) => ({ tcp: { destinationPort: { number: random.pick(ports) } } }),
  udp: (random) => ({ udp: { destinationPort: { number: random.pick(ports) } } }),
  sctp: (random) => ({ sctp: { destinationPort: { number: random.pick(ports) } } }),
  range: (random) => ({ [random.pick(['tcp', 'udp', 'sctp'])]: { destinationPort: { range: { start: 53, end: random.pick([80, 8080]) } } } }),
  destinationNamedPort: (random) => ({ destinationNamedPort: random.pick(PORT_NAMES) }),
})

export const ADMIN_PORTS = pieces({
  portNumber: (random) => ({ portNumber: { protocol: random.pick(['TCP', 'UDP', 'SCTP']), port: random.pick(ports) } }),
  portRange: (random) => ({ portRange: { protocol: random.pick(['TCP', 'UDP', 'SCTP']), start: 53, end: random.pick([80, 8080]) } }),
  namedPort: (random) => ({ namedPort: random.pick(PORT_NAMES) }),
})

/* ---- cilium.io ---- */

const ENTITIES = ['all', 'world', 'world-ipv4', 'world-ipv6', 'cluster', 'host', 'remote-node', 'kube-apiserver', 'health', 'init', 'ingress', 'unmanaged'] as const

/** Fields without the `from` or `to` before them. */
export const CILIUM_PEERS = [
  ...pieces({
    Endpoints: (random) => ({ Endpoints: [selector(random, [...KEYS, 'k8s:app', 'any:app'])] }),
    'Endpoints by namespace': (random) => ({ Endpoints: [{ matchLabels: { 'k8s:io.kubernetes.pod.namespace': random.pick(NAMESPACES) } }] }),
    'Endpoints by label of a namespace': (random) => ({ Endpoints: [{ matchLabels: { 'io.cilium.k8s.namespace.labels.team': random.pick(['x', 'y']) } }] }),
    'Endpoints by service account': () => ({ Endpoints: [{ matchLabels: { 'io.cilium.k8s.policy.serviceaccount': 'robot' } }] }),
    CIDR: (random) => ({ CIDR: [random.pick(PREFIXES)] }),
    CIDRSet: (random) => ({ CIDRSet: [{ cidr: random.pick(PREFIXES) }] }),
    'CIDRSet with except': (random) => ({ CIDRSet: [except(random)] }),
    cidrGroupRef: (random) => ({ CIDRSet: [{ cidrGroupRef: random.pick(['near', 'far']) }] }),
    cidrGroupSelector: (random) => ({ CIDRSet: [{ cidrGroupSelector: { matchLabels: { zone: random.pick(['a', 'b']) } } }] }),
    Nodes: (random) => ({ Nodes: [selector(random, ['zone'], ['a', 'b'])] }),
  }),
  ...pieces(Object.fromEntries(ENTITIES.map((entity) => [`entity ${entity}`, () => ({ Entities: [entity] })]))),
]

export const CILIUM_EGRESS_PEERS = [
  ...CILIUM_PEERS,
  ...pieces({
    'Services by name': (random) => ({ Services: [{ k8sService: { serviceName: random.pick(['front', 'back']) } }] }),
    'Services by selector': () => ({ Services: [{ k8sServiceSelector: { selector: { matchLabels: { tier: 'front' } }, namespace: 'ns' } }] }),
    'Services without selector': () => ({ Services: [{ k8sService: { serviceName: 'outside', namespace: 'ns' } }] }),
  }),
]

const REQUIRES = pieces({ Requires: (random) => ({ Requires: [selector(random)] }) })

/** Of rules that allow; those that deny have them beside the workloads that they mean. */
export const CILIUM_ALLOW_PEERS = { ingress: [...CILIUM_PEERS, ...REQUIRES], egress: [...CILIUM_EGRESS_PEERS, ...REQUIRES] }
export const NARROWED = pieces({ 'Requires of denials': (random) => ({ Endpoints: [{}], Requires: [selector(random)] }) })
export const CILIUM_DENY_PEERS = { ingress: [...CILIUM_PEERS, ...NARROWED], egress: [...CILIUM_EGRESS_PEERS, ...NARROWED] }

const port = (random: Random): string => `${random.pick(ports)}`
const toPorts = (item: object): object => ({ toPorts: [{ ports: [item] }] })
const icmps = (family: string, types: readonly (number | string)[]) => (random: Random) => ({ icmps: [{ fields: [{ family, type: random.pick(types) }] }] })

export const CILIUM_PORTS = pieces({
  port: (random) => toPorts({ port: port(random), protocol: random.pick(['TCP', 'UDP']) }),
  'port of SCTP': (random) => toPorts({ port: port(random), protocol: 'SCTP' }),
  'port of ANY': (random) => toPorts({ port: port(random), ...(random.chance(0.5) && { protocol: 'ANY' }) }),
  endPort: (random) => toPorts({ port: '80', endPort: random.pick([443, 8080, 30_000]), protocol: random.pick(['TCP', 'UDP', 'ANY']) }),
  'named port': (random) => toPorts({ port: random.pick(PORT_NAMES), protocol: random.pick(['TCP', 'TCP', 'UDP', 'SCTP']) }),
  'named port of ANY': (random) => toPorts({ port: random.pick(PORT_NAMES) }),
  'port 0': (random) => toPorts({ port: '0', protocol: random.pick(['TCP', 'UDP', 'SCTP', 'ANY']) }),
  'icmps by number': icmps('IPv4', [8, 13, 42]),
  'icmps by name': icmps('IPv4', ['EchoRequest', 'Timestamp', 'ExtendedEchoRequest']),
  'icmps of IPv6 by number': icmps('IPv6', [128, '160']),
  'icmps of IPv6 by name': icmps('IPv6', ['EchoRequest', 'ExtendedEchoRequest']),
})

/** Ports that wait for a proxy: where a direction is open otherwise, they are what is denied. */
export const PROXIED_PORTS = pieces({
  'ports for a proxy': (random) => ({ toPorts: [{ ports: [{ port: port(random), protocol: 'TCP' }], rules: { http: [{ method: 'GET' }] } }] }),
})

/** What selects nobody, for now or for ever: it is written, and must not change anything. */
export const NOBODY = {
  ingress: pieces({ 'entity none': () => ({ Entities: ['none'] }), Groups: () => ({ Groups: [{ aws: { securityGroupsIds: ['sg-1'] } }] }) }),
  egress: pieces({
    'entity none': () => ({ Entities: ['none'] }),
    Groups: () => ({ Groups: [{ aws: { securityGroupsIds: ['sg-1'] } }] }),
    FQDNs: () => ({ FQDNs: [{ matchPattern: '*.example' }] }),
  }),
} as const

/* ---- what rules refer to ---- */

const v1 = (kind: string, namespace: string, name: string, labels: object, rest: object): object => ({ apiVersion: 'v1', kind, metadata: { namespace, name, labels }, ...rest })
const slices = (namespace: string, service: string, addresses: readonly string[]): object[] =>
  addresses.map((address) => {
    const family = address.includes(':') ? 'IPv6' : 'IPv4'
    const metadata = { namespace, name: `${service}-${family.toLowerCase()}`, labels: { 'kubernetes.io/service-name': service } }
    return { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata, addressType: family, endpoints: [{ addresses: [address] }] }
  })
const group = (name: string, zone: string, externalCIDRs: readonly string[]): object => ({ apiVersion: 'cilium.io/v2', kind: 'CiliumCIDRGroup', metadata: { name, labels: { zone } }, spec: { externalCIDRs } })

export const REFERENTS: readonly object[] = [
  v1('Service', 'ns', 'front', { tier: 'front' }, { spec: { selector: { app: 'a' } } }),
  v1('Service', 'other', 'back', { tier: 'back' }, { spec: { selector: { tier: 'b' } } }),
  v1('Service', 'ns', 'outside', {}, { spec: {} }),
  ...slices('ns', 'outside', OUTSIDE_BACKEND),
  ...slices('default', 'kubernetes', API_SERVER),
  group('near', 'a', ['10.2.0.0/30', '192.0.2.64/26']),
  group('far', 'b', ['198.51.100.0/25', '2001:db8:1::/48']),
]
