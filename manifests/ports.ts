// Protocols and ports of manifests as the engine's numbers.
import type { PortMatch, Protocol } from '../engine/index.ts'
import type { Path } from './document/errors.ts'
import type { Source } from './document/source.ts'

/** IANA protocol numbers. */
export const PROTOCOLS = { ICMP: 1, TCP: 6, UDP: 17, ICMPv6: 58, SCTP: 132 } as const

export type ProtocolName = keyof typeof PROTOCOLS

export function protocolName(protocol: Protocol): string {
  return Object.entries(PROTOCOLS).find(([, number]) => number === protocol)?.[0] ?? String(protocol)
}

export const wholeProtocol = (protocol: Protocol): PortMatch => ({ protocol, first: 0, last: 65_535 })

/** Every code of one ICMP type: the engine's port is `type << 8 | code`. */
export const icmpCodes = (protocol: Protocol, type: number): PortMatch => ({
  protocol,
  first: type << 8,
  last: (type << 8) | 0xff,
})

export const singlePort = (protocol: Protocol, port: number): PortMatch => ({ protocol, first: port, last: port })

/** Both ends included; the Network Policy API wants a range to have two at least. */
export function portRange(source: Source, protocol: Protocol, { start, end }: { start: number; end: number }, path: Path): PortMatch {
  if (end <= start) source.report('INVALID', [...path, 'end'], `is not above start ${start}`, `${start + 1} to 65535`)
  return { protocol, first: start, last: end }
}
