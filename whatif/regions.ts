// The world outside, divided as finely as the prefixes of policies divide it: within one region no rule tells two
// addresses apart, so that one address speaks for all.
import { formatAddress, formatPrefix, parsePrefix, type Prefix } from '../engine/index.ts'
import type { Cluster } from '../manifests/index.ts'

export interface Region {
  /** The narrowest prefix around it. What a narrower prefix of some rule holds is no part of it. */
  readonly prefix: string
  /** One of its addresses, of no workload or node. */
  readonly address: string
}

const WHOLE_WORLD = ['0.0.0.0/0', '::/0']

/** Regions that hold nothing but workloads and nodes are left out. */
export function outsideRegions(clusters: readonly Cluster[]): readonly Region[] {
  const prefixes = [...new Set([...WHOLE_WORLD, ...clusters.flatMap(prefixesOf)])].map(rangeOf)
  const taken = new Set(clusters.flatMap(({ workloads, nodes }) => [...workloads, ...nodes].flatMap(({ addresses }) => addresses)))
  const single = [...taken].map((address) => rangeOf(`${address}/${address.includes(':') ? 128 : 32}`))
  const blockers = [...prefixes, ...single].sort((a, b) => (a.first < b.first ? -1 : 1))
  return prefixes.flatMap((range) => {
    const address = freeAddress(range, blockers)
    return address === undefined ? [] : [{ prefix: range.text, address }]
  })
}

function prefixesOf({ policies }: Cluster): readonly string[] {
  const rules = [...policies.values()].flatMap((document) => document.policies.flatMap((policy) => policy.rules))
  const peers = rules.flatMap((rule) => (rule.peers === 'any' ? [] : rule.peers))
  return peers.flatMap(({ cidr }) => (cidr === undefined ? [] : [cidr.prefix, ...cidr.except]))
}

interface Range {
  readonly text: string
  readonly family: Prefix['family']
  readonly first: bigint
  readonly last: bigint
}

function rangeOf(text: string): Range {
  const prefix = parsePrefix(text)
  if (prefix === undefined) throw new TypeError(`rangeOf: '${text}' is no prefix`)
  const first = numberOf(prefix.address)
  return { text: formatPrefix(prefix), family: prefix.family, first, last: first | ((1n << BigInt(128 - prefix.length)) - 1n) }
}

/** Not the network's own address if there is another, since nobody speaks from it. */
function freeAddress(range: Range, blockers: readonly Range[]): string | undefined {
  const inner = blockers.filter((other) => other.family === range.family && isInside(other, range))
  const free = firstFree(range.first + 1n, range.last, inner) ?? firstFree(range.first, range.last, inner)
  return free === undefined ? undefined : formatAddress(bytesOf(free))
}

function isInside(inner: Range, outer: Range): boolean {
  return inner !== outer && inner.first >= outer.first && inner.last <= outer.last
}

/** `blockers` by their start. */
function firstFree(from: bigint, to: bigint, blockers: readonly Range[]): bigint | undefined {
  let candidate = from
  for (const { first, last } of blockers) {
    if (first > candidate) break
    if (last >= candidate) candidate = last + 1n
  }
  return candidate <= to ? candidate : undefined
}

const numberOf = (bytes: Uint8Array): bigint => bytes.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n)

const bytesOf = (number: bigint): Uint8Array =>
  Uint8Array.from({ length: 16 }, (_, index) => Number((number >> BigInt(8 * (15 - index))) & 0xffn))
