// Maps that are sets: their values are unused.
import { readAll } from './policy.ts'
import type { MapPort } from './ports.ts'

/** Additions first: a key that stays is never missing. */
export function setKeys(map: MapPort, keysWanted: readonly Uint8Array[]): void {
  const wanted = new Map(keysWanted.map((key) => [hex(key), key]))
  const { count, keys } = readAll(map)
  const present = Array.from({ length: count }, (_, index) => keys.subarray(index * map.keySize, (index + 1) * map.keySize))
  const known = new Set(present.map(hex))
  for (const [text, key] of wanted) if (!known.has(text)) map.update(key, new Uint8Array(map.valueSize))
  for (const key of present) if (!wanted.has(hex(key))) map.delete(key)
}

function hex(key: Uint8Array): string {
  return Buffer.from(key).toString('hex')
}
