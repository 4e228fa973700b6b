// Addresses and prefixes as 16 bytes, IPv4 in its mapped form ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), which is
// how the maps hold them.

import { EngineError } from './errors.ts'

export interface Prefix {
  /** 16 bytes, zero behind the prefix. */
  readonly address: Uint8Array
  /** 0..128; an IPv4 prefix counts from 96. */
  readonly length: number
}

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff] as const

function parseIpv4(text: string): number[] | undefined {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) return undefined
  return parts.map(Number)
}

function parseGroups(text: string): number[] | undefined {
  if (text === '') return []
  const bytes: number[] = []
  const groups = text.split(':')
  for (const [index, group] of groups.entries()) {
    const ipv4 = index === groups.length - 1 && group.includes('.') ? parseIpv4(group) : undefined
    if (ipv4) bytes.push(...ipv4)
    else if (/^[0-9a-fA-F]{1,4}$/.test(group)) bytes.push(Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff)
    else return undefined
  }
  return bytes
}

function parseIpv6(text: string): number[] | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const head = parseGroups(halves[0] ?? '')
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? '') : []
  if (!head || !tail) return undefined
  const zeros = 16 - head.length - tail.length
  if (halves.length === 2 ? zeros < 2 : zeros !== 0) return undefined
  return [...head, ...new Array<number>(zeros).fill(0), ...tail]
}

/** 16 bytes of an IPv4 or IPv6 address; undefined for any other text. */
export function tryParseAddress(text: string): Uint8Array | undefined {
  const ipv4 = parseIpv4(text)
  if (ipv4) return Uint8Array.from([...MAPPED, ...ipv4])
  const ipv6 = text.includes(':') ? parseIpv6(text) : undefined
  return ipv6 && Uint8Array.from(ipv6)
}

export function parseAddress(text: string): Uint8Array {
  const address = tryParseAddress(text)
  if (!address) throw new EngineError('INVALID', `"${text}" is no address; wanted is IPv4 such as 10.0.0.1 or IPv6 such as fd00::1`)
  return address
}

/** A prefix, or an address alone; bits behind the prefix length are cleared. */
export function parsePrefix(text: string): Prefix {
  const [address, length, ...rest] = text.split('/')
  const bytes = tryParseAddress(address ?? '')
  const bits = bytes && !address?.includes(':') ? 32 : 128
  const valid = length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= bits)
  if (!bytes || !valid || rest.length > 0) {
    throw new EngineError('INVALID', `"${text}" is no prefix; wanted is an address, or an address, "/" and at most 32 (IPv4) or 128 (IPv6)`)
  }
  const full = 128 - bits + Number(length ?? bits)
  return { address: maskAddress(bytes, full), length: full }
}

/** A copy with all bits behind the first `length` cleared. */
export function maskAddress(address: Uint8Array, length: number): Uint8Array {
  return address.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, length - index * 8))))
}

export function isIpv4(address: Uint8Array): boolean {
  return MAPPED.every((byte, index) => address[index] === byte)
}

/** Whether the prefix holds the address. IPv4 addresses are in IPv4 prefixes only, though ::/0 spans their bits too. */
export function prefixCovers(prefix: Prefix, address: Uint8Array): boolean {
  if (isIpv4(address) && prefix.length < 96) return false
  return maskAddress(address, prefix.length).every((byte, index) => byte === prefix.address[index])
}

/** The usual text: dotted for IPv4, RFC 5952 for IPv6. */
export function formatAddress(address: Uint8Array): string {
  if (isIpv4(address)) return address.slice(12).join('.')
  const groups = Array.from({ length: 8 }, (_, i) => ((address[i * 2] ?? 0) << 8 | (address[i * 2 + 1] ?? 0)).toString(16))
  const text = groups.join(':')
  const zeros = [...text.matchAll(/(?:^|:)0(?::0)+(?=:|$)/g)].map((match) => match[0])
  const longest = zeros.reduce((best, run) => (run.replace(/^:/, '').length > best.replace(/^:/, '').length ? run : best), '')
  if (longest === '') return text
  const at = text.indexOf(longest)
  return `${text.slice(0, at)}::${text.slice(at + longest.length).replace(/^:/, '')}`
}

export function formatPrefix(prefix: Prefix): string {
  const ipv4 = prefix.length >= 96 && isIpv4(prefix.address)
  return `${formatAddress(prefix.address)}/${ipv4 ? prefix.length - 96 : prefix.length}`
}
