// The numbers of one space, in memory: who has which, and which is given next.
export class NumberPool {
  readonly #numbers = new Map<string, number>()
  readonly #used = new Set<number>()
  /** Given last, whether it is in use still or not. */
  given: number | undefined

  get numbers(): ReadonlyMap<string, number> {
    return this.#numbers
  }

  set(key: string, number: number): void {
    this.delete(key)
    this.#numbers.set(key, number)
    this.#used.add(number)
  }

  delete(key: string): void {
    const number = this.#numbers.get(key)
    if (number === undefined) return
    this.#numbers.delete(key)
    this.#used.delete(number)
  }

  /** The next number after the one given last, round the whole space: a freed number rests as long as it can. */
  next(first: number, last: number): number | undefined {
    const start = this.given === undefined ? first : Math.min(this.given, last) + 1
    return this.#firstFree(start, last) ?? this.#firstFree(first, start - 1)
  }

  /** It takes no more steps than there are numbers in use. */
  #firstFree(from: number, to: number): number | undefined {
    let candidate = from
    while (candidate <= to && this.#used.has(candidate)) candidate++
    return candidate <= to ? candidate : undefined
  }
}
