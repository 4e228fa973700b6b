// Builds Ethernet frames from descriptions and reads them back, checksums included, for tests of the BPF programs.

import { familyOf, formatAddress, parseAddress } from '../engine/index.ts'
import { checksum, concat, EtherType, IpProtocol, macBytes, number16, number32, pseudoHeader } from './wire.ts'
export { EtherType, formatMac, IpProtocol, macBytes } from './wire.ts'
export { parsePacket, type ParsedPacket } from './packet-parser.ts'

export type TcpFlag = 'FIN' | 'SYN' | 'RST' | 'PSH' | 'ACK'
export const TCP_FLAG_BITS: Readonly<Record<TcpFlag, number>> = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16 }

export interface Ports {
  readonly sourcePort: number
  readonly destinationPort: number
}

/** `checksum: 'zero'`: a UDP datagram without one (RFC 768). */
export type Transport =
  | ({ readonly kind: 'tcp'; readonly flags?: readonly TcpFlag[] } & Ports)
  | ({ readonly kind: 'udp'; readonly checksum?: 'zero' } & Ports)
  | ({ readonly kind: 'sctp' } & Ports)
  | { readonly kind: 'icmp'; readonly type: number; readonly code?: number; readonly identifier?: number; readonly mtu?: number }
  | { readonly kind: 'raw'; readonly protocol: number }

/** A fragment of a datagram whose L4 part is `payload` and the transport's header; offset and length in bytes. */
export interface Fragment {
  readonly identification: number
  readonly offset: number
  readonly more: boolean
  /** Bytes of the L4 part that this fragment carries; the rest of it by default. */
  readonly length?: number
}

export interface PacketDescription {
  readonly sourceMac?: string
  readonly destinationMac?: string
  /** Addresses as text; both of one family. */
  readonly source: string
  readonly destination: string
  readonly transport: Transport
  readonly payload?: Uint8Array
  readonly hops?: number
  readonly trafficClass?: number
  /** IPv4: may not be fragmented on the way. */
  readonly dontFragment?: boolean
  /** IPv4: bytes of options, a multiple of 4. */
  readonly options?: Uint8Array
  /** IPv6: destination-options headers before L4, as many. */
  readonly extensions?: number
  readonly fragment?: Fragment
}

const DEFAULT_MACS = { source: '02:00:00:00:00:0a', destination: '02:00:00:00:00:0b' } as const
const TCP_WINDOW = 64240

/** The Ethernet frame. */
export function buildPacket(description: PacketDescription): Uint8Array<ArrayBuffer> {
  const ip = buildIpPacket(description)
  const type = (ip[0] ?? 0) >> 4 === 4 ? EtherType.IPV4 : EtherType.IPV6
  return concat(macBytes(description.destinationMac ?? DEFAULT_MACS.destination), macBytes(description.sourceMac ?? DEFAULT_MACS.source), number16(type), ip)
}

/** The same without its Ethernet header, as encapsulations and ICMP errors contain it. */
export function buildIpPacket(description: PacketDescription): Uint8Array<ArrayBuffer> {
  const source = addressOf(description.source)
  const destination = addressOf(description.destination)
  if (familyOf(source) !== familyOf(destination)) throw new RangeError(`${description.source} and ${description.destination} are of different families`)
  const l4 = buildTransport(description, source, destination)
  return familyOf(source) === 'IPv4' ? buildIpv4(description, source.subarray(12), destination.subarray(12), l4) : buildIpv6(description, source, destination, l4)
}

function addressOf(text: string): Uint8Array {
  const address = parseAddress(text)
  if (address === undefined) throw new RangeError(`${text} is no IP address`)
  return address
}

/** IANA number of the description's L4 protocol. */
export function protocolOf({ transport, source }: Pick<PacketDescription, 'transport' | 'source'>): number {
  switch (transport.kind) {
    case 'tcp':
      return IpProtocol.TCP
    case 'udp':
      return IpProtocol.UDP
    case 'sctp':
      return IpProtocol.SCTP
    case 'icmp':
      return source.includes(':') ? IpProtocol.ICMPV6 : IpProtocol.ICMP
    case 'raw':
      return transport.protocol
  }
}

function buildTransport(description: PacketDescription, source: Uint8Array, destination: Uint8Array): Uint8Array<ArrayBuffer> {
  const { transport, payload = new Uint8Array() } = description
  const protocol = protocolOf(description)
  const bytes = concat(transportHeader(transport, payload.byteLength), payload)
  const place = CHECKSUM_PLACE[protocol]
  if (place === undefined || (transport.kind === 'udp' && transport.checksum === 'zero')) return bytes
  const covered = protocol === IpProtocol.ICMP ? bytes : concat(pseudoHeader(source, destination, bytes.byteLength, protocol), bytes)
  const sum = checksum(covered)
  // A computed zero of UDP is sent as all ones, since zero says that there is none (RFC 768).
  bytes.set(number16(sum === 0 && protocol === IpProtocol.UDP ? 0xffff : sum), place)
  return bytes
}

