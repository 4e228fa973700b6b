// Reading a packet as the balancer has to.

import { IpProtocol } from '../wire.ts'
import type { Refusal } from './fragments.ts'

export interface Packet {
  readonly family: 4 | 6
  /** 4 or 16 bytes; undefined while not read. */
  source?: Uint8Array
  destination?: Uint8Array
  protocol: number
  sourcePort: number
  destinationPort: number
  /** Where L4 begins, and where the IP packet ends by its own header; from the frame's beginning. */
  l4: number
  end: number
  refusal?: Refusal
  isFirst: boolean
  isLater: boolean
  /** A fragment that is not the last. */
  more: boolean
  identification: number
  /** Of a fragment: where its part begins in the frame, and in the datagram (in 8 bytes). */
  partStart: number
  partOffset: number
  isIcmpError: boolean
  echo?: 'request' | 'reply'
}

const EXTENSIONS: readonly number[] = [0, 43, IpProtocol.FRAGMENT, IpProtocol.DESTINATION_OPTIONS]
const MAX_EXTENSIONS = 5
/** A chain that goes on behind is not followed. */
const MAX_L4 = 14 + 512
export const UDP_LITE = 136
const WITH_PORTS: readonly number[] = [IpProtocol.TCP, IpProtocol.UDP, IpProtocol.SCTP, UDP_LITE]
const ECHO = { 4: { request: 8, reply: 0, errors: [3, 11, 12] }, 6: { request: 128, reply: 129, errors: [1, 2, 3, 4] } } as const

export function parseIp(frame: Uint8Array, at: number, family: 4 | 6): Packet {
  const packet = parseNetwork(frame, at, family)
  if (packet.refusal === undefined && family === 6) parseExtensions(frame, packet)
  if (packet.refusal === undefined && packet.l4 > MAX_L4) packet.refusal = 'malformed'
  if (packet.refusal === undefined && !packet.isLater) parseTransport(frame, packet)
  return packet
}

/** Replaces the packet's ends by those of the flow that it quotes, as its first direction was, where it quotes one to us. */
export function parseQuotation(frame: Uint8Array, packet: Packet): void {
  const at = packet.l4 + 8
  if (at > MAX_L4) return
  const quoted = parseNetwork(frame, at, packet.family)
  if (quoted.refusal !== undefined || quoted.isLater || quoted.l4 + 8 > frame.byteLength) return
  if (`${quoted.source}` !== `${packet.destination}`) return
  parsePorts(frame, quoted)
  const { source, destination, sourcePort, destinationPort, protocol, echo } = quoted
  const reversed = echo === 'request' ? 'reply' : echo === 'reply' ? 'request' : undefined
  Object.assign(packet, { source: destination, destination: source, sourcePort: destinationPort, destinationPort: sourcePort, protocol })
  if (reversed === undefined) delete packet.echo
  else packet.echo = reversed
}

function parseNetwork(frame: Uint8Array, at: number, family: 4 | 6): Packet {
  const packet: Packet = {
    family, protocol: 0, sourcePort: 0, destinationPort: 0, l4: 0, end: 0, isFirst: false, isLater: false, more: false,
    identification: 0, partStart: 0, partOffset: 0, isIcmpError: false,
  }
  const header = family === 4 ? 20 : 40
  const first = frame[at] ?? 0
  if (at + header > frame.byteLength || first >> 4 !== family || (family === 4 && (first & 0xf) < 5)) return { ...packet, refusal: 'malformed' }
  if (family === 4) parseIpv4(frame, at, packet)
  else parseIpv6(frame, at, packet)
  return packet
}

const view = (frame: Uint8Array): DataView => new DataView(frame.buffer, frame.byteOffset, frame.byteLength)

