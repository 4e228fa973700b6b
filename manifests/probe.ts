// A protocol and a port to ask about, as people write them.
import { type Family, familyOf, parseAddress } from '../engine/index.ts'
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

/** Only IPv4 carries ICMP (RFC 792) and only IPv6 ICMPv6 (RFC 4443); undefined where both families carry the protocol. */
function familyOfProbe({ protocol }: Probe): Family | undefined {
  if (protocol === PROTOCOLS.ICMP) return 'IPv4'
  return protocol === PROTOCOLS.ICMPv6 ? 'IPv6' : undefined
}

/** Those of an end's addresses that a packet of the probe can have. */
export function addressesFor(probe: Probe, addresses: readonly string[]): readonly string[] {
  const family = familyOfProbe(probe)
  return addresses.filter((text) => {
    const address = parseAddress(text)
    return family === undefined || (address !== undefined && familyOf(address) === family)
  })
}

/** What to say where `addressesFor` leaves none. */
export function noSuchPacket(probe: Probe, end: string): string {
  const kind = [familyOfProbe(probe), 'address'].filter((word) => word !== undefined).join(' ')
  return `${end} has no ${kind}, so it neither sends nor receives packets of ${probe.text}`
}
