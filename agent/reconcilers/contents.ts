// Maps whose whole contents are known.
import { readAll } from './policy.ts'
import type { MapPort } from './ports.ts'

/** Additions first: a key that stays is never missing. Its value is written again. */
export function setEntries(map: MapPort, entries: readonly (readonly [key: Uint8Array, value: Uint8Array])[]): void {
  for (const [key, value] of entries) map.update(key, value)
  prune(map, new Set(entries.map(([key]) => hex(key))))
}

/** The same for maps that are sets, whose values are unused; keys may repeat. */
export function setKeys(map: MapPort, keys: readonly Uint8Array[]): void {
  const wanted = new Map(keys.map((key) => [hex(key), key]))
  for (const key of wanted.values()) if (map.lookup(key) === undefined) map.update(key, new Uint8Array(map.valueSize))
  prune(map, new Set(wanted.keys()))
}

function prune(map: MapPort, wanted: ReadonlySet<string>): void {
  const { count, keys } = readAll(map)
  for (let index = 0; index < count; index++) {
    const key = keys.subarray(index * map.keySize, (index + 1) * map.keySize)
    if (!wanted.has(hex(key))) map.delete(key)
  }
}

function hex(key: Uint8Array): string {
  return Buffer.from(key).toString('hex')
}
