// The small world that packet tables speak of: two workloads on this node, the node itself, one elsewhere, the rest.

import {
  Direction,
  endpointRecord,
  EndpointFlags,
  HOST_IFINDEX,
  peerRecord,
  PeerFlags,
  PolicyAction,
  policyKeyRecord,
  policyRowRecord,
  policySpanRecord,
  prefixKeyRecord,
} from '../../bpf/index.ts'
import { SplitMap } from '../../loader/index.ts'
import type { BpfMap } from '../../loader/index.ts'
import { parseAddress } from '../../engine/index.ts'
import { IpProtocol, macBytes } from '../wire.ts'

export const ADDRESSES = {
  a: ['10.1.0.1', 'fd00:1::1'],
  b: ['10.1.0.2', 'fd00:1::2'],
  nobody: ['10.1.0.99', 'fd00:1::99'],
  host: ['10.1.0.254', 'fd00:1::254'],
  remote: ['10.2.0.1', 'fd00:2::1'],
  world: ['192.0.2.7', '2001:db8::7'],
} as const
export type Name = keyof typeof ADDRESSES
export const FAMILIES = [4, 6] as const
export type Family = (typeof FAMILIES)[number]

export const CLASSES = { a: 1, b: 2, host: 3, remote: 4, range: 5, world: 6 } as const
export const SUBJECTS = { a: 11, b: 12, host: 13 } as const
export const MACS = { a: '02:00:00:00:0a:01', b: '02:00:00:00:0b:01', nodeA: '02:00:00:00:0a:02', nodeB: '02:00:00:00:0b:02' } as const
export const IDENTITIES = { a: 1001, b: 1002, remote: 1003, host: 1, world: 2, range: 0 } as const

export type Local = 'a' | 'b'
export type Subject = keyof typeof SUBJECTS

/** One row for (subject, class, direction); `class` 0 is every peer. */
export interface Rule {
  readonly subject: Subject
  readonly direction: 'ingress' | 'egress'
  readonly peer: keyof typeof CLASSES | 'any'
  readonly protocol?: number
  readonly ports?: readonly [first: number, last: number]
  readonly action: 'allow' | 'deny' | 'audit'
  readonly precedence?: number
  readonly rule?: number
}

export function addressOf(name: Name, family: Family): string {
  return ADDRESSES[name][family === 4 ? 0 : 1]
}

export function key32(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}

export function mapped(text: string): Uint8Array {
  const address = parseAddress(text)
  if (address === undefined) throw new RangeError(`${text} is no IP address`)
  return address
}

export type Maps = (name: string) => BpfMap

interface Peer {
  readonly class: keyof typeof CLASSES
  readonly ifindex?: number
  readonly flags?: number
}

function peerBytes({ class: name, ifindex = 0, flags = 0 }: Peer): Uint8Array<ArrayBuffer> {
  return peerRecord.encode({ identity: IDENTITIES[name], peerClass: CLASSES[name], ifindex, flags })
}

export function setAddress(maps: Maps, address: string, peer: Peer): void {
  maps('addresses').update(mapped(address), peerBytes(peer))
}

export function setPrefix(maps: Maps, address: string, prefixLength: number, peer: Peer): void {
  maps('prefixes').update(prefixKeyRecord.encode({ prefixLength, address: mapped(address) }), peerBytes(peer))
}

/** Addresses of both families, each workload at its interface. */
export function setAddresses(maps: Maps, ifindexes: Readonly<Record<Local, number>>): void {
  for (const family of FAMILIES) {
    for (const name of ['a', 'b'] as const) setAddress(maps, addressOf(name, family), { class: name, ifindex: ifindexes[name], flags: PeerFlags.WORKLOAD })
    setAddress(maps, addressOf('host', family), { class: 'host', flags: PeerFlags.HOST })
    setAddress(maps, addressOf('remote', family), { class: 'remote', flags: PeerFlags.WORKLOAD })
  }
  setPrefix(maps, '0.0.0.0', 96, { class: 'world' })
  setPrefix(maps, '::', 0, { class: 'world' })
  setPrefix(maps, '10.1.0.0', 96 + 24, { class: 'range', flags: PeerFlags.LOCAL_RANGE })
  setPrefix(maps, 'fd00:1::', 64, { class: 'range', flags: PeerFlags.LOCAL_RANGE })
}

export interface EndpointOverrides {
  readonly subject?: number
  readonly audit?: boolean
  readonly reject?: boolean
  readonly peerNetns?: boolean
}

