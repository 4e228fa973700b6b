// Keys of numbers that nobody wants any more. A number is free once the datapath holds it no longer either.
import type { NumberSpace } from './store.ts'

export type RetiredKeys = readonly (readonly [space: NumberSpace, key: string])[]

export class Retired {
  readonly #keys = new Map<NumberSpace, Set<string>>()

  retire(space: NumberSpace, key: string): void {
    const keys = this.#keys.get(space)
    if (keys === undefined) this.#keys.set(space, new Set([key]))
    else keys.add(key)
  }

  /** It is wanted again. */
  revive(space: NumberSpace, key: string): void {
    this.#keys.get(space)?.delete(key)
  }

  /** Those of now: what the datapath is told next does not hold them. */
  get keys(): RetiredKeys {
    return [...this.#keys].flatMap(([space, keys]) => [...keys].map((key) => [space, key] as const))
  }

  /** Of `keys` those that nobody has wanted since; they are forgotten here. */
  take(keys: RetiredKeys): RetiredKeys {
    return keys.filter(([space, key]) => this.#keys.get(space)?.delete(key) === true)
  }
}
