// Names of ICMP types that a CiliumNetworkPolicy may use, from IANA's registries "ICMP Type Numbers" and "ICMPv6
// Parameters" in Cilium's spelling.
import type { Family } from '../../engine/index.ts'
import type { Format } from '../document/schema.ts'

const TYPES: { readonly [F in Family]: { readonly [name: string]: number } } = {
  IPv4: {
    EchoReply: 0,
    DestinationUnreachable: 3,
    Redirect: 5,
    Echo: 8,
    EchoRequest: 8,
    RouterAdvertisement: 9,
    RouterSelection: 10,
    TimeExceeded: 11,
    ParameterProblem: 12,
    Timestamp: 13,
    TimestampReply: 14,
    Photuris: 40,
    ExtendedEchoRequest: 42,
    ExtendedEchoReply: 43,
  },
  IPv6: {
    DestinationUnreachable: 1,
    PacketTooBig: 2,
    TimeExceeded: 3,
    ParameterProblem: 4,
    EchoRequest: 128,
    EchoReply: 129,
    MulticastListenerQuery: 130,
    MulticastListenerReport: 131,
    MulticastListenerDone: 132,
    RouterSolicitation: 133,
    RouterAdvertisement: 134,
    NeighborSolicitation: 135,
    NeighborAdvertisement: 136,
    RedirectMessage: 137,
    RouterRenumbering: 138,
    ICMPNodeInformationQuery: 139,
    ICMPNodeInformationResponse: 140,
    InverseNeighborDiscoverySolicitation: 141,
    InverseNeighborDiscoveryAdvertisement: 142,
    HomeAgentAddressDiscoveryRequest: 144,
    HomeAgentAddressDiscoveryRequestMessage: 144,
    HomeAgentAddressDiscoveryReply: 145,
    HomeAgentAddressDiscoveryReplyMessage: 145,
    MobilePrefixSolicitation: 146,
    MobilePrefixAdvertisement: 147,
    DuplicateAddressRequestCodeSuffix: 157,
    DuplicateAddressConfirmationCodeSuffix: 158,
    ExtendedEchoRequest: 160,
    ExtendedEchoReply: 161,
  },
}

/** The number of a type by its name or number, or undefined where the family has no such name. */
export function icmpTypeNumber(family: Family, type: number | string): number | undefined {
  if (typeof type === 'number') return type
  return /^\d+$/.test(type) ? Number(type) : Object.hasOwn(TYPES[family], type) ? TYPES[family][type] : undefined
}

export const icmpTypeNames = (family: Family): readonly string[] => Object.keys(TYPES[family])

/** A name of either family; which family it must be is known only beside the `family` field. */
export const icmpType: Format = {
  allowed: 'the name of an ICMP type, e.g. EchoRequest',
  accepts: (text) =>
    /^\d{1,3}$/.test(text) ? Number(text) <= 255 : (['IPv4', 'IPv6'] as const).some((family) => Object.hasOwn(TYPES[family], text)),
}