/** Where a protocol's one's-complement checksum stands in its header. */
const CHECKSUM_PLACE: Readonly<Record<number, number>> = { [IpProtocol.TCP]: 16, [IpProtocol.UDP]: 6, [IpProtocol.ICMP]: 2, [IpProtocol.ICMPV6]: 2 }

function transportHeader(transport: Transport, payloadLength: number): Uint8Array<ArrayBuffer> {
  switch (transport.kind) {
    case 'tcp':
      return tcpHeader(transport.sourcePort, transport.destinationPort, transport.flags ?? ['ACK'])
    case 'udp':
      return concat(number16(transport.sourcePort), number16(transport.destinationPort), number16(8 + payloadLength), number16(0))
    case 'sctp':
      return concat(number16(transport.sourcePort), number16(transport.destinationPort), number32(1), number32(0))
    case 'icmp':
      return concat(Uint8Array.of(transport.type, transport.code ?? 0), number16(0), icmpRest(transport))
    case 'raw':
      return new Uint8Array()
  }
}

function icmpRest({ identifier = 0, mtu }: { identifier?: number; mtu?: number }): Uint8Array {
  return mtu === undefined ? concat(number16(identifier), number16(1)) : number32(mtu)
}

function tcpHeader(sourcePort: number, destinationPort: number, flags: readonly TcpFlag[]): Uint8Array<ArrayBuffer> {
  const bits = flags.reduce((sum, flag) => sum | TCP_FLAG_BITS[flag], 0)
  return concat(number16(sourcePort), number16(destinationPort), number32(1), number32(flags.includes('ACK') ? 1 : 0), Uint8Array.of(5 << 4, bits), number16(TCP_WINDOW), number32(0))
}

function slice(l4: Uint8Array, fragment: Fragment | undefined): Uint8Array {
  return fragment === undefined ? l4 : l4.subarray(fragment.offset, fragment.length === undefined ? undefined : fragment.offset + fragment.length)
}

function buildIpv4(description: PacketDescription, source: Uint8Array, destination: Uint8Array, l4: Uint8Array): Uint8Array<ArrayBuffer> {
  const { options = new Uint8Array(), fragment, hops = 64, trafficClass = 0 } = description
  const headerLength = 20 + options.byteLength
  const payload = slice(l4, fragment)
  const flags = (description.dontFragment === true ? 0x4000 : 0) | (fragment?.more === true ? 0x2000 : 0) | ((fragment?.offset ?? 0) >> 3)
  const header = concat(
    Uint8Array.of(0x40 | (headerLength / 4), trafficClass),
    number16(headerLength + payload.byteLength),
    number16(fragment?.identification ?? 0),
    number16(flags),
    Uint8Array.of(hops, protocolOf(description), 0, 0),
    source,
    destination,
    options,
  )
  header.set(number16(checksum(header)), 10)
  return concat(header, payload)
}

/** A destination-options header of 8 bytes: padding (RFC 8200 section 4.2). */
const PADDING_OPTION = [0, 1, 4, 0, 0, 0, 0] as const

function buildIpv6(description: PacketDescription, source: Uint8Array, destination: Uint8Array, l4: Uint8Array): Uint8Array<ArrayBuffer> {
  const { fragment, hops = 64, trafficClass = 0, extensions = 0 } = description
  const chain = [...Array<number>(extensions).fill(IpProtocol.DESTINATION_OPTIONS), ...(fragment === undefined ? [] : [IpProtocol.FRAGMENT]), protocolOf(description)]
  const headers = chain.slice(0, -1).map((type, index) => extensionHeader(type, chain[index + 1] ?? 0, fragment))
  const payload = concat(...headers, slice(l4, fragment))
  return concat(number32(0x6000_0000 + trafficClass * 2 ** 20), number16(payload.byteLength), Uint8Array.of(chain[0] ?? 0, hops), source, destination, payload)
}

function extensionHeader(type: number, next: number, fragment: Fragment | undefined): Uint8Array {
  if (type !== IpProtocol.FRAGMENT || fragment === undefined) return Uint8Array.of(next, ...PADDING_OPTION)
  return concat(Uint8Array.of(next, 0), number16(fragment.offset | (fragment.more ? 1 : 0)), number32(fragment.identification))
}

export { formatAddress }
