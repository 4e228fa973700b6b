// Protocol numbers (IANA) as the names that flows carry.

const PROTOCOLS: readonly (readonly [number, string])[] = [
  [1, 'ICMP'],
  [6, 'TCP'],
  [17, 'UDP'],
  [58, 'ICMPv6'],
  [132, 'SCTP'],
]
const NAME_OF_PROTOCOL = new Map(PROTOCOLS)
const NAME_IN_ANY_CASE = new Map(PROTOCOLS.map(([, name]) => [name.toUpperCase(), name]))

export const PROTOCOL_NAMES: readonly string[] = PROTOCOLS.map(([, name]) => name)

/** "TCP" for 6; protocols without a name here are their IANA number. */
export function protocolName(protocol: number): string {
  return NAME_OF_PROTOCOL.get(protocol) ?? String(protocol)
}

/** The name that flows carry for what a person typed ("tcp", "6", "47"), or undefined where it is no protocol. */
export function parseProtocol(text: string): string | undefined {
  if (/^\d{1,3}$/.test(text)) return Number(text) <= 255 ? protocolName(Number(text)) : undefined
  return NAME_IN_ANY_CASE.get(text.toUpperCase())
}
