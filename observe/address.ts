// The datapath's 16-byte addresses as text, and protocol numbers as names.

const PROTOCOLS: readonly (readonly [number, string])[] = [
  [1, 'ICMP'],
  [6, 'TCP'],
  [17, 'UDP'],
  [58, 'ICMPv6'],
  [132, 'SCTP'],
]
const NAME_OF_PROTOCOL = new Map(PROTOCOLS)
const PROTOCOL_OF_NAME = new Map(PROTOCOLS.map(([number, name]) => [name.toUpperCase(), name]))

export const PROTOCOL_NAMES: readonly string[] = PROTOCOLS.map(([, name]) => name)

/** "TCP" for 6; protocols without a name here are their IANA number. */
export function protocolName(protocol: number): string {
  return NAME_OF_PROTOCOL.get(protocol) ?? String(protocol)
}

/** The name that flows carry for what a person typed ("tcp", "6", "47"), or undefined where it is no protocol. */
export function parseProtocol(text: string): string | undefined {
  if (/^\d{1,3}$/.test(text)) return Number(text) <= 255 ? protocolName(Number(text)) : undefined
  return PROTOCOL_OF_NAME.get(text.toUpperCase())
}

/** `address`: 16 bytes. IPv4 (::ffff:a.b.c.d) becomes "a.b.c.d", IPv6 the text of RFC 5952. */
export function formatAddress(address: Uint8Array): string {
  return isMappedIpv4(address) ? address.subarray(12).join('.') : formatIpv6(address)
}

function isMappedIpv4(address: Uint8Array): boolean {
  if (address[10] !== 0xff || address[11] !== 0xff) return false
  for (let i = 0; i < 10; i++) if (address[i] !== 0) return false
  return true
}

function formatIpv6(address: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((address[2 * i] ?? 0) << 8) | (address[2 * i + 1] ?? 0))
  const [start, length] = longestZeroRun(groups)
  const text = (part: number[]) => part.map((group) => group.toString(16)).join(':')
  if (length < 2) return text(groups)
  return `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`
}

/** RFC 5952 section 4.2.3: the longest run of zero groups is shortened, of equal ones the first. */
function longestZeroRun(groups: readonly number[]): readonly [start: number, length: number] {
  let best: readonly [number, number] = [0, 0]
  let start = 0
  groups.forEach((group, i) => {
    if (group !== 0) start = i + 1
    else if (i + 1 - start > best[1]) best = [start, i + 1 - start]
  })
  return best
}
