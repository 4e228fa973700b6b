// Reads a BPF ring buffer from its own pages, with no call into the kernel for an event.
//
// Layout (kernel/bpf/ringbuf.c): one page with the consumer's position (ours to write), one with the producer's, then
// the data twice in a row, so that no record ever wraps. Positions count bytes for ever. A record is an 8-byte header,
// whose first word is its length with two flags, and the data, rounded up to 8.

import { LoaderError } from './errors.ts'
import { systemLibbpf } from './libbpf.ts'
import type { BpfMap } from './map.ts'
import { MappedMemory } from './memory.ts'
import type { Libbpf, PollHandle } from './port.ts'
import { Resource } from './resource.ts'

const TYPE_RINGBUF = 27
const HEADER_SIZE = 8
const BUSY = 1 << 31
const DISCARDED = 1 << 30
const LENGTH_MASK = DISCARDED - 1

/** `bytes.subarray(offset, offset + length)` is the record: in the ring itself, so copy or decode it before returning. */
export type OnRecord = (bytes: Uint8Array, offset: number, length: number) => void

export class RingReader extends Resource {
  readonly #consumerPage: MappedMemory
  readonly #dataPages: MappedMemory
  readonly #consumer: BigUint64Array
  readonly #producer: BigUint64Array
  /** Headers as words, for Atomics. */
  readonly #words: Int32Array
  readonly #bytes: Uint8Array
  readonly #mask: number
  readonly #fd: number
  readonly #libbpf: Libbpf
  #position: number
  #poll: PollHandle | undefined

  /** One reader a ring. The map must stay open as long as the reader. */
  constructor(map: BpfMap, libbpf = systemLibbpf()) {
    if (map.info.type !== TYPE_RINGBUF) throw new LoaderError('BAD_ARGUMENT', `map ${map.name} is no ring buffer`)
    using stack = new DisposableStack()
    const what = `ring ${map.name}`
    const [size, page] = [map.maxEntries, libbpf.pageSize]
    const consumerPage = stack.use(new MappedMemory(libbpf, map.fd, { what, length: page, writable: true, offset: 0 }))
    const dataLength = page + 2 * size
    const dataPages = stack.use(new MappedMemory(libbpf, map.fd, { what, length: dataLength, writable: false, offset: page }))
    stack.move()
    super(`reader of ring ${map.name}`)
    this.#consumerPage = consumerPage
    this.#dataPages = dataPages
    this.#consumer = new BigUint64Array(consumerPage.buffer, 0, 1)
    this.#producer = new BigUint64Array(dataPages.buffer, 0, 1)
    this.#words = new Int32Array(dataPages.buffer, page)
    this.#bytes = new Uint8Array(dataPages.buffer, page)
    this.#mask = size - 1
    this.#fd = map.fd
    this.#libbpf = libbpf
    this.#position = Number(Atomics.load(this.#consumer, 0))
  }

  /**
   * Hands over what is in the ring, `limit` records at most, and gives their room back once all of them are handled.
   * Returns how many there were. If `onRecord` throws, its record counts as read.
   */
  read(onRecord: OnRecord, limit = Number.MAX_SAFE_INTEGER): number {
    this.checkOpen()
    const end = Number(Atomics.load(this.#producer, 0))
    let records = 0
    try {
      while (this.#position < end && records < limit) {
        const offset = this.#position & this.#mask
        const header = Atomics.load(this.#words, offset >> 2)
        if ((header & BUSY) !== 0) break // being written; a later read has it
        const length = header & LENGTH_MASK
        this.#position += (length + HEADER_SIZE + 7) & ~7
        if ((header & DISCARDED) !== 0) continue
        records++
        onRecord(this.#bytes, offset + HEADER_SIZE, length)
      }
    } finally {
      Atomics.store(this.#consumer, 0, BigInt(this.#position))
    }
    return records
  }

  /** Bytes that were written and not read yet. */
  get backlog(): number {
    this.checkOpen()
    return Number(Atomics.load(this.#producer, 0)) - this.#position
  }

  /**
   * Calls `onReadable` from the event loop while the ring holds records, until the signal aborts or the reader is
   * disposed of.
   */
  poll(onReadable: () => void, { signal }: { signal?: AbortSignal } = {}): void {
    this.checkOpen()
    if (this.#poll !== undefined) throw new LoaderError('BAD_ARGUMENT', 'this ring reader is being polled already')
    if (signal?.aborted === true) return
    this.#poll = this.#libbpf.poll(this.#fd, onReadable)
    signal?.addEventListener('abort', () => this.#stopPolling(), { once: true })
  }

  #stopPolling(): void {
    this.#poll?.close()
    this.#poll = undefined
  }

  protected release(): void {
    this.#stopPolling()
    this.#dataPages[Symbol.dispose]()
    this.#consumerPage[Symbol.dispose]()
  }
}
