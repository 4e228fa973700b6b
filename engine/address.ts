// IP addresses and prefixes as text and as the 16 bytes that maps hold (IPv4 as ::ffff:a.b.c.d, RFC 4291 2.5.5.2).

import { EngineError } from './errors.ts'

export type Family = 'IPv4' | 'IPv6'

export interface Prefix {
  readonly family: Family
  /** 16 bytes, host bits zero. */
  readonly address: Uint8Array
  /** Of the 128 bits: 96 + n for an IPv4 prefix /n. */
  readonly length: number
}

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]

/** The 16 bytes of an address, or undefined where `text` is none. IPv4-mapped IPv6 text is refused (RFC 4942 2.2). */
export function parseAddress(text: string): Uint8Array | undefined {
  const ipv4 = parseIPv4(text)
  if (ipv4 !== undefined) return Uint8Array.from([...MAPPED, ...ipv4])
  const ipv6 = parseIPv6(text)
  return ipv6 === undefined || familyOf(ipv6) === 'IPv4' ? undefined : ipv6
}

export function familyOf(address: Uint8Array): Family {
  return MAPPED.every((byte, index) => address[index] === byte) ? 'IPv4' : 'IPv6'
}

function parseIPv4(text: string): number[] | undefined {
  const parts = text.split('.')
  // Leading zeros are octal to some parsers and decimal to others (CVE-2021-29923), so neither reading is taken.
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part))) return undefined
  const bytes = parts.map(Number)
  return bytes.every((byte) => byte <= 255) ? bytes : undefined
}

/** RFC 4291 section 2.2, all three forms; no zone. */
function parseIPv6(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  if (halves.length > 2 || !text.includes(':')) return undefined
  const groups = halves.map((half, index) => parseGroups(half, index === halves.length - 1))
  const [head, tail] = groups
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined
  if (halves.length === 1) return head.length === 8 ? toBytes(head) : undefined
  const zeros = 8 - head.length - (tail?.length ?? 0)
  return zeros < 1 ? undefined : toBytes([...head, ...Array<number>(zeros).fill(0), ...(tail ?? [])])
}

function parseGroups(text: string, last: boolean): number[] | undefined {
  if (text === '') return []
  const parts = text.split(':')
  const ipv4 = last && text.includes('.') ? parseIPv4(parts.pop() ?? '') : undefined
  if (!parts.every((part) => /^[\da-f]{1,4}$/i.test(part))) return undefined
  const groups = parts.map((part) => Number.parseInt(part, 16))
  if (ipv4 === undefined) return groups
  const [a = 0, b = 0, c = 0, d = 0] = ipv4
  return [...groups, (a << 8) | b, (c << 8) | d]
}

function toBytes(groups: readonly number[]): Uint8Array {
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]))
}

/** Canonical text (RFC 5952). */
export function formatAddress(address: Uint8Array): string {
  if (familyOf(address) === 'IPv4') return address.subarray(12).join('.')
  const groups = Array.from({ length: 8 }, (_, i) => ((address[2 * i] ?? 0) << 8) | (address[2 * i + 1] ?? 0))
  const run = longestZeroRun(groups)
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':')
  if (run.length < 2) return hex(groups)
  return `${hex(groups.slice(0, run.start))}::${hex(groups.slice(run.start + run.length))}`
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  for (let start = 0; start < groups.length; start++) {
    let length = 0
    while (groups[start + length] === 0) length++
    if (length > best.length) best = { start, length }
  }
  return best
}

/** `ADDRESS/LENGTH`, or undefined. Host bits are cleared, as the kernel and Kubernetes do. */
export function parsePrefix(text: string): Prefix | undefined {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text)
  const address = parseAddress(match?.[1] ?? '')
  if (address === undefined) return undefined
  const family = familyOf(address)
  const length = Number(match?.[2]) + (family === 'IPv4' ? 96 : 0)
  return length > 128 ? undefined : { family, address: maskAddress(address, length), length }
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatAddress(prefix.address)}/${prefix.family === 'IPv4' ? prefix.length - 96 : prefix.length}`
}

/** Whether every address of `inner` is one of `outer`. */
export function covers(outer: Prefix, inner: Prefix): boolean {
  if (outer.family !== inner.family || outer.length > inner.length) return false
  return maskAddress(inner.address, outer.length).every((byte, index) => byte === outer.address[index])
}

/** Whether the prefix holds the address. IPv4 addresses are in IPv4 prefixes only, though ::/0 spans their bits too. */
export function prefixCovers(prefix: Pick<Prefix, 'address' | 'length'>, address: Uint8Array): boolean {
  return covers({ ...prefix, family: familyOf(prefix.address) }, { family: familyOf(address), address, length: 128 })
}

/** As parseAddress, for text that must be right by now. Throws EngineError `INVALID`. */
export function addressOf(text: string): Uint8Array {
  const address = parseAddress(text)
  if (address === undefined) throw new EngineError('INVALID', `"${text}" is no IPv4 or IPv6 address`)
  return address
}

/** A prefix, or an address alone: the prefix of just itself. Throws EngineError `INVALID` likewise. */
export function prefixOf(text: string): Prefix {
  const prefix = parsePrefix(text) ?? parsePrefix(`${text}/${text.includes(':') ? 128 : 32}`)
  if (prefix === undefined) throw new EngineError('INVALID', `"${text}" is no prefix; wanted is an address, "/" and at most 32 (IPv4) or 128 (IPv6)`)
  return prefix
}

/** A copy with all bits behind the first `length` of 128 cleared. */
export function maskAddress(address: Uint8Array, length: number): Uint8Array {
  return address.map((byte, index) => {
    const bits = Math.min(8, Math.max(0, length - 8 * index))
    return byte & (0xff00 >> bits) & 0xff
  })
}
