// Policy, identities, addresses and endpoints: tells the engine what changed and writes what it answers into the maps.
// Runs in the worker thread.
import type { Change, EngineMap } from '../../engine/index.ts'
import { codeOf, messageOf } from '../log.ts'
import { applyInput, type InputChange } from './inputs.ts'
import type { EngineMaps, EnginePort, MapBatch, MapPort, SizedMapPort } from './ports.ts'

/** Entries a system call: 0.4 us each measured, so a slice stays below 5 ms. */
const SLICE_ENTRIES = 8192

export interface ApplyReport {
  /** Entries written or deleted by this call. */
  readonly written: number
  /** Whether the engine took the call's changes. If not, it never saw them: they are to be told again. */
  readonly accepted: boolean
  /** Runs of changes that a map refused; they are kept in order and written first next time. */
  readonly pendingRuns: number
  readonly error?: { readonly code: string | undefined; readonly message: string }
}

/** What writing alone tells. */
export type WriteReport = Omit<ApplyReport, 'accepted'>

export class PolicyMaps {
  readonly #engine: EnginePort
  readonly #maps: EngineMaps
  /** Copies: the engine's own memory is only good until its next call. */
  #pending: readonly Change[] = []

  constructor(engine: EnginePort, maps: EngineMaps) {
    this.#engine = engine
    this.#maps = maps
  }

  /** Hands the pinned maps to the engine, before any input. Returns how many endpoints an earlier agent left. */
  restore(): number {
    const maps = this.#maps
    const endpoints = readAll(maps.endpoints)
    this.#engine.restore({
      endpoints,
      addresses: readAll(maps.addresses),
      prefixes: readAll(maps.prefixes),
      policy: readAll(maps.policy),
      classGenerations: readArray(maps.class_generations),
      lastSubject: readArray(maps.last_subject)[0] ?? 0,
    })
    return endpoints.count
  }

  /**
   * One atomic change. Throws what the engine refuses, and then nothing changed. `finishRestore`: this is the first
   * complete listing, so what no source wants may be pruned.
   */
  apply(changes: readonly InputChange[], { finishRestore = false } = {}): ApplyReport {
    const flushed = this.flush()
    if (flushed.error !== undefined) return { ...flushed, accepted: false }
    this.#engine.transaction(() => {
      for (const change of changes) applyInput(this.#engine, change)
    })
    if (finishRestore) this.#engine.finishRestore()
    const report = this.#write(this.#engine.takeChanges())
    return { ...report, accepted: true, written: report.written + flushed.written }
  }

  /** Writes what was refused before. */
  flush(): WriteReport {
    return this.#write(this.#pending)
  }

  /** In order; stops at the first refusal, since later runs build on earlier ones. */
  #write(runs: readonly Change[]): WriteReport {
    let written = 0
    for (const [index, run] of runs.entries()) {
      try {
        writeRun(this.#maps[run.map], run)
        written += run.count
      } catch (error) {
        this.#pending = runs.slice(index).map(copy)
        return { written, pendingRuns: this.#pending.length, error: { code: codeOf(error), message: messageOf(error) } }
      }
    }
    this.#pending = []
    return { written, pendingRuns: 0 }
  }
}

/** Updates and deletes are idempotent, so a run that stopped in its middle is simply written again. */
function writeRun(map: MapPort, { operation, count, keys, values }: Change): void {
  for (let from = 0; from < count; from += SLICE_ENTRIES) {
    const entries = Math.min(SLICE_ENTRIES, count - from)
    const sliceOfKeys = slice(keys, from, entries, map.keySize)
    if (operation === 'delete') map.deleteBatch(sliceOfKeys, entries)
    else map.updateBatch(sliceOfKeys, slice(values, from, entries, map.valueSize), entries)
  }
}

function slice(bytes: Uint8Array, from: number, entries: number, size: number): Uint8Array {
  return bytes.subarray(from * size, (from + entries) * size)
}

function copy(run: Change): Change {
  return { ...run, keys: run.keys.slice(), values: run.values.slice() }
}

/** All entries of a map, packed. */
export function readAll(map: MapPort): MapBatch {
  const batches: MapBatch[] = []
  for (const { count, keys, values } of map.entries()) {
    batches.push({ count, keys: keys.slice(), values: values.slice() })
  }
  return {
    count: batches.reduce((sum, { count }) => sum + count, 0),
    keys: Buffer.concat(batches.map(({ keys }) => keys)),
    values: Buffer.concat(batches.map(({ values }) => values)),
  }
}

/** Values of an array of 32-bit numbers, by index. */
function readArray(map: SizedMapPort): Uint32Array {
  const array = new Uint32Array(map.maxEntries)
  const { count, keys, values } = readAll(map)
  const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let index = 0; index < count; index++) {
    array[view(keys).getUint32(index * 4, true)] = view(values).getUint32(index * 4, true)
  }
  return array
}

export const ENGINE_MAPS: readonly EngineMap[] = [
  'addresses',
  'prefixes',
  'class_generations',
  'endpoints',
  'policy',
  'policy_rows',
  'last_subject',
]
