// A map in memory with the behaviour of the kernel's, for tests without a kernel.
import type { MapBatch, SizedMapPort } from '../reconcilers/ports.ts'

export class MemoryMap implements SizedMapPort {
  readonly name: string
  readonly keySize: number
  readonly valueSize: number
  readonly maxEntries: number
  readonly contents = new Map<string, Uint8Array>()
  /** Set by a test: the next writes fail with it. */
  failure: Error | undefined
  writes = 0

  constructor(name: string, keySize: number, valueSize: number, maxEntries: number) {
    this.name = name
    this.keySize = keySize
    this.valueSize = valueSize
    this.maxEntries = maxEntries
  }

  lookup(key: Uint8Array): Uint8Array | undefined {
    return this.contents.get(hex(key))
  }

  update(key: Uint8Array, value: Uint8Array): void {
    if (this.failure !== undefined) throw this.failure
    if (!this.contents.has(hex(key)) && this.contents.size >= this.maxEntries) {
      throw Object.assign(new Error(`map ${this.name} is full`), { code: 'SYSTEM' })
    }
    this.contents.set(hex(key), value.slice())
    this.writes++
  }

  delete(key: Uint8Array): boolean {
    if (this.failure !== undefined) throw this.failure
    this.writes++
    return this.contents.delete(hex(key))
  }

  updateBatch(keys: Uint8Array, values: Uint8Array, count: number): void {
    for (let index = 0; index < count; index++) {
      this.update(at(keys, this.keySize, index), at(values, this.valueSize, index))
    }
  }

  deleteBatch(keys: Uint8Array, count: number): number {
    let deleted = 0
    for (let index = 0; index < count; index++) if (this.delete(at(keys, this.keySize, index))) deleted++
    return deleted
  }

  *entries(batchSize = 4): Generator<MapBatch> {
    const all = [...this.contents]
    for (let from = 0; from < all.length; from += batchSize) {
      const part = all.slice(from, from + batchSize)
      const keys = Buffer.concat(part.map(([key]) => Buffer.from(key, 'hex')))
      yield { count: part.length, keys, values: Buffer.concat(part.map(([, value]) => value)) }
    }
  }
}

function at(bytes: Uint8Array, size: number, index: number): Uint8Array {
  return bytes.subarray(index * size, (index + 1) * size)
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
