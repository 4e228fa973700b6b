// Batched map operations, and their replacement entry by entry for map types and kernels that have none.

import { isMapFull, LoaderError, MAP_FULL, systemError } from './errors.ts'
import type { Libbpf } from './port.ts'

const ENOENT = 2
const EINVAL = 22
const ENOSPC = 28
const ENOTSUPP = 524
const EOPNOTSUPP = 95

/** A batch stopped in its middle: `completed` entries from the front are done, the next one failed. */
export class BatchError extends LoaderError {
  readonly completed: number

  constructor(attempt: string, completed: number, count: number, errno: number) {
    const cause = systemError(attempt, errno, isMapFull(errno) ? MAP_FULL : undefined)
    super('SYSTEM', `${cause.message} (${completed} of ${count} entries are done)`, { cause, errno })
    this.name = 'BatchError'
    this.completed = completed
  }
}

/** What the operations need to know of a map. */
export interface BatchTarget {
  readonly name: string
  readonly fd: number
  readonly keySize: number
  readonly valueSize: number
  readonly maxEntries: number
}

/** Packed entries; the arrays are views that hold until the next batch. */
export interface Batch {
  readonly count: number
  readonly keys: Uint8Array<ArrayBuffer>
  readonly values: Uint8Array<ArrayBuffer>
}

/** EINVAL also means a bad argument, but sizes are checked before and single operations will say it again. */
function isUnsupported(error: number): boolean {
  return error === -ENOTSUPP || error === -EOPNOTSUPP || error === -EINVAL
}

function slice(bytes: Uint8Array, size: number, index: number): Uint8Array {
  return bytes.subarray(index * size, (index + 1) * size)
}

export function updateBatch(libbpf: Libbpf, map: BatchTarget, keys: Uint8Array, values: Uint8Array, count: number): void {
  if (count === 0) return
  const done = Uint32Array.of(count)
  const error = libbpf.mapUpdateBatch(map.fd, keys, values, done)
  if (error >= 0) return
  if (!isUnsupported(error)) throw new BatchError(`update map ${map.name}`, done[0] ?? 0, count, -error)
  updateSingly(libbpf, map, keys, values, count)
}

function updateSingly(libbpf: Libbpf, map: BatchTarget, keys: Uint8Array, values: Uint8Array, count: number): void {
  for (let index = 0; index < count; index++) {
    const error = libbpf.mapUpdate(map.fd, slice(keys, map.keySize, index), slice(values, map.valueSize, index), 0)
    if (error < 0) throw new BatchError(`update map ${map.name}`, index, count, -error)
  }
}

/** A batch ends at the first key that is not there: go on after it. */
export function deleteBatch(libbpf: Libbpf, map: BatchTarget, keys: Uint8Array, count: number): number {
  let deleted = 0
  for (let at = 0; at < count; ) {
    const done = Uint32Array.of(count - at)
    const error = libbpf.mapDeleteBatch(map.fd, keys.subarray(at * map.keySize), done)
    if (isUnsupported(error)) return deleted + deleteSingly(libbpf, map, keys, at, count)
    const completed = error < 0 ? (done[0] ?? 0) : count - at
    deleted += completed
    at += completed + 1
    if (error < 0 && error !== -ENOENT) throw new BatchError(`delete from map ${map.name}`, at - 1, count, -error)
  }
  return deleted
}

function deleteSingly(libbpf: Libbpf, map: BatchTarget, keys: Uint8Array, from: number, count: number): number {
  let deleted = 0
  for (let index = from; index < count; index++) {
    const error = libbpf.mapDelete(map.fd, slice(keys, map.keySize, index))
    if (error >= 0) deleted++
    else if (error !== -ENOENT) throw new BatchError(`delete from map ${map.name}`, index, count, -error)
  }
  return deleted
}

/** A cursor is a key for arrays and tries, and 32 bits for hashes. */
function cursorSize(map: BatchTarget): number {
  return Math.max(map.keySize, 4)
}

export function* readBatches(libbpf: Libbpf, map: BatchTarget, batchSize: number): Generator<Batch> {
  let room = batchSize
  let cursor: Uint8Array | undefined
  for (;;) {
    const [keys, values] = [new Uint8Array(room * map.keySize), new Uint8Array(room * map.valueSize)]
    const next = new Uint8Array(cursorSize(map))
    const done = Uint32Array.of(room)
    const error = libbpf.mapLookupBatch(map.fd, cursor, next, keys, values, done)
    if (isUnsupported(error) && cursor === undefined) return yield* readSingly(libbpf, map, batchSize)
    if (error === -ENOSPC && room < map.maxEntries) {
      room = Math.min(room * 2, map.maxEntries) // one bucket of the hash holds more than a batch
      continue
    }
    if (error < 0 && error !== -ENOENT) throw systemError(`read map ${map.name}`, -error)
    const count = done[0] ?? 0
    if (count > 0) yield { count, keys: keys.subarray(0, count * map.keySize), values: values.subarray(0, count * map.valueSize) }
    if (error === -ENOENT) return
    cursor = next
  }
}

function* readSingly(libbpf: Libbpf, map: BatchTarget, batchSize: number): Generator<Batch> {
  const [keys, values] = [new Uint8Array(batchSize * map.keySize), new Uint8Array(batchSize * map.valueSize)]
  let count = 0
  for (const key of readKeys(libbpf, map)) {
    const error = libbpf.mapLookup(map.fd, key, slice(values, map.valueSize, count))
    if (error === -ENOENT) continue // deleted between the two calls
    if (error < 0) throw systemError(`read map ${map.name}`, -error)
    keys.set(key, count++ * map.keySize)
    if (count < batchSize) continue
    yield { count, keys, values }
    count = 0
  }
  if (count > 0) yield { count, keys: keys.subarray(0, count * map.keySize), values: values.subarray(0, count * map.valueSize) }
}

function* readKeys(libbpf: Libbpf, map: BatchTarget): Generator<Uint8Array> {
  let key: Uint8Array | undefined
  for (;;) {
    const next = new Uint8Array(map.keySize)
    const error = libbpf.mapNextKey(map.fd, key, next)
    if (error === -ENOENT) return
    if (error < 0) throw systemError(`read keys of map ${map.name}`, -error)
    yield next
    key = next
  }
}