function parseIpv4(frame: Uint8Array, at: number, packet: Packet): void {
  const bytes = view(frame)
  const length = bytes.getUint16(at + 2)
  packet.source = frame.subarray(at + 12, at + 16)
  packet.destination = frame.subarray(at + 16, at + 20)
  packet.protocol = bytes.getUint8(at + 9)
  packet.end = length === 0 ? Infinity : at + length
  packet.l4 = at + (bytes.getUint8(at) & 0xf) * 4
  const fragment = bytes.getUint16(at + 6) & 0x3fff
  if (fragment !== 0) setFragment(packet, fragment & 0x1fff, fragment > 0x1fff, bytes.getUint16(at + 4))
}

function parseIpv6(frame: Uint8Array, at: number, packet: Packet): void {
  const bytes = view(frame)
  const length = bytes.getUint16(at + 4)
  packet.source = frame.subarray(at + 8, at + 24)
  packet.destination = frame.subarray(at + 24, at + 40)
  packet.protocol = bytes.getUint8(at + 6)
  packet.end = length === 0 ? Infinity : at + 40 + length
  packet.l4 = at + 40
  if (isMapped(packet.source) || isMapped(packet.destination)) packet.refusal = 'malformed'
}

function isMapped(address: Uint8Array): boolean {
  return address.subarray(0, 10).every((byte) => byte === 0) && address[10] === 0xff && address[11] === 0xff
}

/** TCP's flags could hide behind an offset of 8 bytes (RFC 1858). There are no fragments of fragments. */
function setFragment(packet: Packet, offset: number, more: boolean, identification: number): void {
  if ((offset === 1 && packet.protocol === IpProtocol.TCP) || packet.isFirst) packet.refusal = 'malformed'
  packet.isLater = offset > 0
  packet.isFirst = offset === 0 && more
  packet.more = more
  packet.identification = identification
  packet.partStart = packet.l4
  packet.partOffset = offset
}

function parseExtensions(frame: Uint8Array, packet: Packet): void {
  const bytes = view(frame)
  for (let headers = 0; EXTENSIONS.includes(packet.protocol) && !packet.isLater && packet.refusal === undefined; headers++) {
    const at = packet.l4
    if (headers > MAX_EXTENSIONS || at > MAX_L4 - 14 || at + 8 > frame.byteLength) packet.refusal = 'malformed'
    else if (packet.protocol === IpProtocol.FRAGMENT) {
      packet.protocol = bytes.getUint8(at)
      packet.l4 = at + 8
      setFragment(packet, bytes.getUint16(at + 2) >> 3, (bytes.getUint16(at + 2) & 1) === 1, bytes.getUint32(at + 4))
    } else {
      packet.protocol = bytes.getUint8(at)
      packet.l4 = at + (bytes.getUint8(at + 1) + 1) * 8
    }
    if (headers === MAX_EXTENSIONS) packet.refusal = 'malformed'
  }
}

function parseTransport(frame: Uint8Array, packet: Packet): void {
  const isIcmp = packet.protocol === (packet.family === 4 ? IpProtocol.ICMP : IpProtocol.ICMPV6)
  if (!isIcmp && !WITH_PORTS.includes(packet.protocol)) return
  const least = packet.protocol === IpProtocol.TCP ? 20 : 8
  if (packet.l4 + least > Math.min(frame.byteLength, packet.end)) packet.refusal = 'malformed'
  else parsePorts(frame, packet)
}

function parsePorts(frame: Uint8Array, packet: Packet): void {
  const bytes = view(frame)
  const { request, reply, errors } = ECHO[packet.family]
  const [type, code] = [bytes.getUint8(packet.l4), bytes.getUint8(packet.l4 + 1)]
  if (WITH_PORTS.includes(packet.protocol)) {
    packet.sourcePort = bytes.getUint16(packet.l4)
    packet.destinationPort = bytes.getUint16(packet.l4 + 2)
  } else if (packet.protocol === (packet.family === 4 ? IpProtocol.ICMP : IpProtocol.ICMPV6)) {
    if (type === request) packet.echo = 'request'
    if (type === reply && code === 0) packet.echo = 'reply'
    packet.isIcmpError = (errors as readonly number[]).includes(type)
  }
}
