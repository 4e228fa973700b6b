// Who has an address: of several that say so, a workload before a node, before this node, before the range that it is in.
// Workloads of this node are a source of their own: an address may become another node's before its interface is gone.
import { TrackedMap } from '../tracked-map.ts'
import type { Address } from '../api/types.ts'
import type { NamedPorts } from '../../engine/index.ts'

/** What is known of a prefix. */
export interface AddressFact extends Omit<Address, 'labels'> {
  /** Of the node's side of a local workload; else 0. */
  readonly ifindex: number
  readonly namedPorts: NamedPorts
}

/** The strongest comes last. */
const SOURCES = ['range', 'host', 'node', 'workload', 'local workload'] as const
export type AddressSource = (typeof SOURCES)[number]

export class Addresses {
  readonly #facts = new Map(SOURCES.map((source) => [source, new Map<string, AddressFact>()]))
  /** What holds, by prefix. */
  readonly table = new TrackedMap<AddressFact>()

  set(source: AddressSource, fact: AddressFact): void {
    this.#of(source).set(fact.prefix, fact)
    this.#settle(fact.prefix)
  }

  delete(source: AddressSource, prefix: string): void {
    this.#of(source).delete(prefix)
    this.#settle(prefix)
  }

  /** In place of all that the source has said. */
  replace(source: AddressSource, facts: readonly AddressFact[]): void {
    const gone = [...this.#of(source).keys()]
    for (const prefix of gone) this.delete(source, prefix)
    for (const fact of facts) this.set(source, fact)
  }

  #of(source: AddressSource): Map<string, AddressFact> {
    return this.#facts.get(source) as Map<string, AddressFact> // The constructor made one for each.
  }

  #settle(prefix: string): void {
    const [strongest] = SOURCES.toReversed().flatMap((source) => this.#of(source).get(prefix) ?? [])
    if (strongest === undefined) this.table.delete(prefix)
    else this.table.set(prefix, strongest)
  }
}
