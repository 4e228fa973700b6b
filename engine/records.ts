// Records of bpf/types.h as the engine's inputs, and pinned maps as records beside one another.

import type { EndpointEntry } from './types.ts'

/** Packed keys and values of a pinned map, as a batched lookup gives them. */
export interface PackedEntries {
  readonly keys: Uint8Array
  readonly values: Uint8Array
}

/** struct endpoint of bpf/types.h, its subject left to the engine. */
export function endpointRecord(entry: EndpointEntry): Uint8Array {
  const record = new Uint8Array(64)
  const view = new DataView(record.buffer)
  view.setUint32(0, entry.id, true)
  view.setUint32(4, entry.identity, true)
  view.setUint32(12, entry.flags, true)
  if (entry.ipv4) record.set(entry.ipv4, 16)
  if (entry.ipv6) record.set(entry.ipv6, 32)
  record.set(entry.mac.subarray(0, 6), 48)
  record.set(entry.nodeMac.subarray(0, 6), 54)
  return record
}

/** Keys and values of each record beside one another. */
export function join({ keys, values }: PackedEntries, keyBytes: number, valueBytes: number): Uint32Array {
  const count = keys.length / keyBytes
  const records = new Uint8Array(count * (keyBytes + valueBytes))
  for (let i = 0; i < count; i++) {
    records.set(keys.subarray(i * keyBytes, (i + 1) * keyBytes), i * (keyBytes + valueBytes))
    records.set(values.subarray(i * valueBytes, (i + 1) * valueBytes), i * (keyBytes + valueBytes) + keyBytes)
  }
  return new Uint32Array(records.buffer)
}

/** As the prefix table's records: with a length in front, here always 128. */
export function joinAddresses(entries: PackedEntries): Uint32Array {
  const records = join(entries, 16, 16)
  const count = records.length / 8
  const out = new Uint32Array(count * 9)
  for (let i = 0; i < count; i++) {
    out[i * 9] = 128
    out.set(records.subarray(i * 8, i * 8 + 8), i * 9 + 1)
  }
  return out
}

export function generationRecords(generations: Uint32Array): Uint32Array {
  const pairs: number[] = []
  for (const [peerClass, generation] of generations.entries()) if (generation !== 0) pairs.push(peerClass, generation)
  return Uint32Array.from(pairs)
}
