// Records of bpf/types.h as the engine's inputs, and pinned maps as records beside one another.

import {
  ENDPOINT_FLAGS_OFFSET, ENDPOINT_ID_OFFSET, ENDPOINT_IDENTITY_OFFSET, ENDPOINT_IPV4_OFFSET, ENDPOINT_IPV6_OFFSET,
  ENDPOINT_MAC_OFFSET, ENDPOINT_NODE_MAC_OFFSET, ENDPOINT_SIZE, IP_ADDRESS_SIZE, PEER_SIZE, POLICY_KEY_SIZE, POLICY_ROW_SIZE,
  POLICY_SPAN_SIZE, PREFIX_KEY_SIZE,
} from './assembly/records.generated.ts'
import type { EndpointEntry, EngineMap } from './types.ts'

const WORD = 4
export const KEY_BYTES: Readonly<Record<EngineMap, number>> = {
  addresses: IP_ADDRESS_SIZE, prefixes: PREFIX_KEY_SIZE, class_generations: WORD, endpoints: WORD, policy: POLICY_KEY_SIZE, policy_rows: WORD,
  last_subject: WORD,
}
export const VALUE_BYTES: Readonly<Record<EngineMap, number>> = {
  addresses: PEER_SIZE, prefixes: PEER_SIZE, class_generations: WORD, endpoints: ENDPOINT_SIZE, policy: POLICY_SPAN_SIZE,
  policy_rows: POLICY_ROW_SIZE, last_subject: WORD,
}

/** Packed keys and values of a pinned map, as a batched lookup gives them. */
export interface PackedEntries {
  readonly keys: Uint8Array
  readonly values: Uint8Array
}

/** struct endpoint of bpf/types.h, its subject left to the engine. */
export function endpointRecord(entry: EndpointEntry): Uint8Array {
  const record = new Uint8Array(ENDPOINT_SIZE)
  const view = new DataView(record.buffer)
  view.setUint32(ENDPOINT_ID_OFFSET, entry.id, true)
  view.setUint32(ENDPOINT_IDENTITY_OFFSET, entry.identity, true)
  view.setUint32(ENDPOINT_FLAGS_OFFSET, entry.flags, true)
  if (entry.ipv4) record.set(entry.ipv4, ENDPOINT_IPV4_OFFSET)
  if (entry.ipv6) record.set(entry.ipv6, ENDPOINT_IPV6_OFFSET)
  record.set(entry.mac.subarray(0, 6), ENDPOINT_MAC_OFFSET)
  record.set(entry.nodeMac.subarray(0, 6), ENDPOINT_NODE_MAC_OFFSET)
  return record
}

/** Keys and values of each record beside one another. */
export function join(map: EngineMap, { keys, values }: PackedEntries): Uint32Array {
  const keyBytes = KEY_BYTES[map]
  const valueBytes = VALUE_BYTES[map]
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
  const records = join('addresses', entries)
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
