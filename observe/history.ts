// The last flows, in a ring of fixed size, and those who want to see the next ones.
import type { Flow } from './flow.ts'
import type { FlowPredicate } from './filter.ts'

export class FlowHistory {
  readonly capacity: number
  readonly #ring: Flow[] = []
  readonly #listeners = new Set<(flow: Flow) => void>()
  /** Of the next flow, once the ring is full: the oldest stands there. */
  #next = 0

  constructor(capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1) throw new RangeError(`capacity of flows is ${capacity}: give 1 or more`)
    this.capacity = capacity
  }

  get size(): number {
    return this.#ring.length
  }

  push(flow: Flow): void {
    if (this.#ring.length < this.capacity) this.#ring.push(flow)
    else this.#ring[this.#next] = flow
    this.#next = (this.#next + 1) % this.capacity
    for (const listener of this.#listeners) listener(flow)
  }

  /** The newest `count` flows that match, oldest first. */
  last(count: number, matches: FlowPredicate = () => true): Flow[] {
    const found: Flow[] = []
    for (let age = 1; age <= this.#ring.length && found.length < count; age++) {
      const flow = this.#ring.at((this.#next - age) % this.#ring.length)
      if (flow !== undefined && matches(flow)) found.push(flow)
    }
    return found.reverse()
  }

  /** Calls `listener` for every flow from now on that matches, until disposed of. */
  subscribe(listener: (flow: Flow) => void, matches: FlowPredicate = () => true): Disposable {
    const filtered = (flow: Flow) => {
      if (matches(flow)) listener(flow)
    }
    this.#listeners.add(filtered)
    return { [Symbol.dispose]: () => void this.#listeners.delete(filtered) }
  }
}
