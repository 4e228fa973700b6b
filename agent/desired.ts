// Desired state: what manifests and interfaces mean for the engine. Pure but for the store, which gives numbers.
import { EndpointFlags, HOST_IFINDEX, Identity as ReservedIdentity, PeerFlags } from '../bpf/index.ts'
import { type Label, parseAddress } from '../engine/index.ts'
import { type Cluster, type DenyAnswer, isHostPolicy, type Node, type Workload } from '../manifests/index.ts'
import { addressBytes, macBytes, prefixOf } from './address.ts'
import { addressOfFamily, type LocalEndpoint, nameOf } from './endpoints.ts'
import type { Interface } from './interfaces.ts'
import type { HostPolicyMode } from './options.ts'
import { InputSet } from './reconcilers/inputs.ts'
import type { NumberSpace } from './store.ts'

export interface Numbers {
  number(space: NumberSpace, key: string): number
}

export interface DesiredSources {
  readonly cluster: Cluster
  readonly endpoints: readonly LocalEndpoint[]
  readonly links: readonly Interface[]
  readonly workloadRanges: readonly string[]
  /** Of workloads that do not say themselves. */
  readonly denyAnswer: DenyAnswer
  readonly hostPolicy: HostPolicyMode
}

const HOST_BITS = 128

/** What every address is that nothing more precise is known of. */
export const IPV4_WORLD = ReservedIdentity.WORLD_IPV4
export const IPV6_WORLD = ReservedIdentity.WORLD_IPV6

const HOST_LABELS: readonly Label[] = ['reserved:host=']
const REMOTE_NODE_LABELS: readonly Label[] = ['reserved:remote-node=']

/** Labels of the reserved identities, as selectors of entities ask for them. */
export const RESERVED_LABELS: ReadonlyMap<number, readonly Label[]> = new Map([
  [ReservedIdentity.HOST, HOST_LABELS],
  [ReservedIdentity.WORLD, ['reserved:world=']],
  [ReservedIdentity.UNMANAGED, ['reserved:unmanaged=']],
  [ReservedIdentity.HEALTH, ['reserved:health=']],
  [ReservedIdentity.INIT, ['reserved:init=']],
  [ReservedIdentity.REMOTE_NODE, REMOTE_NODE_LABELS],
  [ReservedIdentity.KUBE_APISERVER, ['reserved:kube-apiserver=']],
  [ReservedIdentity.INGRESS, ['reserved:ingress=']],
  [ReservedIdentity.WORLD_IPV4, ['reserved:world=', 'reserved:world-ipv4=']],
  [ReservedIdentity.WORLD_IPV6, ['reserved:world=', 'reserved:world-ipv6=']],
])

export function identityOf(workload: Workload, numbers: Numbers): number {
  if (workload.init) return ReservedIdentity.INIT
  return numbers.number('identity', identityKey(workload.labels))
}

/** Every key of the number space `identity` that a cluster uses. */
export function identityKeys({ workloads, nodes }: Cluster): Set<string> {
  return new Set([...workloads.map(({ labels }) => labels), ...nodes.map(remoteNodeLabels)].map(identityKey))
}

/** Labels are sorted, so equal sets are equal texts. */
const identityKey = (labels: readonly Label[]): string => labels.join('\n')

const remoteNodeLabels = ({ labels }: Node): readonly Label[] => [...REMOTE_NODE_LABELS, ...labels]

export function endpointId(workload: Workload, numbers: Numbers): number {
  return numbers.number('endpoint', nameOf(workload))
}

/** Everything that the engine is to know. */
export function desiredInputs({ cluster, endpoints, links, workloadRanges, denyAnswer, hostPolicy }: DesiredSources, numbers: Numbers): InputSet {
  const inputs = new InputSet()
  for (const [number, labels] of RESERVED_LABELS) inputs.add({ input: 'identity', number, labels })
  for (const range of workloadRanges) addRange(inputs, range)
  const own = hostAddresses(links)
  for (const address of own) addHostAddress(inputs, address)
  for (const node of nodeIdentities(cluster.nodes, own, numbers)) addNode(inputs, node)
  for (const { key, policies } of cluster.policies.values()) inputs.add({ input: 'policy', key, policies })
  const local = new Map(endpoints.map((endpoint) => [endpoint.workload, endpoint]))
  for (const workload of cluster.workloads) addWorkload(inputs, workload, local.get(workload), numbers)
  if ([...cluster.policies.values()].some(isHostPolicy)) addHost(inputs, hostPolicy)
  for (const endpoint of endpoints) addEndpoint(inputs, endpoint, numbers, denyAnswer)
  return inputs
}

