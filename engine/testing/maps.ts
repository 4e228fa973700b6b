// The datapath's maps as JavaScript maps, filled from the engine's changes, and its two policy lookups. What the BPF
// programs do with the same bytes, for tests without a kernel.

import { maskAddress } from '../address.ts'
import { ENDPOINT_AUDIT } from '../assembly/records.generated.ts'
import { KEY_BYTES, VALUE_BYTES } from '../records.ts'
import type { Change, Decision, Direction, EngineMap } from '../types.ts'

export interface PeerRecord {
  readonly identity: number
  readonly peerClass: number
  readonly ifindex: number
  readonly flags: number
}

export interface Lookup {
  /** `unknown`: no class for the address, or no subject: the datapath drops. */
  readonly decision: Decision | 'unknown'
  readonly rule: number
  readonly subject: number
  readonly peerClass: number
}

const ACTIONS: readonly Decision[] = ['denied', 'allowed', 'audited']

const wordsOf = (bytes: Uint8Array) => new Uint32Array(bytes.slice().buffer)

export class DatapathMaps {
  /** Keys are the records' words, joined. */
  readonly maps: Readonly<Record<EngineMap, Map<string, Uint32Array>>> = {
    addresses: new Map(), prefixes: new Map(), class_generations: new Map(), endpoints: new Map(), policy: new Map(), policy_rows: new Map(),
    last_subject: new Map(),
  }

  /** Applies one run; deleting what is not there is a fault of the journal. */
  apply(change: Change): void {
    const keys = wordsOf(change.keys)
    const values = wordsOf(change.values)
    for (let i = 0; i < change.count; i++) this.#applyOne(change, i, keys, values)
  }

  #applyOne(change: Change, index: number, keys: Uint32Array, values: Uint32Array): void {
    const map = this.maps[change.map]
    const keyWords = KEY_BYTES[change.map] / 4
    const valueWords = VALUE_BYTES[change.map] / 4
    const key = keys.subarray(index * keyWords, (index + 1) * keyWords).join()
    if (change.operation === 'update') map.set(key, values.slice(index * valueWords, (index + 1) * valueWords))
    else if (!map.delete(key)) throw new Error(`deletes ${key}, which ${change.map} does not hold`)
  }

  /** The entry of the address table: exact, else the longest prefix. */
  peer(address: Uint8Array): PeerRecord | undefined {
    const record = this.maps.addresses.get(wordsOf(address).join()) ?? this.#longestPrefix(address)
    return record && { identity: record[0] ?? 0, peerClass: record[1] ?? 0, ifindex: record[2] ?? 0, flags: record[3] ?? 0 }
  }

  #longestPrefix(address: Uint8Array): Uint32Array | undefined {
    const lengths = new Set([...this.maps.prefixes.keys()].map((key) => Number.parseInt(key, 10)))
    for (const length of [...lengths].sort((a, b) => b - a)) {
      const found = this.maps.prefixes.get(`${length},${wordsOf(maskAddress(address, length)).join()}`)
      if (found) return found
    }
    return undefined
  }

  generation(peerClass: number): number {
    return this.maps.class_generations.get(`${peerClass}`)?.[0] ?? 0
  }

  /** Number of an endpoint's subject, or undefined. */
  subject(ifindex: number): number | undefined {
    return this.maps.endpoints.get(`${ifindex}`)?.[2]
  }

  decide(ifindex: number, direction: Direction, peerAddress: Uint8Array, protocol: number, port: number): Lookup | undefined {
    return this.decideByClass(ifindex, direction, this.peer(peerAddress)?.peerClass ?? 0, protocol, port)
  }

  /** One side's decision: the row for the peer's class and the one for every peer, the higher precedence. */
  decideByClass(ifindex: number, direction: Direction, peerClass: number, protocol: number, port: number): Lookup | undefined {
    const endpoint = this.maps.endpoints.get(`${ifindex}`)
    if (!endpoint) return undefined
    const subject = endpoint[2] ?? 0
    const own = this.#row(subject, peerClass, direction, protocol << 16 | port)
    const every = this.#row(subject, 0, direction, protocol << 16 | port)
    if (peerClass === 0 || !every) return { decision: 'unknown', rule: 0, subject, peerClass }
    const row = own && (own[2] ?? 0) >= (every[2] ?? 0) ? own : every
    const action = ACTIONS[(row[4] ?? 0) >>> 16 & 0xff] as Decision
    const decision = action === 'denied' && ((endpoint[3] ?? 0) & ENDPOINT_AUDIT) !== 0 ? 'audited' : action
    return { decision, rule: row[3] ?? 0, subject, peerClass }
  }

  #row(subject: number, peerClass: number, direction: Direction, key: number): Uint32Array | undefined {
    const [first = 0, count = 0] = this.maps.policy.get(`${subject},${peerClass << 1 | (direction === 'egress' ? 1 : 0)}`) ?? []
    for (let index = first; index < first + count; index++) {
      const row = this.maps.policy_rows.get(`${index}`)
      if (!row) throw new Error(`row ${index} of a span was never written`)
      if ((row[0] ?? 0) <= key && key <= (row[1] ?? 0)) return row
    }
    return undefined
  }
}
