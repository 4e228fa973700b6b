// Addresses for what has none yet: Pods that wait for theirs, and peers that are only thought of.
import { formatAddress, parseAddress } from '../engine/index.ts'

/** Discard-only (RFC 6666): no real policy names an address of it. */
const PREFIX = '100::'

/** An address each, none of which is among `taken`. */
export function placeholders<T>(items: readonly T[], taken: ReadonlySet<string>): ReadonlyMap<T, string> {
  let next = 1
  const nextFree = (): string => {
    for (;;) {
      const address = parseAddress(PREFIX) ?? new Uint8Array(16)
      new DataView(address.buffer).setUint32(12, next++)
      if (!taken.has(formatAddress(address))) return formatAddress(address)
    }
  }
  return new Map(items.map((item) => [item, nextFree()]))
}
