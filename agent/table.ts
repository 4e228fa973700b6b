// A revisioned table in memory: what the API lists and watches. Replacing an item by an equal one is no change.
import type { Listing, TableEvent } from './api/types.ts'

export type TableWatcher<T> = (event: TableEvent<T>) => void

/** Items are compared as the JSON that the API sends: ten times faster than a deep comparison. */
interface Row<T> {
  readonly item: T
  readonly text: string
}

export class Table<T> {
  readonly name: string
  readonly #keyOf: (item: T) => string
  readonly #items = new Map<string, Row<T>>()
  readonly #watchers = new Set<TableWatcher<T>>()
  #revision = 0

  constructor(name: string, keyOf: (item: T) => string) {
    this.name = name
    this.#keyOf = keyOf
  }

  get size(): number {
    return this.#items.size
  }

  get(key: string): T | undefined {
    return this.#items.get(key)?.item
  }

  list(): Listing<T> {
    return { revision: this.#revision, items: [...this.#items.values()].map(({ item }) => item) }
  }

  /** Makes `items` the whole content; only what differs counts as a change. */
  replaceAll(items: Iterable<T>): void {
    const gone = new Set(this.#items.keys())
    for (const item of items) {
      gone.delete(this.#keyOf(item))
      this.set(item)
    }
    for (const key of gone) this.delete(key)
  }

  set(item: T): void {
    this.#set({ item, text: JSON.stringify(item) })
  }

  /** The item as the JSON that another table has of it. */
  setText(text: string): void {
    this.#set({ item: JSON.parse(text) as T, text })
  }

  textOf(key: string): string | undefined {
    return this.#items.get(key)?.text
  }

  #set(row: Row<T>): void {
    const { item, text } = row
    const key = this.#keyOf(item)
    if (this.#items.get(key)?.text === text) return
    this.#items.set(key, row)
    this.#notify({ type: 'update', revision: ++this.#revision, key, item })
  }

  delete(key: string): void {
    if (!this.#items.delete(key)) return
    this.#notify({ type: 'delete', revision: ++this.#revision, key })
  }

  /** Gives every present item, then `synced`, then changes, until the returned function is called. */
  watch(watcher: TableWatcher<T>): () => void {
    for (const [key, { item }] of this.#items) watcher({ type: 'update', revision: this.#revision, key, item })
    watcher({ type: 'synced', revision: this.#revision })
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  #notify(event: TableEvent<T>): void {
    for (const watcher of this.#watchers) watcher(event)
  }
}
