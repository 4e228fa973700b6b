// Random worlds: labelled workloads and policies drawn from one small vocabulary, so that what a policy names exists
// and most packets touch a rule, an edge of a prefix or a port next to a range.

import type { NamedPorts, Peer, Policy, PortMatch, Requirement, Rule, Selector } from '../../engine/index.ts'
import { Identity } from '../../bpf/index.ts'
import type { Random } from './random.ts'

export const TCP = 6
export const UDP = 17
export const SCTP = 132
export const ICMP = 1
export const ICMPV6 = 58

/** A workload on this node (`ifindex` > 0) or elsewhere. */
export interface WorldWorkload {
  name: string
  identity: number
  addresses: readonly string[]
  ifindex: number
  /** Of its endpoint. */
  audit: boolean
  namedPorts: NamedPorts
}

/** The node as an endpoint of its own. */
export interface WorldHost {
  audit: boolean
}

export interface World {
  identities: Map<number, readonly string[]>
  workloads: WorldWorkload[]
  /** Absent: no policy is about the node. */
  host: WorldHost | undefined
  policies: Map<string, readonly Policy[]>
}

/** The node's own range: only workloads and the node live there. */
export const LOCAL_RANGES = ['10.1.0.0/24', 'fd00:1::/64'] as const
export const NAMESPACE_KEY = 'k8s:io.kubernetes.pod.namespace'
const NAMESPACE_LABELS = 'k8s:io.cilium.k8s.namespace.labels.'

/** Other nodes of the cluster, at addresses that CIDR rules cover too. */
export const NODES = [
  { identity: 512, labels: ['reserved:remote-node=', 'node:zone=a'], addresses: ['192.0.2.65', '2001:db8:1::65'] },
  { identity: 513, labels: ['reserved:remote-node=', 'node:zone=b'], addresses: ['10.2.0.77', 'fd00:2::77'] },
] as const

/** The API server, and who answers for a Service without selector: known by slices alone. */
export const API_SERVER = ['192.0.2.10', '2001:db8::10'] as const
export const OUTSIDE_BACKEND = ['198.51.100.7', '2001:db8:1::7'] as const

/** What is in the cluster, and neither workload nor node. */
export const RESERVED_PEERS = [
  { identity: Identity.HEALTH, labels: ['reserved:health='], addresses: ['192.0.2.20', '2001:db8:2::20'] },
  { identity: Identity.INGRESS, labels: ['reserved:ingress='], addresses: ['192.0.2.21', '2001:db8:2::21'] },
  { identity: Identity.UNMANAGED, labels: ['reserved:unmanaged='], addresses: ['192.0.2.22', '2001:db8:2::22'] },
] as const
export const HOST_LABELS = ['reserved:host=', 'node:zone=a']
const FIRST_WORKLOAD_IDENTITY = 256
const WORKLOAD_IDENTITIES = 8

/** The number of a set of labels, or now and then that of a workload whose labels are not known. */
export function randomIdentity(random: Random): number {
  return random.chance(0.06) ? Identity.INIT : FIRST_WORKLOAD_IDENTITY + random.below(WORKLOAD_IDENTITIES)
}

export const HOST_ADDRESSES = ['10.1.0.254', 'fd00:1::fe'] as const
export const isOfHost = (address: string): boolean => (HOST_ADDRESSES as readonly string[]).includes(address)

