// Addresses as the datapath holds them: 16 bytes, IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2).
import { isIP } from 'node:net'
import { AgentError } from './errors.ts'

export interface Prefix {
  readonly address: Uint8Array
  /** 0..128; IPv4 prefixes count from 96. */
  readonly prefixLength: number
}

const IPV4_OFFSET_BITS = 96

/** Throws `BAD_REQUEST` for what is no address. */
export function parseAddress(text: string): Uint8Array {
  const family = isIP(text)
  if (family === 0 || text.includes('%')) {
    throw new AgentError('BAD_REQUEST', `"${text}" is no IPv4 or IPv6 address`)
  }
  return family === 4 ? ipv4(text) : ipv6(text)
}

/** "10.0.0.0/8", "fd00::/8", or an address alone. Bits behind the prefix length are cleared. */
export function parsePrefix(text: string): Prefix {
  const [addressText = '', lengthText, ...rest] = text.split('/')
  const address = parseAddress(addressText)
  const isIpv4 = isIP(addressText) === 4
  const bits = isIpv4 ? 32 : 128
  const length = lengthText === undefined ? bits : Number(lengthText)
  if (rest.length > 0 || lengthText === '' || !Number.isInteger(length) || length < 0 || length > bits) {
    throw new AgentError('BAD_REQUEST', `"${text}" is no prefix: its length must be 0 to ${bits}`)
  }
  const prefixLength = isIpv4 ? IPV4_OFFSET_BITS + length : length
  return { address: masked(address, prefixLength), prefixLength }
}

export function isMappedIpv4(address: Uint8Array): boolean {
  return address[10] === 0xff && address[11] === 0xff && address.subarray(0, 10).every((byte) => byte === 0)
}

/** "02:00:5e:00:00:01" as 6 bytes, or undefined where it is no MAC. */
export function parseMac(text: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) return undefined
  return Uint8Array.from(text.split(':'), (byte) => parseInt(byte, 16))
}

function masked(address: Uint8Array, prefixLength: number): Uint8Array {
  return address.map((byte, index) => {
    const bits = Math.min(8, Math.max(0, prefixLength - index * 8))
    return byte & (0xff << (8 - bits))
  })
}

function ipv4(text: string): Uint8Array {
  const bytes = new Uint8Array(16)
  bytes.set([0xff, 0xff, ...text.split('.').map(Number)], 10)
  return bytes
}

function ipv6(text: string): Uint8Array {
  const [head = '', tail] = withoutDottedPart(text).split('::')
  const before = groups(head)
  const after = groups(tail ?? '')
  const zeros = new Array<number>(8 - before.length - after.length).fill(0)
  const words = [...before, ...zeros, ...after]
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]))
}

/** "::ffff:10.0.0.1" has its last two groups in decimal. */
function withoutDottedPart(text: string): string {
  const match = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text)
  if (match === null) return text
  const [a = 0, b = 0, c = 0, d = 0] = match.slice(2).map(Number)
  return `${match[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
}

function groups(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => parseInt(group, 16))
}
