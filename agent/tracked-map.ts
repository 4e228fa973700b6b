// A map whose readers each learn what changed since they last looked.

/** The keys that changed since the last call; at the first one all that are there. */
export type TakeChanged = () => ReadonlySet<string>

export class TrackedMap<V> {
  readonly #items = new Map<string, V>()
  readonly #readers = new Set<{ changed: Set<string> }>()

  get size(): number {
    return this.#items.size
  }

  get(key: string): V | undefined {
    return this.#items.get(key)
  }

  values(): Iterable<V> {
    return this.#items.values()
  }

  set(key: string, value: V): void {
    this.#items.set(key, value)
    this.#mark(key)
  }

  delete(key: string): void {
    if (this.#items.delete(key)) this.#mark(key)
  }

  reader(): TakeChanged {
    const reader = { changed: new Set(this.#items.keys()) }
    this.#readers.add(reader)
    return () => {
      const { changed } = reader
      reader.changed = new Set()
      return changed
    }
  }

  #mark(key: string): void {
    for (const reader of this.#readers) reader.changed.add(key)
  }
}