/** Addresses of the node itself. */
export function hostAddresses(links: readonly Interface[]): string[] {
  const addresses = links.flatMap((link) => link.addresses)
  return [...new Set(addresses)].filter((address) => parseAddress(address) !== undefined)
}

/** An address of the range that nobody has is dropped, not sent to the world. */
function addRange(inputs: InputSet, range: string): void {
  const { address, length } = prefixOf(range)
  const entry = { address, prefixLength: length, identity: ReservedIdentity.UNMANAGED, flags: PeerFlags.LOCAL_RANGE, ifindex: 0, namedPorts: [] }
  inputs.add({ input: 'address', entry })
}

export interface NodeIdentity {
  readonly number: number
  readonly labels: readonly Label[]
  /** Of another node; this one's are known from its interfaces. */
  readonly addresses: readonly string[]
}

/** Nodes of the manifests; the one that has an address of this node is this node. */
export function nodeIdentities(nodes: readonly Node[], own: readonly string[], numbers: Numbers): readonly NodeIdentity[] {
  return nodes.map((node) => {
    const { addresses } = node
    if (addresses.some((address) => own.includes(address))) {
      return { number: ReservedIdentity.HOST, labels: [...HOST_LABELS, ...node.labels], addresses: [] }
    }
    const labels = remoteNodeLabels(node)
    return { number: numbers.number('identity', identityKey(labels)), labels, addresses }
  })
}

function addNode(inputs: InputSet, { number, labels, addresses }: NodeIdentity): void {
  inputs.add({ input: 'identity', number, labels })
  for (const address of addresses) {
    const entry = { address: addressBytes(address), prefixLength: HOST_BITS, identity: number, flags: 0, ifindex: 0, namedPorts: [] }
    inputs.add({ input: 'address', entry })
  }
}

function addHostAddress(inputs: InputSet, text: string): void {
  const entry = { address: addressBytes(text), prefixLength: HOST_BITS, identity: ReservedIdentity.HOST, flags: PeerFlags.HOST, ifindex: 0, namedPorts: [] }
  inputs.add({ input: 'address', entry })
}

/**
 * A local workload whose interface is not usable has no addresses either: its packets are dropped as unknown ones of
 * the node's range instead of leaving towards the world.
 */
function addWorkload(inputs: InputSet, workload: Workload, endpoint: LocalEndpoint | undefined, numbers: Numbers): void {
  if (endpoint !== undefined && endpoint.state !== 'ready') return
  const identity = identityOf(workload, numbers)
  inputs.add({ input: 'identity', number: identity, labels: workload.labels })
  for (const address of workload.addresses) {
    const entry = {
      address: addressBytes(address),
      prefixLength: HOST_BITS,
      identity,
      flags: PeerFlags.WORKLOAD,
      ifindex: endpoint?.link?.ifindex ?? 0,
      namedPorts: workload.ports,
    }
    inputs.add({ input: 'address', entry })
  }
}

function addEndpoint(inputs: InputSet, { workload, link, mac, state }: LocalEndpoint, numbers: Numbers, denyAnswer: DenyAnswer): void {
  const own = macBytes(mac ?? '')
  const node = macBytes(link?.mac ?? '')
  if (state !== 'ready' || link === undefined || own === undefined || node === undefined) return
  const ipv4 = addressOfFamily(workload, 'IPv4')
  const ipv6 = addressOfFamily(workload, 'IPv6')
  inputs.add({
    input: 'endpoint',
    entry: {
      ifindex: link.ifindex,
      id: endpointId(workload, numbers),
      identity: identityOf(workload, numbers),
      flags: endpointFlags({ denyAnswer, ...workload }, link),
      ...(ipv4 && { ipv4 }),
      ...(ipv6 && { ipv6 }),
      mac: own,
      nodeMac: node,
      namedPorts: workload.ports,
    },
  })
}

/** The node as an endpoint. It has no MAC address to check and more than one address; its id only says that it is there. */
function addHost(inputs: InputSet, mode: HostPolicyMode): void {
  const entry = {
    ifindex: HOST_IFINDEX,
    id: ReservedIdentity.HOST,
    identity: ReservedIdentity.HOST,
    flags: mode === 'audit' ? EndpointFlags.AUDIT : 0,
    mac: new Uint8Array(6),
    nodeMac: new Uint8Array(6),
    namedPorts: [],
  }
  inputs.add({ input: 'endpoint', entry })
}

function endpointFlags({ audit, denyAnswer }: Workload, { kind, peerNamespaceId }: Interface): number {
  const peerIsElsewhere = kind === 'veth' && peerNamespaceId !== undefined
  return (peerIsElsewhere ? EndpointFlags.PEER_NETNS : 0) | (audit ? EndpointFlags.AUDIT : 0) | (denyAnswer === 'reject' ? EndpointFlags.REJECT : 0)
}
