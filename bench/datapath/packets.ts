// Packets of the datapath benchmarks: Ethernet, IPv4 or IPv6, TCP or UDP, padded to a multiple of 8 bytes.

export interface Station {
  readonly mac: string
  readonly ipv4: string
  readonly ipv6: string
}

export interface PacketSpec {
  readonly family: 4 | 6
  readonly from: Station
  readonly to: Station
  readonly sourcePort: number
  readonly destinationPort: number
  /** Of TCP; without them it is a UDP datagram. */
  readonly flags?: number
}

export const TcpFlag = { SYN: 0x02, ACK: 0x10 } as const

const ETHERNET = 14
const IP_HEADER = { 4: 20, 6: 40 } as const
const TCP_HEADER = 20
const UDP_HEADER = 8
export const Protocol = { TCP: 6, UDP: 17 } as const
const ETHERTYPE = { 4: 0x0800, 6: 0x86dd } as const

/** Where the fields stand that tell flows apart. */
export function fieldOffsets(family: 4 | 6) {
  const l4 = ETHERNET + IP_HEADER[family]
  const addresses = family === 4 ? { source: ETHERNET + 12, destination: ETHERNET + 16 } : { source: ETHERNET + 8, destination: ETHERNET + 24 }
  const last = family === 4 ? 2 : 14 // the address's last 16 bits
  return {
    sourceAddress: addresses.source + last,
    destinationAddress: addresses.destination + last,
    sourcePort: l4,
    destinationPort: l4 + 2
  }
}

export function macBytes(mac: string): Uint8Array {
  return Uint8Array.from(mac.split(':'), (part) => Number.parseInt(part, 16))
}

/** 4 or 16 bytes. IPv6 is written in full here: eight groups or one `::`. */
export function addressBytes(address: string): Uint8Array {
  if (address.includes('.')) return Uint8Array.from(address.split('.'), Number)
  const [head = '', tail] = address.split('::')
  const groups = (text: string | undefined): number[] => (text ? text.split(':').map((group) => Number.parseInt(group, 16)) : [])
  const [left, right] = [groups(head), groups(tail)]
  const all = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right]
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]))
}

/** As records hold it: 16 bytes, IPv4 mapped. */
export function mappedBytes(address: string): Uint8Array {
  const bytes = addressBytes(address)
  return bytes.length === 16 ? bytes : Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...bytes)
}

export function buildPacket(spec: PacketSpec): Uint8Array {
  const size = ETHERNET + IP_HEADER[spec.family] + l4Bytes(spec)
  const bytes = new Uint8Array(Math.ceil(size / 8) * 8)
  const view = new DataView(bytes.buffer)
  bytes.set(macBytes(spec.to.mac), 0)
  bytes.set(macBytes(spec.from.mac), 6)
  view.setUint16(12, ETHERTYPE[spec.family])
  if (spec.family === 4) writeIpv4(view, bytes, spec)
  else writeIpv6(view, bytes, spec)
  writeL4(view, ETHERNET + IP_HEADER[spec.family], spec)
  return bytes
}

const l4Bytes = ({ flags }: PacketSpec): number => (flags === undefined ? UDP_HEADER : TCP_HEADER)
const protocolOf = ({ flags }: PacketSpec): number => (flags === undefined ? Protocol.UDP : Protocol.TCP)

/** The checksum stays 0: no program verifies it, and the wrapper changes addresses anyway. */
function writeIpv4(view: DataView, bytes: Uint8Array, spec: PacketSpec): void {
  view.setUint8(ETHERNET, 0x45)
  view.setUint16(ETHERNET + 2, IP_HEADER[4] + l4Bytes(spec))
  view.setUint8(ETHERNET + 8, 64)
  view.setUint8(ETHERNET + 9, protocolOf(spec))
  bytes.set(addressBytes(spec.from.ipv4), ETHERNET + 12)
  bytes.set(addressBytes(spec.to.ipv4), ETHERNET + 16)
}

function writeIpv6(view: DataView, bytes: Uint8Array, spec: PacketSpec): void {
  view.setUint8(ETHERNET, 0x60)
  view.setUint16(ETHERNET + 4, l4Bytes(spec))
  view.setUint8(ETHERNET + 6, protocolOf(spec))
  view.setUint8(ETHERNET + 7, 64)
  bytes.set(addressBytes(spec.from.ipv6), ETHERNET + 8)
  bytes.set(addressBytes(spec.to.ipv6), ETHERNET + 24)
}

function writeL4(view: DataView, at: number, spec: PacketSpec): void {
  view.setUint16(at, spec.sourcePort)
  view.setUint16(at + 2, spec.destinationPort)
  if (spec.flags === undefined) return view.setUint16(at + 4, UDP_HEADER)
  view.setUint8(at + 12, (TCP_HEADER / 4) << 4)
  view.setUint8(at + 13, spec.flags)
  view.setUint16(at + 14, 0xffff)
}
