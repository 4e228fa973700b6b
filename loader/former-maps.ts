// Maps whose places a migration gave to others. Attached programs write to them until their links are updated, so they
// stay pinned: where a process dies before that, the next one goes on from here.

import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { listPins, makePinDirectory, removePins } from './bpffs.ts'
import { LoaderError } from './errors.ts'
import { BpfMap, UpdateMode } from './map.ts'

const EEXIST = 17

export interface FormerFolders {
  /** Of the pinned maps that objects use. */
  readonly pins: string
  /** On the same bpffs. */
  readonly former: string
}

export class FormerMaps {
  readonly #folders: FormerFolders

  constructor(folders: FormerFolders) {
    this.#folders = folders
  }

  /** Whether there are any. */
  get any(): boolean {
    return listPins(this.#folders.former).length > 0
  }

  /** Its number makes the name unique: after two unfinished migrations programs may write to two maps of one name. */
  keep(map: BpfMap): void {
    const path = join(this.#folders.former, `${map.name}-${map.id}`)
    makePinDirectory(this.#folders.former)
    if (!existsSync(path)) map.pin(path)
  }

  /** Copies what programs have written since the migration. Entries of the present maps win. Idempotent. */
  copyLate(): void {
    for (const pin of listPins(this.#folders.former)) {
      using from = BpfMap.openPinned(join(this.#folders.former, pin))
      using to = BpfMap.openPinned(join(this.#folders.pins, pin.slice(0, pin.lastIndexOf('-'))))
      if (from.id !== to.id) copyMissing(from, to) // Else the process died before its successor took its place.
    }
  }

  /** Once no program writes to them any more. */
  remove(): void {
    removePins(this.#folders.former)
  }
}

/** Batches overwrite what is there, so they only tell what is missing; that is little, and written one by one. */
function copyMissing(from: BpfMap, to: BpfMap): void {
  const present = new Set<string>()
  for (const { keys, count } of to.entries()) {
    for (let index = 0; index < count; index++) present.add(text(entryAt(keys, to.keySize, index)))
  }
  for (const { keys, values, count } of from.entries()) {
    for (let index = 0; index < count; index++) {
      const key = entryAt(keys, to.keySize, index)
      if (!present.has(text(key))) addMissing(to, key, entryAt(values, to.valueSize, index))
    }
  }
}

/** A program may have added it in the meantime. */
function addMissing(map: BpfMap, key: Uint8Array, value: Uint8Array): void {
  try {
    map.update(key, value, UpdateMode.ONLY_NEW)
  } catch (error) {
    if (!(error instanceof LoaderError) || error.errno !== EEXIST) throw error
  }
}

function entryAt(bytes: Uint8Array, size: number, index: number): Uint8Array {
  return bytes.subarray(index * size, (index + 1) * size)
}

function text(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
}
