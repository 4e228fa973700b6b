// The edge of packet tables: VIPs, their clients and backends, and the headers that lie between balancer and backend.

import { activeBackend, backendRecord, Forwarding, frontendKeyRecord, prefixKeyRecord, serviceRecord, slotRecord, steadyService } from '../../bpf/index.ts'
import { buildIpPacket } from '../packet.ts'
import type { PacketDescription, Transport } from '../packet.ts'
import { concat, EtherType, IpProtocol, macBytes, number16, number32 } from '../wire.ts'
import { GATEWAY, TestNode, UPLINK } from './node.ts'
import { tcp } from './table.ts'
import { FAMILIES, key32, mapped, SCTP, TCP, UDP } from './world.ts'
import type { Family } from './world.ts'

export const VIPS = { 4: '203.0.113.80', 6: '2001:db8:80::1' } as const
export const CLIENTS = { 4: '192.0.2.7', 6: '2001:db8::7' } as const
/** Behind the gateway. */
export const BACKENDS = { 4: ['10.20.0.1', '10.20.0.2', '10.20.0.3'], 6: ['fd20::1', 'fd20::2', 'fd20::3'] } as const
/** The balancer's own, that backends trust. */
export const OUTER_SOURCES = { 4: '10.9.0.2', 6: 'fd09::2' } as const
export const SLOTS = { base: 100, count: 251 } as const
export const IP_HEADER = { 4: 20, 6: 40 } as const
export const VNI = 0xabcdef

/** A packet of family `inner` inside an IP header of family `outer`. */
export interface Mixture {
  readonly inner: Family
  readonly outer: Family
}
export const MIXTURES: readonly Mixture[] = FAMILIES.flatMap((inner) => FAMILIES.map((outer) => ({ inner, outer })))

export interface Tunnel {
  readonly name: string
  readonly forwarding: number
  /** Of the outer UDP header; undefined: there is none. */
  readonly port?: number
  /** Between the outer UDP header and the inner packet. */
  readonly header: (inner: Family) => Uint8Array
}

const protocolOf = (inner: Family): number => (inner === 4 ? IpProtocol.IPV4 : IpProtocol.IPV6)
const etherTypeOf = (inner: Family): number => (inner === 4 ? EtherType.IPV4 : EtherType.IPV6)

export const TUNNELS: readonly Tunnel[] = [
  { name: 'ipip', forwarding: Forwarding.IPIP, header: () => new Uint8Array() },
  { name: 'gue', forwarding: Forwarding.GUE, port: 6080, header: (inner) => Uint8Array.of(0, protocolOf(inner), 0, 0) },
  { name: 'geneve', forwarding: Forwarding.GENEVE, port: 6081, header: (inner) => concat(number16(0), number16(etherTypeOf(inner)), number32(VNI * 256)) },
]

/** Bytes that the tunnel puts before a packet. */
export function overheadOf({ header, port }: Tunnel, { inner, outer }: Mixture): number {
  return IP_HEADER[outer] + (port === undefined ? 0 : 8) + header(inner).byteLength
}

/** The transport of a packet whose payload is the tunnel's header and what is inside. */
export function outerTransport({ port }: Tunnel, inner: Family): Transport {
  if (port === undefined) return { kind: 'raw', protocol: protocolOf(inner) }
  return { kind: 'udp', sourcePort: 50_000, destinationPort: port, checksum: 'zero' }
}

/** A packet as a balancer sends it to the first backend. */
export function inTunnel(tunnel: Tunnel, { inner, outer }: Mixture, content: PacketDescription, more: Partial<PacketDescription> = {}): PacketDescription {
  const payload = concat(tunnel.header(inner), buildIpPacket(content))
  return { source: OUTER_SOURCES[outer], destination: BACKENDS[outer][0], transport: outerTransport(tunnel, inner), payload, ...more }
}

/** Balancer and backend in one namespace. */
export function edgeNode(objects?: string): TestNode {
  const source4 = new DataView(mapped(OUTER_SOURCES[4]).buffer).getUint32(12, true)
  const node = new TestNode({ ...(objects !== undefined && { objects }), hooks: ['xdp_lb', 'decap'], constants: { encapsulation_source4: source4, encapsulation_source6: mapped(OUTER_SOURCES[6]), station_mac: Uint8Array.of(...macBytes(UPLINK.mac), 0, 0) } })
  for (const family of FAMILIES) {
    trust(node, mapped(OUTER_SOURCES[family]), 128)
    for (const backend of BACKENDS[family]) node.map('decap_addresses').update(mapped(backend), key32(1))
  }
  return node
}

export const trust = (node: TestNode, address: Uint8Array, prefixLength: number): void =>
  node.map('decap_sources').update(prefixKeyRecord.encode({ prefixLength, address }), key32(1))
export const distrust = (node: TestNode, address: Uint8Array, prefixLength: number): boolean =>
  node.map('decap_sources').delete(prefixKeyRecord.encode({ prefixLength, address }))

export interface BalancerSpec {
  readonly slotCount?: number
  readonly forwarding?: number
  /** They take turns in the slots. */
  readonly backends?: readonly string[]
}

/** Port 80 of the VIP of family `inner`, on backends of family `outer`. */
export function setBalancer(node: TestNode, { inner, outer }: Mixture, spec: BalancerSpec = {}): void {
  const { slotCount = SLOTS.count, forwarding = Forwarding.IPIP, backends = BACKENDS[outer] } = spec
  const service = serviceRecord.encode({ ...steadyService, id: 1, slotBase: SLOTS.base, slotCount, forwarding, vni: VNI })
  for (const protocol of [TCP, UDP, SCTP]) node.map('frontends').update(frontendKeyRecord.encode({ address: mapped(VIPS[inner]), port: 80, protocol }), service)
  const number = (index: number): number => 10 * outer + index
  backends.forEach((address, index) => setBackend(node, number(index), address))
  for (let i = 0; i < SLOTS.count; i++) node.map('slots').update(key32(SLOTS.base + i), slotRecord.encode({ backend: number(i % backends.length), previous: 0 }))
}

/** Its next hop is not known yet. */
export function setBackend(node: TestNode, number: number, address: string): void {
  node.map('backends').update(key32(number), backendRecord.encode({ ...activeBackend, address: mapped(address), port: 80, protocol: 0 }))
  const { valueSize } = node.map('next_hops')
  node.map('next_hops').update(key32(number), new Uint8Array(valueSize))
}

export function fromClient(family: Family, transport: Transport = tcp(4000, 80, 'SYN'), more: Partial<PacketDescription> = {}): PacketDescription {
  return { source: CLIENTS[family], destination: VIPS[family], transport, destinationMac: UPLINK.mac, sourceMac: GATEWAY.mac, ...more }
}

