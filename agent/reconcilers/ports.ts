// What reconcilers need of the loader and of the engine. The real ones fit by shape; tests have theirs in memory.
import type {
  AddressEntry,
  Change,
  EndpointEntry,
  EngineMap,
  Label,
  Policy,
  Verdict,
} from '../../engine/index.ts'

export interface MapBatch {
  readonly count: number
  readonly keys: Uint8Array
  readonly values: Uint8Array
}

/** A table of BPF maps: packed records in its own layout. */
export interface MapPort {
  readonly name: string
  readonly keySize: number
  readonly valueSize: number
  lookup(key: Uint8Array): Uint8Array | undefined
  update(key: Uint8Array, value: Uint8Array): void
  delete(key: Uint8Array): boolean
  updateBatch(keys: Uint8Array, values: Uint8Array, count: number): void
  deleteBatch(keys: Uint8Array, count: number): number
  entries(batchSize?: number): Iterable<MapBatch>
}

/** One map: a table in two has no one size. */
export interface SizedMapPort extends MapPort {
  readonly maxEntries: number
}

type EngineArray = 'class_generations' | 'last_subject'
export type EngineMaps = Readonly<Record<Exclude<EngineMap, EngineArray>, MapPort> & Record<EngineArray, SizedMapPort>>

/** Whole pinned maps, packed; what the engine takes over. */
export interface PinnedState {
  readonly endpoints: MapBatch
  readonly addresses: MapBatch
  readonly prefixes: MapBatch
  readonly policy: MapBatch
  /** The whole array, by class number. */
  readonly classGenerations: Uint32Array
  readonly lastSubject: number
}

export interface VerdictQuery {
  readonly from?: Uint8Array
  readonly to?: Uint8Array
  readonly protocol: number
  readonly port: number
}

export interface EngineStatistics {
  readonly classes: number
  readonly subjects: number
  readonly rows: number
  readonly entries: number
  readonly bytes: number
}

export interface EnginePort {
  setIdentity(number: number, labels: readonly Label[]): void
  removeIdentity(number: number): void
  setAddress(entry: AddressEntry): void
  removeAddress(address: Uint8Array, prefixLength: number): void
  setEndpoint(entry: EndpointEntry): void
  removeEndpoint(ifindex: number): void
  setPolicy(key: string, policies: readonly Policy[]): void
  removePolicy(key: string): void
  transaction(body: () => void): void
  takeChanges(): readonly Change[]
  restore(pinned: PinnedState): void
  finishRestore(): void
  explain(query: VerdictQuery): Verdict
  stats(): EngineStatistics
}