function flagsOf({ audit, reject, peerNetns }: EndpointOverrides): number {
  return (audit === true ? EndpointFlags.AUDIT : 0) | (reject === true ? EndpointFlags.REJECT : 0) | (peerNetns === true ? EndpointFlags.PEER_NETNS : 0)
}

export function setEndpoint(maps: Maps, name: Local, ifindex: number, { subject, ...overrides }: EndpointOverrides = {}): void {
  const record = {
    id: ifindex,
    identity: IDENTITIES[name],
    subject: subject ?? SUBJECTS[name],
    flags: flagsOf(overrides),
    ipv4: mapped(addressOf(name, 4)),
    ipv6: mapped(addressOf(name, 6)),
    mac: macBytes(MACS[name]),
    nodeMac: macBytes(name === 'a' ? MACS.nodeA : MACS.nodeB),
  }
  endpointsOf(maps).update(key32(ifindex), endpointRecord.encode(record))
}

export function removeEndpoint(maps: Maps, ifindex: number): void {
  endpointsOf(maps).delete(key32(ifindex))
}

function endpointsOf(maps: Maps): SplitMap {
  return new SplitMap(maps('endpoints'), maps('endpoints_beyond'))
}

/** The node's own record, which only host policies make. */
export function setHost(maps: Maps, { subject = SUBJECTS.host, ...overrides }: EndpointOverrides = {}): void {
  const none = new Uint8Array(16)
  const record = { id: 1, identity: IDENTITIES.host, subject, flags: flagsOf(overrides), ipv4: none, ipv6: none, mac: none.subarray(10), nodeMac: none.subarray(10) }
  endpointsOf(maps).update(key32(HOST_IFINDEX), endpointRecord.encode(record))
}

/** As when an address has left the class. */
export function moveGeneration(maps: Maps, peerClass: number): void {
  const key = key32(peerClass)
  const value = maps('class_generations').lookup(key) ?? key32(0)
  maps('class_generations').update(key, key32(new DataView(value.buffer).getUint32(0, true) + 1))
}

/** Ends of the row space: every protocol and port. */
const ROW_SPACE = [0, 0xff_ffff] as const

/** Writes rules as rows, a span for each (subject, class, direction); rules of one span must be sorted and disjoint. */
export function setPolicy(maps: Maps, rules: readonly Rule[], changed: Readonly<Partial<Record<Subject, number>>> = {}, firstRow = 0): void {
  const subjects = { ...SUBJECTS, ...changed }
  const spans = Map.groupBy(rules, ({ subject, peer, direction }) => JSON.stringify([subjects[subject], peer === 'any' ? 0 : CLASSES[peer], direction]))
  let row = firstRow
  for (const [text, members] of spans) {
    const [subject, peerClass, direction] = JSON.parse(text) as [number, number, Rule['direction']]
    const bit = direction === 'ingress' ? Direction.INGRESS : Direction.EGRESS
    maps('policy').update(
      policyKeyRecord.encode({ subject, peerClassDirection: peerClass * 2 + bit }),
      policySpanRecord.encode({ firstRow: row, rows: members.length }),
    )
    for (const rule of members) maps('policy_rows').update(key32(row++), rowBytes(rule))
  }
}

/** What `subject` may do with every peer. */
export const allow = (subject: Subject, direction: Rule['direction']): Rule => ({ subject, direction, peer: 'any', action: 'allow' })
export const deny = (subject: Subject, direction: Rule['direction']): Rule => ({ subject, direction, peer: 'any', action: 'deny', rule: 9 })
export const OPEN: readonly Rule[] = [allow('a', 'egress'), allow('a', 'ingress'), allow('b', 'egress'), allow('b', 'ingress')]

const ACTIONS = { allow: PolicyAction.ALLOW, deny: PolicyAction.DENY, audit: PolicyAction.AUDIT } as const

function rowBytes({ protocol, ports, action, precedence = 1, rule = 0 }: Rule): Uint8Array<ArrayBuffer> {
  const [low, high] = ports ?? [0, 0xffff]
  const [first, last] = protocol === undefined ? ROW_SPACE : [(protocol << 16) | low, (protocol << 16) | high]
  return policyRowRecord.encode({ first, last, precedence, rule, proxyPort: 0, action: ACTIONS[action], authentication: 0 })
}

export const { TCP, UDP, SCTP, ICMP, ICMPV6 } = IpProtocol
