// A map whose entries belong to services: they stand there before a service refers to them, and until none does.
import { AgentError } from '../errors.ts'
import { readAll } from './policy.ts'
import type { SizedMapPort } from './ports.ts'

export interface Ownership<T> {
  readonly ownerOf: (key: Uint8Array) => number
  readonly entriesOf: (owner: number, wanted: T) => readonly (readonly [key: Uint8Array, value: Uint8Array])[]
}

/** Keys and values as text, a character a byte. */
type Entries = Map<string, string>

export class OwnedEntries<T> {
  readonly #map: SizedMapPort
  readonly #ownership: Ownership<T>
  readonly #held = new Map<number, Entries>()
  /** What those were made of, once nothing else stands there; of what an earlier agent left nothing is known. */
  readonly #settled = new Map<number, T>()

  constructor(map: SizedMapPort, ownership: Ownership<T>) {
    this.#map = map
    this.#ownership = ownership
    const { count, keys, values } = readAll(map)
    const part = (bytes: Uint8Array, size: number, index: number): Uint8Array => bytes.subarray(index * size, (index + 1) * size)
    for (let index = 0; index < count; index++) {
      const key = part(keys, map.keySize, index)
      this.#of(ownership.ownerOf(key)).set(textOf(key), textOf(part(values, map.valueSize, index)))
    }
  }

  /** The owner's entries as they stand there now. */
  sizeOf(owner: number): number {
    return this.#held.get(owner)?.size ?? 0
  }

  /** Others stay until `prune`. Throws `CAPACITY` before the first write. */
  write(wanted: ReadonlyMap<number, T>): void {
    const news = [...wanted].filter(([owner, of]) => this.#settled.get(owner) !== of).map(([owner, of]) => [owner, this.#entries(owner, of)] as const)
    this.#checkRoom(news)
    for (const [owner, entries] of news) {
      const held = this.#of(owner)
      this.#settled.delete(owner)
      for (const [key, value] of entries) {
        if (held.get(key) !== value) this.#map.update(bytesOf(key), bytesOf(value))
        held.set(key, value)
      }
    }
  }

  /** Removes what is none of these. */
  prune(wanted: ReadonlyMap<number, T>): void {
    for (const [owner, held] of this.#held) {
      const of = wanted.get(owner)
      if (of !== undefined && this.#settled.get(owner) === of) continue
      const keep: Entries = of === undefined ? new Map() : this.#entries(owner, of)
      for (const key of [...held.keys()]) {
        if (keep.has(key)) continue
        this.#map.delete(bytesOf(key))
        held.delete(key)
      }
      if (of !== undefined) this.#settled.set(owner, of)
      else this.#forget(owner)
    }
  }

  #entries(owner: number, wanted: T): Entries {
    return new Map(this.#ownership.entriesOf(owner, wanted).map(([key, value]) => [textOf(key), textOf(value)]))
  }

  #of(owner: number): Entries {
    const held: Entries = this.#held.get(owner) ?? new Map()
    this.#held.set(owner, held)
    return held
  }

  #forget(owner: number): void {
    this.#held.delete(owner)
    this.#settled.delete(owner)
  }

  #checkRoom(news: readonly (readonly [owner: number, entries: Entries])[]): void {
    const { name, maxEntries } = this.#map
    const held = [...this.#held.values()].reduce((sum, { size }) => sum + size, 0)
    const more = news.reduce((sum, [owner, entries]) => sum + [...entries.keys()].filter((key) => !this.#held.get(owner)?.has(key)).length, 0)
    if (held + more <= maxEntries) return
    throw new AgentError('CAPACITY', `${held + more} entries do not fit the map ${name}: it has room for ${maxEntries}`, {
      hint: `start sluiced with --map-size ${name}=N, N above ${maxEntries}`,
    })
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'))
}