const KEYS = ['app', 'tier', 'env'] as const
const VALUES = ['a', 'b', 'c'] as const
const PREFIXES = [
  '0.0.0.0/0', '::/0', '10.0.0.0/8', '10.1.0.0/24', '10.1.0.2/32', '10.2.0.0/30', '10.2.0.0/16', '192.0.2.0/24',
  '198.51.100.7/32', '198.51.100.0/25', 'fd00:1::/64', 'fd00:2::/64', 'fd00:2::2/128', '2001:db8::/32', '2001:db8:1::/48',
] as const
const EXCEPTS: Readonly<Record<string, readonly string[]>> = {
  '0.0.0.0/0': ['10.0.0.0/8', '192.0.2.128/25'],
  '::/0': ['fd00:2::/64', '2001:db8::/48'],
  '10.0.0.0/8': ['10.2.0.0/31', '10.1.0.1/32'],
  '192.0.2.0/24': ['192.0.2.64/26', '192.0.2.200/32'],
  '2001:db8::/32': ['2001:db8:1::/48'],
}
const PORTS = [1, 53, 80, 443, 8080, 8081, 30000, 65535] as const
const PORT_NAMES = ['http', 'dns', 'admin'] as const
/** Type << 8 | code of messages that carry no quoted packet and are not neighbour discovery. */
const ICMP_MESSAGES = { [ICMP]: [8 << 8, 13 << 8, 42 << 8], [ICMPV6]: [128 << 8, 160 << 8] } as const
const PROTOCOLS = [TCP, TCP, TCP, UDP, UDP, SCTP] as const

export function newWorld(random: Random, ifindexes: readonly number[]): World {
  const host = random.chance(0.6) ? { audit: random.chance(0.1) } : undefined
  const world: World = { identities: new Map(), workloads: [], host, policies: new Map() }
  for (let index = 0; index < WORKLOAD_IDENTITIES; index++) world.identities.set(FIRST_WORKLOAD_IDENTITY + index, randomLabels(random))
  const newWorkload = (subnet: number, host: number, ifindex: number): WorldWorkload => ({
    name: `w${subnet}-${host}`,
    identity: randomIdentity(random),
    audit: random.chance(0.05),
    addresses: [`10.${subnet}.0.${host}`, `fd00:${subnet}::${host}`],
    ifindex,
    namedPorts: randomNamedPorts(random),
  })
  ifindexes.forEach((ifindex, index) => world.workloads.push(newWorkload(1, index + 1, ifindex)))
  for (let host = 1; host <= 4; host++) world.workloads.push(newWorkload(2, host, 0))
  return world
}

export function randomLabels(random: Random): string[] {
  const [namespace, team] = random.pick([['ns', 'x'], ['ns', 'x'], ['other', 'y']] as const)
  const ofNamespace = [`${NAMESPACE_LABELS}kubernetes.io/metadata.name=${namespace}`, `${NAMESPACE_LABELS}team=${team}`]
  const account = random.chance(0.3) ? ['k8s:io.cilium.k8s.policy.serviceaccount=robot'] : []
  return [`${NAMESPACE_KEY}=${namespace}`, ...ofNamespace, ...account, ...KEYS.filter(() => random.chance(0.7)).map((key) => `${random.chance(0.85) ? 'k8s' : 'container'}:${key}=${random.pick(VALUES)}`)]
}

function randomNamedPorts(random: Random): NamedPorts {
  return PORT_NAMES.filter(() => random.chance(0.6)).map((name) => ({ name, protocol: random.pick(PROTOCOLS), port: random.pick(PORTS) }))
}

function randomSelector(random: Random, most: number): Selector {
  return { requirements: random.some(0, most, () => randomRequirement(random)) }
}

function randomRequirement(random: Random): Requirement {
  const key = `${random.chance(0.7) ? 'k8s' : 'any'}:${random.pick(KEYS)}`
  const operator = random.pick(['In', 'In', 'In', 'NotIn', 'Exists', 'DoesNotExist'] as const)
  const values = operator === 'In' || operator === 'NotIn' ? [...new Set(random.some(1, 2, () => random.pick(VALUES)))] : []
  return { key, operator, values }
}

const exists = (key: string): Requirement => ({ key, operator: 'Exists', values: [] })
const ENTITIES = ['reserved:world', 'reserved:host', 'reserved:world-ipv4', 'reserved:remote-node', 'reserved:init'] as const
/** What CIDR rules about addresses outside of the cluster want beside the address. */
const OUTSIDE: readonly Requirement[] = ['reserved:host', 'reserved:remote-node'].map((key) => ({ key, operator: 'DoesNotExist', values: [] }))

