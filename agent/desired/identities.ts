// Identities by the sets of labels that are in use: a set that nobody has any more gives its number back.
import { Identity as ReservedIdentity } from '../../bpf/index.ts'
import type { Label } from '../../engine/index.ts'
import type { Workload } from '../../manifests/index.ts'
import type { NumberSpace } from '../store.ts'
import { TrackedMap } from '../tracked-map.ts'
import { RESERVED_LABELS } from './reserved.ts'
import type { Retired } from '../retired.ts'

export interface Numbers {
  number(space: NumberSpace, key: string): number
}

export interface Identity {
  readonly number: number
  readonly labels: readonly Label[]
}

export class Identities {
  readonly #numbers: Numbers
  /** How many have the labels, by their text. */
  readonly #uses = new Map<string, number>()
  readonly #retired: Retired
  /** By number. */
  readonly table = new TrackedMap<Identity>()

  constructor(numbers: Numbers, retired: Retired) {
    this.#numbers = numbers
    this.#retired = retired
    for (const [number, labels] of RESERVED_LABELS) this.setReserved(number, labels)
  }

  setReserved(number: number, labels: readonly Label[]): void {
    this.table.set(String(number), { number, labels })
  }

  ofWorkload({ init, labels }: Workload): number {
    return init ? ReservedIdentity.INIT : this.numberOf(labels)
  }

  numberOf(labels: readonly Label[]): number {
    return this.#numbers.number('identity', keyOf(labels))
  }

  use(labels: readonly Label[]): number {
    const key = keyOf(labels)
    const uses = this.#uses.get(key) ?? 0
    this.#uses.set(key, uses + 1)
    const number = this.numberOf(labels)
    if (uses > 0) return number
    this.#retired.revive('identity', key)
    this.table.set(String(number), { number, labels })
    return number
  }

  release(labels: readonly Label[]): void {
    const key = keyOf(labels)
    const uses = (this.#uses.get(key) ?? 0) - 1
    if (uses > 0) return void this.#uses.set(key, uses)
    this.#uses.delete(key)
    this.#retired.retire('identity', key)
    this.table.delete(String(this.numberOf(labels)))
  }

  /** Keys of the number space `identity` that are in use. */
  get keys(): ReadonlySet<string> {
    return new Set(this.#uses.keys())
  }
}

/** Labels are sorted, so equal sets are equal texts. */
const keyOf = (labels: readonly Label[]): string => labels.join('\n')
