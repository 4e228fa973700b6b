// What the balancer answers itself.

import { checksum, concat, IpProtocol, number16, number32, pseudoHeader } from '../wire.ts'
import { ipv4Header, ipv6Header } from './headers.ts'
import type { Outcome } from './model.ts'
import type { Packet } from './parse.ts'

/** With the 8 bytes of the ICMP header, at most what a minimal link carries. */
const QUOTED = 504

/** Undefined where the stack is to answer, or nobody. */
export function answerEcho(frame: Uint8Array, packet: Packet): Outcome | undefined {
  const { family, l4, source, destination } = packet
  const isPlain = family === 4 ? frame[14] === 0x45 : l4 === 54
  if (!isPlain || source === undefined || destination === undefined || !isSingle(source)) return undefined
  const data = concat(frame.subarray(6, 12), frame.subarray(0, 6), frame.subarray(12))
  const addresses = family === 4 ? 26 : 22
  data.set(concat(destination, source), addresses)
  data[family === 4 ? 22 : 21] = 64
  if (family === 4) data.set(number16(checksum(withoutChecksum(data.subarray(14, 34)))), 24)
  const [request, reply] = family === 4 ? [8, 0] : [128, 129]
  data[l4] = reply
  data.set(number16(adjusted(word(frame, l4 + 2), request << 8, reply << 8)), l4 + 2)
  return { verdict: 'transmit', data }
}

const word = (bytes: Uint8Array, at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)

function withoutChecksum(header: Uint8Array): Uint8Array {
  return concat(header.subarray(0, 10), number16(0), header.subarray(12))
}

/** RFC 1624, equation 3: also of a checksum that was wrong. */
function adjusted(sum: number, before: number, after: number): number {
  let next = (~sum & 0xffff) + (~before & 0xffff) + after
  while (next > 0xffff) next = (next & 0xffff) + (next >> 16)
  return ~next & 0xffff
}

function isSingle(address: Uint8Array): boolean {
  if (address.every((byte) => byte === 0)) return false
  const [first = 0] = address
  return address.byteLength === 16 ? first !== 0xff : first >> 4 !== 0xe && !address.every((byte) => byte === 0xff)
}

export function answerTooBig(frame: Uint8Array, packet: Packet, mtu: number): Outcome {
  const { family, source, destination } = packet
  const mayBeFragmented = family === 4 && ((frame[20] ?? 0) & 0x40) === 0
  const isUnanswered = packet.isIcmpError || mayBeFragmented || (family === 4 && packet.isLater)
  if (isUnanswered || source === undefined || destination === undefined || !isSingle(source)) return { verdict: 'drop', reason: 'too-big' }
  const icmp = icmpError(family, destination, source, concat(number32(mtu), frame.subarray(14, 14 + QUOTED)))
  const fields = { protocol: family === 4 ? IpProtocol.ICMP : IpProtocol.ICMPV6, length: icmp.byteLength, trafficClass: 0 }
  const ip = family === 4 ? ipv4Header(fields, destination, source) : ipv6Header(fields, destination, source, 0)
  return { verdict: 'transmit', data: concat(frame.subarray(6, 12), frame.subarray(0, 6), frame.subarray(12, 14), ip, icmp), reason: 'too-big' }
}

function icmpError(family: 4 | 6, source: Uint8Array, destination: Uint8Array, rest: Uint8Array): Uint8Array {
  const message = concat(family === 4 ? Uint8Array.of(3, 4, 0, 0) : Uint8Array.of(2, 0, 0, 0), rest)
  const covered = family === 4 ? message : concat(pseudoHeader(source, destination, message.byteLength, IpProtocol.ICMPV6), message)
  message.set(number16(checksum(covered)), 2)
  return message
}
