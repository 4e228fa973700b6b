// Pinned maps of another size: a new map takes the place of the old one, with its entries. Programs that are attached
// go on with the old map until their links are updated (FormerMaps).

import { renameSync } from 'node:fs'
import { join } from 'node:path'

import type { Batch } from './batch.ts'
import { listPins, makePinDirectory, removePins } from './bpffs.ts'
import { LoaderError } from './errors.ts'
import { FormerMaps } from './former-maps.ts'
import type { FormerFolders } from './former-maps.ts'
import { BpfMap } from './map.ts'
import { SplitMap } from './split-map.ts'
import type { SplitTable } from './split-map.ts'

const TYPE = { ARRAY: 2, PERCPU_ARRAY: 6, LRU_HASH: 9, LPM_TRIE: 11, HASH: 1, RINGBUF: 27 } as const
const ARRAYS: readonly number[] = [TYPE.ARRAY, TYPE.PERCPU_ARRAY]

/** A ring has no entries to keep: what was not read yet is lost with it. */
export const RESIZABLE_TYPES: readonly number[] = Object.values(TYPE)

export interface MigrationFolders extends FormerFolders {
  /** On the same bpffs; what stands there is removed. */
  readonly staging: string
}

/**
 * In this order: the constructor, objects loaded with `staging` as their folder of pins, `copy`, `commit`, links
 * updated, `FormerMaps.copyLate`. Disposal before `commit` leaves the pinned maps as they were.
 */
export class MapMigration implements Disposable {
  readonly #folders: MigrationFolders
  readonly #resized: readonly string[]
  /** Those whose boundary moves: entries change from one map to the other. */
  readonly #splits: readonly SplitTable[]

  /** Pins in `staging` all maps that stay; those of `resized`, and both of a table of `splits`, are for the objects to make. */
  constructor(folders: MigrationFolders, resized: readonly string[], splits: readonly SplitTable[] = []) {
    this.#folders = folders
    this.#splits = splits.filter(({ direct }) => resized.includes(direct))
    this.#resized = [...new Set([...resized, ...this.#splits.map(({ beyond }) => beyond)])]
    removePins(folders.staging)
    makePinDirectory(folders.staging)
    for (const name of listPins(folders.pins).filter((each) => !this.#resized.includes(each))) {
      using map = BpfMap.openPinned(join(folders.pins, name))
      map.pin(join(folders.staging, name))
    }
  }

  /** Throws LoaderError `INCOMPATIBLE` for a map whose entries do not fit its new size. */
  copy(): void {
    for (const split of this.#splits) this.#copySplit(split)
    const halves = new Set(this.#splits.flatMap(({ direct, beyond }) => [direct, beyond]))
    for (const name of this.#resized.filter((each) => !halves.has(each))) {
      using from = BpfMap.openPinned(join(this.#folders.pins, name))
      using to = BpfMap.openPinned(join(this.#folders.staging, name))
      if (from.info.type !== TYPE.RINGBUF) copyEntries(from, to)
    }
  }

  #copySplit({ direct, beyond }: SplitTable): void {
    using stack = new DisposableStack()
    const { pins, staging } = this.#folders
    const open = (folder: string, name: string): BpfMap => stack.use(BpfMap.openPinned(join(folder, name)))
    const from = new SplitMap(open(pins, direct), open(pins, beyond))
    const [newDirect, newBeyond] = [open(staging, direct), open(staging, beyond)]
    const to = new SplitMap(newDirect, newBeyond)
    try {
      for (const { keys, values, count } of from.entries()) to.updateBatch(keys, values, count)
    } catch (cause) {
      const sizes = `${direct} and ${beyond} of ${newDirect.maxEntries} and ${newBeyond.maxEntries} entries`
      throw new LoaderError('INCOMPATIBLE', `the pinned maps ${direct} and ${beyond} cannot become ${sizes}`, { cause })
    }
  }

  /** Puts the new maps in the places of the old ones, each atomically; a process that dies between two goes on from there. */
  commit(): void {
    const { pins, staging } = this.#folders
    for (const name of this.#resized) {
      this.#keepWritten(join(pins, name))
      renameSync(join(staging, name), join(pins, name))
    }
    removePins(staging)
  }

  /** Flows are what programs write and must not lose; else they only count, and the agent writes nothing in between. */
  #keepWritten(pin: string): void {
    using map = BpfMap.openPinned(pin)
    if (map.info.type === TYPE.LRU_HASH) new FormerMaps(this.#folders).keep(map)
  }

  [Symbol.dispose](): void {
    removePins(this.#folders.staging)
  }
}

function copyEntries(from: BpfMap, to: BpfMap): void {
  let copied = 0
  for (const batch of from.entries()) {
    const count = ARRAYS.includes(from.info.type) ? fittingEntries(from, to, batch) : batch.count
    copied += count
    if (copied > to.maxEntries) throw tooSmall(from, to, `at least ${copied} entries`)
    to.updateBatch(batch.keys.subarray(0, count * to.keySize), batch.values.subarray(0, count * to.valueSize), count)
  }
  // An LRU evicts instead of refusing.
  if (to.info.type === TYPE.LRU_HASH && countEntries(to) < copied) throw tooSmall(from, to, `${copied} entries`)
}

/** Keys of an array come in ascending order; what is all zero need not be kept. */
function fittingEntries(from: BpfMap, to: BpfMap, { count, keys, values }: Batch): number {
  const first = new DataView(keys.buffer, keys.byteOffset).getUint32(0, true)
  const fitting = Math.max(0, Math.min(count, to.maxEntries - first))
  if (values.subarray(fitting * to.valueSize).some((byte) => byte !== 0)) throw tooSmall(from, to, 'values in places beyond that')
  return fitting
}

function countEntries(map: BpfMap): number {
  let count = 0
  for (const batch of map.entries()) count += batch.count
  return count
}

function tooSmall(from: BpfMap, to: BpfMap, holds: string): LoaderError {
  const sizes = `the pinned map ${from.name} (${from.maxEntries}) cannot become one of ${to.maxEntries} entries`
  return new LoaderError('INCOMPATIBLE', `${sizes}: it holds ${holds}; give it a larger size`)
}
