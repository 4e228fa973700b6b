// What stands before a packet on its way to a backend.

import { OUTER_SOURCES, VNI } from '../bpf/edge.ts'
import { GATEWAY, UPLINK } from '../bpf/node.ts'
import { mapped } from '../bpf/world.ts'
import { checksum, concat, EtherType, IpProtocol, macBytes, number16, number32 } from '../wire.ts'
import { flowHash } from './hash.ts'
import type { Packet } from './parse.ts'
import type { Tunnel, Way } from './world.ts'

const MACS = concat(macBytes(GATEWAY.mac), macBytes(UPLINK.mac))
const HOPS = 64
const DONT_FRAGMENT = 0x4000

/** `total`: bytes of the IP packet. `overhead`: bytes before it. */
export function encapsulate(frame: Uint8Array, packet: Packet, { tunnel, address }: Way, total: number): { data: Uint8Array; overhead: number } {
  if (tunnel === undefined) return { data: concat(MACS, frame.subarray(12)), overhead: 0 }
  const hash = flowHash(packet)
  const inside = tunnelHeader(tunnel, packet.family, hash, total)
  const isIpv4 = address[10] === 0xff && address.subarray(0, 10).every((byte) => byte === 0)
  const protocol = tunnel === 'ipip' ? protocolOf(packet.family) : IpProtocol.UDP
  const outer = { protocol, length: inside.byteLength + total, trafficClass: trafficClassOf(frame, packet.family) }
  const ip = isIpv4 ? ipv4Header(outer, mapped(OUTER_SOURCES[4]).subarray(12), address.subarray(12)) : ipv6Header(outer, mapped(OUTER_SOURCES[6]), address, hash % 2 ** 20)
  const headers = concat(ip, inside)
  return { data: concat(MACS, number16(isIpv4 ? EtherType.IPV4 : EtherType.IPV6), headers, frame.subarray(14)), overhead: headers.byteLength }
}

const protocolOf = (family: 4 | 6): number => (family === 4 ? IpProtocol.IPV4 : IpProtocol.IPV6)

function trafficClassOf(frame: Uint8Array, family: 4 | 6): number {
  const [first = 0, second = 0] = frame.subarray(14)
  return family === 4 ? second : ((first & 0xf) << 4) | (second >> 4)
}

function tunnelHeader(tunnel: Tunnel, family: 4 | 6, hash: number, total: number): Uint8Array {
  if (tunnel === 'ipip') return new Uint8Array()
  const etherType = family === 4 ? EtherType.IPV4 : EtherType.IPV6
  const header = tunnel === 'gue' ? Uint8Array.of(0, protocolOf(family), 0, 0) : concat(number16(0), number16(etherType), number32(VNI * 256))
  const port = tunnel === 'gue' ? 6080 : 6081
  return concat(number16(0xc000 + (hash % 2 ** 14)), number16(port), number16(8 + header.byteLength + total), number16(0), header)
}

export interface HeaderFields {
  readonly protocol: number
  /** Bytes behind the header. */
  readonly length: number
  readonly trafficClass: number
}

export function ipv4Header({ protocol, length, trafficClass }: HeaderFields, source: Uint8Array, destination: Uint8Array): Uint8Array {
  const header = concat(Uint8Array.of(0x45, trafficClass), number16(20 + length), number16(0), number16(DONT_FRAGMENT), Uint8Array.of(HOPS, protocol, 0, 0), source, destination)
  header.set(number16(checksum(header)), 10)
  return header
}

export function ipv6Header({ protocol, length, trafficClass }: HeaderFields, source: Uint8Array, destination: Uint8Array, flowLabel: number): Uint8Array {
  return concat(number32(0x6000_0000 + trafficClass * 2 ** 20 + flowLabel), number16(length), Uint8Array.of(protocol, HOPS), source, destination)
}
