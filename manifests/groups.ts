// Items by a key that several of them may have.
export class Groups<T> {
  readonly #keyOf: (item: T) => string
  readonly #groups = new Map<string, Set<T>>()

  constructor(keyOf: (item: T) => string) {
    this.#keyOf = keyOf
  }

  get all(): readonly T[] {
    return [...this.#groups.values()].flatMap((group) => [...group])
  }

  in(key: string): readonly T[] {
    return [...(this.#groups.get(key) ?? [])]
  }

  change({ removed, added }: { readonly removed: readonly T[]; readonly added: readonly T[] }): void {
    for (const item of removed) this.#remove(item)
    for (const item of added) this.#add(item)
  }

  #add(item: T): void {
    const key = this.#keyOf(item)
    const group = this.#groups.get(key)
    if (group === undefined) this.#groups.set(key, new Set([item]))
    else group.add(item)
  }

  #remove(item: T): void {
    const key = this.#keyOf(item)
    const group = this.#groups.get(key)
    group?.delete(item)
    if (group?.size === 0) this.#groups.delete(key)
  }
}
