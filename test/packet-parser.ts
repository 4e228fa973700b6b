// Reads Ethernet frames back, whatever the programs made of them.

import { formatAddress } from '../engine/index.ts'
import { TCP_FLAG_BITS, type TcpFlag } from './packet.ts'
import { checksum, concat, EtherType, formatMac, IpProtocol, pseudoHeader } from './wire.ts'

export interface ParsedIpPacket {
  readonly source: string
  readonly destination: string
  readonly hops: number
  readonly trafficClass: number
  /** Of L4, behind extension headers. */
  readonly protocol: number
  /** TCP, UDP, SCTP. */
  readonly sourcePort?: number
  readonly destinationPort?: number
  readonly tcp?: { readonly sequence: number; readonly acknowledgement: number; readonly flags: readonly TcpFlag[] }
  readonly icmp?: { readonly type: number; readonly code: number; readonly identifier: number; readonly mtu: number }
  /** What follows the L4 header. */
  readonly payload: Uint8Array
  /** Names of the checksums that are wrong: 'ip', 'l4'. A UDP zero is right; a fragment's is not looked at. */
  readonly wrongChecksums: readonly string[]
  /** What an IP-in-IP packet contains. */
  readonly inner?: ParsedIpPacket
}

export interface ParsedPacket extends ParsedIpPacket {
  readonly sourceMac: string
  readonly destinationMac: string
}

const MAPPED_PREFIX = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff)

/** Throws RangeError for what is not IPv4 or IPv6. */
export function parsePacket(frame: Uint8Array): ParsedPacket {
  const type = viewOf(frame).getUint16(12)
  if (type !== EtherType.IPV4 && type !== EtherType.IPV6) throw new RangeError(`EtherType ${type.toString(16)} is no IP`)
  return { destinationMac: formatMac(frame.subarray(0, 6)), sourceMac: formatMac(frame.subarray(6, 12)), ...parseIpPacket(frame.subarray(14)) }
}

/** Of an encapsulation or an ICMP error's quotation too, which may end early. */
export function parseIpPacket(bytes: Uint8Array): ParsedIpPacket {
  const version = (bytes[0] ?? 0) >> 4
  if (version === 4) return parseIpv4(bytes)
  if (version === 6) return parseIpv6(bytes)
  throw new RangeError(`IP version ${version}`)
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** A network header's result: where L4 begins and whether it is whole. */
interface Network {
  readonly source: Uint8Array
  readonly destination: Uint8Array
  readonly protocol: number
  readonly l4: Uint8Array
  readonly fragmentOffset: number
  readonly whole: boolean
}

function parseIpv4(bytes: Uint8Array): ParsedIpPacket {
  const view = viewOf(bytes)
  const headerLength = (view.getUint8(0) & 0xf) * 4
  const fragment = view.getUint16(6)
  const length = view.getUint16(2)
  const network = {
    source: concat(MAPPED_PREFIX, bytes.subarray(12, 16)),
    destination: concat(MAPPED_PREFIX, bytes.subarray(16, 20)),
    protocol: view.getUint8(9),
    l4: bytes.subarray(headerLength, length),
    fragmentOffset: fragment & 0x1fff,
    whole: (fragment & 0x3fff) === 0 && length <= bytes.byteLength,
  }
  const wrong = checksum(bytes.subarray(0, headerLength)) === 0 ? [] : ['ip']
  return { hops: view.getUint8(8), trafficClass: view.getUint8(1), ...parseL4(network, wrong) }
}

function parseIpv6(bytes: Uint8Array): ParsedIpPacket {
  const view = viewOf(bytes)
  const length = 40 + view.getUint16(4)
  let protocol = view.getUint8(6)
  let at = 40
  let fragment = 0
  while (protocol === IpProtocol.DESTINATION_OPTIONS || protocol === IpProtocol.FRAGMENT) {
    if (protocol === IpProtocol.FRAGMENT) fragment = view.getUint16(at + 2)
    const size = protocol === IpProtocol.FRAGMENT ? 8 : (view.getUint8(at + 1) + 1) * 8
    protocol = view.getUint8(at)
    at += size
  }
  const network = {
    source: bytes.subarray(8, 24),
    destination: bytes.subarray(24, 40),
    protocol,
    l4: bytes.subarray(at, length),
    fragmentOffset: fragment >> 3,
    whole: (fragment & 0xfff9) === 0 && length <= bytes.byteLength,
  }
  return { hops: view.getUint8(7), trafficClass: (view.getUint16(0) >> 4) & 0xff, ...parseL4(network, []) }
}

type L4 = Omit<ParsedIpPacket, 'hops' | 'trafficClass'>

function parseL4(network: Network, wrong: readonly string[]): L4 {
  const { protocol, l4, whole } = network
  const wrongChecksums = whole && !isChecksumRight(network) ? [...wrong, 'l4'] : wrong
  const common = { source: formatAddress(network.source), destination: formatAddress(network.destination), protocol, wrongChecksums }
  if (network.fragmentOffset > 0) return { ...common, payload: l4 }
  const view = viewOf(l4)
  if (protocol === IpProtocol.TCP || protocol === IpProtocol.UDP || protocol === IpProtocol.SCTP)
    return {
      ...common,
      sourcePort: view.getUint16(0),
      destinationPort: view.getUint16(2),
      ...(protocol === IpProtocol.TCP && { tcp: tcpFields(view) }),
      payload: l4.subarray(HEADER_LENGTH[protocol]),
    }
  if (protocol === IpProtocol.ICMP || protocol === IpProtocol.ICMPV6) {
    const icmp = { type: view.getUint8(0), code: view.getUint8(1), identifier: view.getUint16(4), mtu: view.getUint32(4) }
    return { ...common, icmp, payload: l4.subarray(8) }
  }
  if (protocol === IpProtocol.IPV4 || protocol === IpProtocol.IPV6) return { ...common, payload: l4, inner: parseIpPacket(l4) }
  return { ...common, payload: l4 }
}

function tcpFields(view: DataView): NonNullable<ParsedIpPacket['tcp']> {
  const flags = (Object.keys(TCP_FLAG_BITS) as TcpFlag[]).filter((flag) => (view.getUint8(13) & TCP_FLAG_BITS[flag]) !== 0)
  return { sequence: view.getUint32(4), acknowledgement: view.getUint32(8), flags }
}

const HEADER_LENGTH = { [IpProtocol.TCP]: 20, [IpProtocol.UDP]: 8, [IpProtocol.SCTP]: 12 } as const

function isChecksumRight({ source, destination, protocol, l4 }: Network): boolean {
  if (protocol === IpProtocol.ICMP) return checksum(l4) === 0
  if (protocol === IpProtocol.UDP && viewOf(l4).getUint16(6) === 0) return true
  if (protocol !== IpProtocol.TCP && protocol !== IpProtocol.UDP && protocol !== IpProtocol.ICMPV6) return true
  return checksum(concat(pseudoHeader(source, destination, l4.byteLength, protocol), l4)) === 0
}
