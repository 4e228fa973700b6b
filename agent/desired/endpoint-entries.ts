// Endpoints as the engine takes them.
import { EndpointFlags, HOST_IFINDEX, Identity as ReservedIdentity } from '../../bpf/index.ts'
import type { EndpointEntry } from '../../engine/index.ts'
import type { DenyAnswer, Workload } from '../../manifests/index.ts'
import { macBytes } from '../address.ts'
import { addressOfFamily, type LocalEndpoint } from '../endpoints.ts'
import type { Interface } from '../interfaces.ts'
import type { HostPolicyMode } from '../options.ts'

export interface EndpointFacts {
  readonly id: number
  readonly identity: number
  /** Of a workload that does not say itself. */
  readonly denyAnswer: DenyAnswer
}

/** Of an endpoint that is ready: it has an interface, and both ends a MAC. */
export function endpointEntry({ workload, link, mac }: LocalEndpoint, { id, identity, denyAnswer }: EndpointFacts): EndpointEntry {
  const own = macBytes(mac ?? '')
  const node = macBytes(link?.mac ?? '')
  if (link === undefined || own === undefined || node === undefined) throw new TypeError(`endpoint ${workload.name} is not ready`)
  const ipv4 = addressOfFamily(workload, 'IPv4')
  const ipv6 = addressOfFamily(workload, 'IPv6')
  return {
    ifindex: link.ifindex,
    id,
    identity,
    flags: flagsOf({ denyAnswer, ...workload }, link),
    ...(ipv4 && { ipv4 }),
    ...(ipv6 && { ipv6 }),
    mac: own,
    nodeMac: node,
    namedPorts: workload.ports,
  }
}

/** The node as an endpoint. It has no MAC address to check and more than one address; its id only says that it is there. */
export function hostEntry(mode: HostPolicyMode, denyAnswer: DenyAnswer): EndpointEntry {
  return {
    ifindex: HOST_IFINDEX,
    id: ReservedIdentity.HOST,
    identity: ReservedIdentity.HOST,
    flags: (mode === 'audit' ? EndpointFlags.AUDIT : 0) | rejectFlag(denyAnswer),
    mac: new Uint8Array(6),
    nodeMac: new Uint8Array(6),
    namedPorts: [],
  }
}

function flagsOf({ audit, denyAnswer }: Workload, { kind, peerNamespaceId }: Interface): number {
  const peerIsElsewhere = kind === 'veth' && peerNamespaceId !== undefined
  return (peerIsElsewhere ? EndpointFlags.PEER_NETNS : 0) | (audit ? EndpointFlags.AUDIT : 0) | rejectFlag(denyAnswer)
}

function rejectFlag(denyAnswer: DenyAnswer | undefined): number {
  return denyAnswer === 'reject' ? EndpointFlags.REJECT : 0
}
