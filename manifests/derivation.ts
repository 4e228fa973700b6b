// What documents of one kind become, kept up to date as they come, go, and are affected by others.
import type { Document } from './resources.ts'

/** What was worked out again stands in both, though it may say the same. */
export interface Changes<T> {
  readonly removed: readonly T[]
  readonly added: readonly T[]
}

/** What `select` makes of the items, without those that it makes nothing of. */
export function mapChanges<T, U>({ removed, added }: Changes<T>, select: (item: T) => U | undefined): Changes<U> {
  const each = (items: readonly T[]): readonly U[] => items.map(select).filter((item) => item !== undefined) as U[]
  return { removed: each(removed), added: each(added) }
}

export class Derivation<D extends Document, T> {
  readonly #derive: (document: D) => T
  readonly #results = new Map<D, T>()

  constructor(derive: (document: D) => T) {
    this.#derive = derive
  }

  get results(): readonly T[] {
    return [...this.#results.values()]
  }

  get(document: D): T | undefined {
    return this.#results.get(document)
  }

  /** `affected`: those that are there, for which something else changed that they depend on. */
  update({ removed, added }: Changes<D>, affected: readonly D[] = []): Changes<T> {
    const due = new Set([...added, ...affected])
    const before = [...new Set([...removed, ...due])].flatMap((document) => this.#take(document))
    const after = [...due].map((document) => {
      const result = this.#derive(document)
      this.#results.set(document, result)
      return result
    })
    return { removed: before, added: after }
  }

  #take(document: D): readonly T[] {
    const result = this.#results.get(document)
    this.#results.delete(document)
    return result === undefined ? [] : [result]
  }
}
