// A protocol and a port to ask about, as people write them.
import { PROTOCOLS, type ProtocolName } from './ports.ts'

export interface Probe {
  /** As it was written. */
  readonly text: string
  readonly protocol: number
  /** ICMP: `type << 8`, as in the engine's rules. */
  readonly port: number
}

export const PROBE_SYNTAX =
  'PORT/PROTOCOL, in any case: 1 to 65535 with TCP, UDP or SCTP, or a type from 0 to 255 with ICMP or ICMPv6; a port alone is TCP'

/** `80/TCP`, `80` (TCP), `53/udp`, `8/ICMP` (a type). Undefined where the text is none, see PROBE_SYNTAX. */
export function parseProbe(text: string): Probe | undefined {
  const [, digits = '', name = 'TCP'] = /^(\d{1,5})(?:\/(\w+))?$/.exec(text) ?? []
  const known = (Object.keys(PROTOCOLS) as ProtocolName[]).find((protocol) => protocol.toLowerCase() === name.toLowerCase())
  if (digits === '' || known === undefined) return undefined
  const number = Number(digits)
  if (known === 'ICMP' || known === 'ICMPv6') return number <= 255 ? { text, protocol: PROTOCOLS[known], port: number << 8 } : undefined
  return number >= 1 && number <= 65_535 ? { text, protocol: PROTOCOLS[known], port: number } : undefined
}
