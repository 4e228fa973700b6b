// Numbers, names and sums of the wire formats that tests build and read.

export const EtherType = { IPV4: 0x0800, ARP: 0x0806, IPV6: 0x86dd } as const

/** IANA protocol numbers, IPv6 extension headers among them. */
export const IpProtocol = { ICMP: 1, IGMP: 2, IPV4: 4, TCP: 6, UDP: 17, IPV6: 41, FRAGMENT: 44, ICMPV6: 58, DESTINATION_OPTIONS: 60, SCTP: 132 } as const

export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(parts.reduce((length, part) => length + part.byteLength, 0))
  let at = 0
  for (const part of parts) {
    result.set(part, at)
    at += part.byteLength
  }
  return result
}

/** Big-endian, as all numbers on the wire. */
export function number16(value: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(value >> 8, value & 0xff)
}

export function number32(value: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)
}

export function macBytes(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text.split(':').map((byte) => Number.parseInt(byte, 16)))
}

export function formatMac(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}

/** Internet checksum (RFC 1071); over bytes that contain their right checksum it is 0. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < bytes.byteLength; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000)
  return ~sum & 0xffff
}

/** RFC 8200 section 8.1; for IPv4 the sum over mapped addresses differs from RFC 9293's only by their 0xffff words. */
export function pseudoHeader(source: Uint8Array, destination: Uint8Array, length: number, protocol: number): Uint8Array<ArrayBuffer> {
  return concat(source, destination, number32(length), number32(protocol))
}
