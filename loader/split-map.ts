// A table of 32-bit keys in two BPF maps: an array for low keys, which programs read for a few nanoseconds, and a hash
// for all others, which costs them 25 more. A value of zeros in the array is none. The array's size is the boundary, so
// both change it together (MapMigration).

import type { Batch } from './batch.ts'
import type { BpfMap } from './map.ts'

/** Names of the two maps of one table. */
export interface SplitTable {
  readonly direct: string
  readonly beyond: string
}

export class SplitMap {
  readonly #direct: BpfMap
  readonly #beyond: BpfMap

  /** `direct`: an array; its size says which keys are low. `beyond`: a hash with the same values. */
  constructor(direct: BpfMap, beyond: BpfMap) {
    this.#direct = direct
    this.#beyond = beyond
  }

  get name(): string {
    return this.#direct.name
  }

  get keySize(): number {
    return this.#direct.keySize
  }

  get valueSize(): number {
    return this.#direct.valueSize
  }

  lookup(key: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    const value = this.#mapOf(key).lookup(key)
    return value === undefined || isNone(value) ? undefined : value
  }

  update(key: Uint8Array, value: Uint8Array): void {
    this.#mapOf(key).update(key, value)
  }

  /** Whether the key was there. The hash may still hold a low key, of the time when the array was smaller. */
  delete(key: Uint8Array): boolean {
    const found = this.lookup(key) !== undefined
    const foundBeyond = this.#beyond.delete(key)
    if (found && this.#mapOf(key) === this.#direct) this.#direct.update(key, new Uint8Array(this.valueSize))
    return found || foundBeyond
  }

  /** In order, one by one: low and other keys may take turns. */
  updateBatch(keys: Uint8Array, values: Uint8Array, count: number): void {
    for (let index = 0; index < count; index++) this.update(nth(keys, this.keySize, index), nth(values, this.valueSize, index))
  }

  /** Returns how many of the keys were there. */
  deleteBatch(keys: Uint8Array, count: number): number {
    let found = 0
    for (let index = 0; index < count; index++) if (this.delete(nth(keys, this.keySize, index))) found++
    return found
  }

  *entries(batchSize?: number): Iterable<Batch> {
    for (const batch of this.#direct.entries(batchSize)) {
      const some = this.#withoutNone(batch)
      if (some.count > 0) yield some
    }
    yield* this.#beyond.entries(batchSize)
  }

  #withoutNone({ count, keys, values }: Batch): Batch {
    const present = Array.from({ length: count }, (_, index) => index).filter((index) => !isNone(nth(values, this.valueSize, index)))
    return { count: present.length, keys: pick(keys, this.keySize, present), values: pick(values, this.valueSize, present) }
  }

  #mapOf(key: Uint8Array): BpfMap {
    const low = new DataView(key.buffer, key.byteOffset, key.byteLength).getUint32(0, true) < this.#direct.maxEntries
    return low ? this.#direct : this.#beyond
  }
}

function nth(bytes: Uint8Array, size: number, index: number): Uint8Array {
  return bytes.subarray(index * size, (index + 1) * size)
}

function pick(bytes: Uint8Array, size: number, indexes: readonly number[]): Uint8Array<ArrayBuffer> {
  const picked = new Uint8Array(indexes.length * size)
  indexes.forEach((index, at) => picked.set(nth(bytes, size, index), at * size))
  return picked
}

function isNone(value: Uint8Array): boolean {
  return value.every((byte) => byte === 0)
}