function randomPeer(random: Random): Peer {
  const kind = random.below(12)
  if (kind < 6) return { selector: randomSelector(random, 2) }
  if (kind < 7) return { selector: { requirements: [exists(random.pick(ENTITIES))] } }
  if (kind < 8) return { selector: { requirements: [exists(random.pick(['reserved:host', 'reserved:remote-node'])), { key: 'node:zone', operator: 'In', values: [random.pick(['a', 'b'])] }] } }
  if (kind < 9) return { selector: { requirements: [exists(NAMESPACE_KEY), randomRequirement(random)] } }
  const prefix = random.pick(PREFIXES)
  const except = random.chance(0.5) ? (EXCEPTS[prefix] ?? []).filter(() => random.chance(0.7)) : []
  const cidr = { prefix, except, workloads: random.chance(0.5) }
  if (random.chance(0.3)) return { cidr, selector: { requirements: OUTSIDE } }
  return random.chance(0.15) ? { cidr, selector: randomSelector(random, 1) } : { cidr }
}

function randomPort(random: Random): PortMatch {
  const kind = random.below(10)
  if (kind === 0) {
    const protocol = random.pick([ICMP, ICMPV6] as const)
    const message = random.pick(ICMP_MESSAGES[protocol])
    return { protocol, first: message, last: message }
  }
  if (kind < 3) return { protocol: random.chance(0.3) ? 'any' : random.pick(PROTOCOLS), name: random.pick(PORT_NAMES) }
  const protocol = random.pick(PROTOCOLS)
  if (kind === 3) return { protocol, first: 0, last: 65535 }
  const first = random.pick(PORTS)
  const last = kind < 6 ? Math.min(65535, first + random.pick([1, 7, 100, 20000])) : first
  return { protocol, first, last }
}

function randomRule(random: Random, number: number, tier: Policy['tier']): Rule {
  const action = random.pick(tier === 'normal' ? (['allow', 'deny'] as const) : (['allow', 'deny', 'deny', 'pass'] as const))
  return {
    number,
    direction: random.chance(0.5) ? 'ingress' : 'egress',
    action,
    peers: random.chance(0.25) ? 'any' : random.some(random.chance(0.05) ? 0 : 1, 3, () => randomPeer(random)),
    ports: random.chance(0.35) ? 'all' : random.some(random.chance(0.05) ? 0 : 1, 3, () => randomPort(random)),
  }
}

const INIT: Selector = { requirements: [exists('reserved:init')] }
const HOST = exists('reserved:host')

function randomSubject(random: Random): Selector {
  const kind = random.below(100)
  if (kind < 5) return INIT
  if (kind < 15) return { requirements: [HOST, ...(random.chance(0.3) ? [{ key: 'node:zone', operator: 'In', values: [random.pick(['a', 'b'])] } as const] : [])] }
  return randomSelector(random, 1)
}

/** What closes workloads whose labels are not known. */
export function initPolicy(numbers: () => number): Policy {
  return { subject: INIT, tier: 'normal', priority: 0, isolates: { ingress: numbers(), egress: numbers() }, rules: [], audit: false }
}

/** `numbers` hands out rule numbers; the default verdicts take one too, since a drop by default names its policy. */
export function randomPolicy(random: Random, numbers: () => number): Policy {
  const tier = random.pick(['normal', 'normal', 'normal', 'normal', 'admin', 'baseline'] as const)
  const rules = random.some(0, 4, () => randomRule(random, numbers(), tier))
  const isolated = (direction: Rule['direction']): boolean => tier === 'normal' && (rules.some((rule) => rule.direction === direction) ? random.chance(0.35) : random.chance(0.05))
  return {
    subject: randomSubject(random),
    tier,
    priority: tier === 'normal' ? 0 : random.below(4),
    isolates: { ...(isolated('ingress') && { ingress: numbers() }), ...(isolated('egress') && { egress: numbers() }) },
    rules,
    audit: random.chance(0.05),
  }
}

export { EXCEPTS, ICMP_MESSAGES, KEYS, PORTS, PORT_NAMES, PREFIXES, PROTOCOLS, VALUES }
