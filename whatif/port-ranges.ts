// Ports as people write them, one or many, and back.
import { parseProbe, protocolName, PROTOCOLS, type ProtocolName } from '../manifests/index.ts'
import { LAST_KEY } from './segments.ts'

/** Keys of the space that segments divide, both ends included. */
export interface PortRange {
  readonly first: number
  readonly last: number
}

export const PORT_RANGE_SYNTAX = 'PORT, PORT/PROTOCOL, FIRST-LAST/PROTOCOL, a PROTOCOL (TCP, UDP, SCTP, ICMP, ICMPv6), or all'

const WHOLE = { first: 0, last: LAST_KEY }

/** `80`, `80/TCP`, `8000-8100/TCP`, `UDP`, `8/ICMP` (a type), `all`. Undefined where the text is none. */
export function parsePortRange(text: string): PortRange | undefined {
  if (text === 'all') return WHOLE
  const protocol = protocolOf(text)
  if (protocol !== undefined) return keys(protocol, 0, 0xffff)
  const [, start, end = start, name = '/TCP'] = /^(\d+)(?:-(\d+))?(\/\w+)?$/.exec(text) ?? []
  const [first, last] = [parseProbe(`${start}${name}`), parseProbe(`${end}${name}`)]
  if (first === undefined || last === undefined || last.port < first.port) return undefined
  return keys(first.protocol, first.port, isIcmp(first.protocol) ? last.port | 0xff : last.port)
}

function protocolOf(text: string): number | undefined {
  const name = (Object.keys(PROTOCOLS) as ProtocolName[]).find((known) => known.toLowerCase() === text.toLowerCase())
  return name && PROTOCOLS[name]
}

const keys = (protocol: number, first: number, last: number): PortRange => ({
  first: (protocol << 16) | first,
  last: (protocol << 16) | last,
})

const isIcmp = (protocol: number): boolean => protocol === PROTOCOLS.ICMP || protocol === PROTOCOLS.ICMPv6

/** One key: `80/TCP`, `8/ICMP`, or the number of another protocol. */
export function formatPort(key: number): string {
  return formatPortRanges([{ first: key, last: key }])[0] ?? `protocol ${key >>> 16}`
}

/** Ascending ranges, each protocol's by itself: `all`, or such as `80/TCP`, `8000-8100/TCP`, `UDP`, `other protocols`. */
export function formatPortRanges(ranges: readonly PortRange[]): readonly string[] {
  if (ranges.length === 1 && ranges[0]?.first === 0 && ranges[0].last === LAST_KEY) return ['all']
  const known = Object.values(PROTOCOLS).sort((a, b) => a - b)
  const named = known.flatMap((protocol) => {
    const whole = keys(protocol, 0, 0xffff)
    return ranges.flatMap((range) => {
      const [first, last] = [Math.max(range.first, whole.first), Math.min(range.last, whole.last)]
      return first > last ? [] : [formatPorts(protocol, first & 0xffff, last & 0xffff)]
    })
  })
  // Manifests name no other protocol than these, so that all others are decided alike.
  return ranges.some(({ first }) => first === 0) ? [...named, 'other protocols'] : named
}

function formatPorts(protocol: number, first: number, last: number): string {
  const name = protocolName(protocol)
  if (first === 0 && last === 0xffff) return name
  const [from, to] = isIcmp(protocol) ? [first >> 8, last >> 8] : [first, last]
  return from === to ? `${from}/${name}` : `${from}-${to}/${name}`
}

/** For people: what is missing, where that is shorter than what is there. */
export function describePortRanges(ranges: readonly PortRange[]): string {
  const [present, absent] = [formatPortRanges(ranges), formatPortRanges(complement(ranges))]
  return absent.length > 0 && absent.length < present.length ? `all but ${absent.join(', ')}` : present.join(', ')
}

function complement(ranges: readonly PortRange[]): readonly PortRange[] {
  const gaps = [...ranges, { first: LAST_KEY + 1, last: LAST_KEY + 1 }].map(({ first }, index) => ({
    first: (ranges[index - 1]?.last ?? -1) + 1,
    last: first - 1,
  }))
  return gaps.filter(({ first, last }) => first <= last)
}
