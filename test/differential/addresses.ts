// Addresses as 128-bit numbers: what the generator needs to find a prefix's edges.

import { formatAddress, prefixCovers, prefixOf } from '../../engine/index.ts'

export function isIpv4(text: string): boolean {
  return !text.includes(':')
}

/** Whether one of the prefixes holds the address. */
export function isIn(address: string, prefixes: readonly string[]): boolean {
  const { address: bytes } = prefixOf(address)
  return prefixes.some((prefix) => prefixCovers(prefixOf(prefix), bytes))
}

/** First and last address of a prefix and their neighbours on both sides, those of the prefix's own family only. */
export function prefixEdges(text: string): string[] {
  const { address, length } = prefixOf(text)
  const first = numberOf(address)
  const last = first | ((1n << BigInt(128 - length)) - 1n)
  const edges = [first - 1n, first, first + 1n, last - 1n, last, last + 1n].filter((edge) => edge > 0n && edge < 1n << 128n)
  return edges.map((edge) => formatAddress(bytesOf(edge))).filter((edge) => isIpv4(edge) === isIpv4(text))
}

function numberOf(bytes: Uint8Array): bigint {
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n)
}

function bytesOf(address: bigint): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, index) => Number((address >> BigInt(8 * (15 - index))) & 0xffn))
}
