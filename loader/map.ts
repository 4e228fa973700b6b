// A BPF map: single entries, batches of packed records, and memory-mapped arrays.

import { deleteBatch, readBatches, updateBatch } from './batch.ts'
import type { Batch } from './batch.ts'
import { isMapFull, LoaderError, MAP_FULL, systemError } from './errors.ts'
import { mapInfo } from './info.ts'
import type { MapInfo } from './info.ts'
import { systemLibbpf } from './libbpf.ts'
import { MappedMemory } from './memory.ts'
import type { Libbpf } from './port.ts'
import { Resource } from './resource.ts'

const ENOENT = 2
const PER_CPU_TYPES: readonly number[] = [5, 6, 10, 21] // percpu_hash, percpu_array, lru_percpu_hash, percpu_cgroup_storage
const TYPE_ARRAY = 2
const F_MMAPABLE = 1 << 10

/** How an update treats a key that exists or does not (BPF_ANY, BPF_NOEXIST, BPF_EXIST). */
export const UpdateMode = { ANY: 0, ONLY_NEW: 1, ONLY_EXISTING: 2 } as const
export type UpdateMode = (typeof UpdateMode)[keyof typeof UpdateMode]

export class BpfMap extends Resource {
  readonly name: string
  readonly info: MapInfo
  /**
   * Bytes of a value as user space sees it: for per-CPU maps one value a possible CPU, each rounded up to 8 bytes.
   */
  readonly valueSize: number
  readonly #fd: number
  readonly #owned: boolean
  readonly #libbpf: Libbpf

  /** `name` may be longer than the 15 characters that the kernel keeps. `owned`: whether disposal closes the descriptor. */
  constructor(fd: number, name: string, owned: boolean, libbpf: Libbpf) {
    super(`map ${name}`)
    this.name = name
    this.info = mapInfo(libbpf, fd)
    this.valueSize = this.perCpu ? roundUp(this.info.valueSize, 8) * libbpf.possibleCpus : this.info.valueSize
    this.#fd = fd
    this.#owned = owned
    this.#libbpf = libbpf
  }

  /** Throws LoaderError `SYSTEM`, with errno ENOENT where nothing is pinned. */
  static openPinned(path: string, libbpf = systemLibbpf()): BpfMap {
    const fd = libbpf.openPinned(path)
    if (fd < 0) throw systemError(`open pinned map ${path}`, -fd)
    return new BpfMap(fd, path.slice(path.lastIndexOf('/') + 1), true, libbpf)
  }

  get fd(): number {
    this.checkOpen()
    return this.#fd
  }

  get id(): number {
    return this.info.id
  }

  get keySize(): number {
    return this.info.keySize
  }

  get maxEntries(): number {
    return this.info.maxEntries
  }

  get perCpu(): boolean {
    return PER_CPU_TYPES.includes(this.info.type)
  }

  /** The value, a copy; undefined where the key is not there. */
  lookup(key: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    this.#checkSizes(key, 1)
    const value = new Uint8Array(this.valueSize)
    const error = this.#libbpf.mapLookup(this.fd, key, value)
    if (error === -ENOENT) return undefined
    if (error < 0) throw systemError(`look up in map ${this.name}`, -error)
    return value
  }

  /** The value of each CPU, in the order of CPUs. */
  lookupPerCpu(key: Uint8Array): Uint8Array<ArrayBuffer>[] | undefined {
    const values = this.lookup(key)
    if (values === undefined) return undefined
    const stride = this.perCpu ? roundUp(this.info.valueSize, 8) : this.info.valueSize
    return Array.from({ length: values.byteLength / stride }, (_, cpu) => values.subarray(cpu * stride, cpu * stride + this.info.valueSize))
  }

  update(key: Uint8Array, value: Uint8Array, mode: UpdateMode = UpdateMode.ANY): void {
    this.#checkSizes(key, 1, value)
    const error = this.#libbpf.mapUpdate(this.fd, key, value, mode)
    if (error < 0) throw systemError(`update map ${this.name} (${this.maxEntries} entries at most)`, -error, isMapFull(-error) ? MAP_FULL : undefined)
  }

  /** Whether the key was there. */
  delete(key: Uint8Array): boolean {
    this.#checkSizes(key, 1)
    const error = this.#libbpf.mapDelete(this.fd, key)
    if (error === -ENOENT) return false
    if (error < 0) throw systemError(`delete from map ${this.name}`, -error)
    return true
  }

  /**
   * Writes `count` packed entries, in order. The kernel reads them where they stand (a view of Wasm memory is fine).
   * Throws BatchError, which knows how many were written before the one that failed.
   */
  updateBatch(keys: Uint8Array, values: Uint8Array, count: number): void {
    this.#checkSizes(keys, count, values)
    updateBatch(this.#libbpf, this, keys, values, count)
  }

  /** Deletes `count` packed keys; those that are not there are passed over. Returns how many were. */
  deleteBatch(keys: Uint8Array, count: number): number {
    this.#checkSizes(keys, count)
    return deleteBatch(this.#libbpf, this, keys, count)
  }

  /** All entries in packed batches; what is written meanwhile may or may not be among them. */
  entries(batchSize = 4096): Iterable<Batch> {
    return readBatches(this.#libbpf, this, Math.min(batchSize, this.maxEntries))
  }

  pin(path: string): void {
    const error = this.#libbpf.pin(this.fd, path)
    if (error < 0) throw systemError(`pin map ${this.name} at ${path}`, -error)
  }

  /** Memory of an array declared with BPF_F_MMAPABLE: entry i stands at i * (value size rounded up to 8). */
  mmap(): MappedMemory {
    if (this.info.type !== TYPE_ARRAY || (this.info.flags & F_MMAPABLE) === 0)
      throw new LoaderError('BAD_ARGUMENT', `map ${this.name} cannot be mapped: it is no array with BPF_F_MMAPABLE`)
    const length = this.maxEntries * roundUp(this.info.valueSize, 8)
    return new MappedMemory(this.#libbpf, this.fd, { what: `map ${this.name}`, length, writable: true, offset: 0 })
  }

  protected release(): void {
    if (this.#owned) this.#libbpf.close(this.#fd)
  }

  /** The kernel trusts sizes: a short buffer would be read past its end. */
  #checkSizes(keys: Uint8Array, count: number, values?: Uint8Array): void {
    this.checkOpen()
    this.#checkSize('keys', keys, this.keySize, count)
    if (values !== undefined) this.#checkSize('values', values, this.valueSize, count)
  }

  #checkSize(what: string, bytes: Uint8Array, size: number, count: number): void {
    if (bytes.byteLength === size * count) return
    const message = `map ${this.name}: ${count} ${what} of ${size} bytes are ${size * count} bytes, not ${bytes.byteLength}`
    throw new LoaderError('BAD_ARGUMENT', message)
  }
}

function roundUp(size: number, to: number): number {
  return Math.ceil(size / to) * to
}
