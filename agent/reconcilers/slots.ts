// Regions of the flat slot array: first fit over free ranges that are kept sorted and merged.
import { AgentError } from '../errors.ts'

export interface Region {
  readonly base: number
  readonly count: number
}

export class SlotAllocator {
  readonly #capacity: number
  #free: Region[]

  constructor(capacity: number) {
    this.#capacity = capacity
    this.#free = [{ base: 0, count: capacity }]
  }

  get freeSlots(): number {
    return this.#free.reduce((sum, { count }) => sum + count, 0)
  }

  /** Throws `CAPACITY`; then nothing is taken. */
  allocate(count: number): Region {
    const index = this.#free.findIndex((range) => range.count >= count)
    const range = this.#free[index]
    if (range === undefined) {
      throw new AgentError('CAPACITY', `no room for a table of ${count} slots: ${this.freeSlots} of ${this.#capacity} are free`, {
        hint: 'use smaller tables (tableSize) or fewer services',
      })
    }
    const rest = { base: range.base + count, count: range.count - count }
    this.#free.splice(index, 1, ...(rest.count > 0 ? [rest] : []))
    return { base: range.base, count }
  }

  /** Marks a region as used that an earlier agent left. False where it is out of range or overlaps another one. */
  reserve(region: Region): boolean {
    const end = region.base + region.count
    const index = this.#free.findIndex(({ base, count }) => base <= region.base && end <= base + count)
    const range = this.#free[index]
    if (range === undefined || region.count === 0) return false
    const before = { base: range.base, count: region.base - range.base }
    const after = { base: end, count: range.base + range.count - end }
    this.#free.splice(index, 1, ...[before, after].filter(({ count }) => count > 0))
    return true
  }

  free(region: Region): void {
    const ranges = [...this.#free, region].sort((a, b) => a.base - b.base)
    this.#free = []
    for (const range of ranges) {
      const last = this.#free.at(-1)
      if (last !== undefined && last.base + last.count === range.base) {
        this.#free[this.#free.length - 1] = { base: last.base, count: last.count + range.count }
      } else {
        this.#free.push(range)
      }
    }
  }
}
