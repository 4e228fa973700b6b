// Addresses as 128-bit numbers: what the generator needs to find a prefix's edges.

import { formatAddress, parseAddress, parsePrefix } from '../../manifests/index.ts'
import type { Prefix } from '../../manifests/index.ts'

/** Throws RangeError for text that is no address: the generator's vocabulary is at fault then. */
export function addressBytes(text: string): Uint8Array {
  const bytes = parseAddress(text)
  if (bytes === undefined) throw new RangeError(`${text} is no IP address`)
  return bytes
}

/** Throws RangeError likewise. */
export function prefixOf(text: string): Prefix {
  const prefix = parsePrefix(text)
  if (prefix === undefined) throw new RangeError(`${text} is no IP prefix`)
  return prefix
}

export function isIpv4(text: string): boolean {
  return !text.includes(':')
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
