// Copies tables and state to the main thread. A message holds so few changes that taking it costs the main thread a
// millisecond or two, and the next one waits until it is acknowledged: Node hands over all messages that are there in
// one turn of the event loop.
import type { TableEvent } from '../api/types.ts'
import type { Table } from '../table.ts'
import type { TableChange } from '../tables.ts'
import type { Publication, PublishedState } from './protocol.ts'

const CHANGES_PER_MESSAGE = 128

export class Publisher {
  readonly #send: (publication: Publication) => void
  /** By table and key: of several changes of one item only the last is sent. */
  readonly #pending = new Map<string, TableChange>()
  #state: PublishedState | undefined
  #unacknowledged = false
  #flushed = Promise.withResolvers<void>()

  constructor(tables: readonly Table<unknown>[], send: (publication: Publication) => void) {
    this.#send = send
    for (const table of tables) table.watch((event) => this.#add(table, event))
  }

  /** Sends what the tables have become, and `state` last. */
  publish(state: PublishedState): void {
    this.#state = state
    this.#continue()
  }

  /** The main thread has taken the last publication. */
  acknowledged(): void {
    this.#unacknowledged = false
    this.#continue()
  }

  /** Resolves when the main thread has everything that was published by now. */
  async flushed(): Promise<void> {
    if (this.#unacknowledged) await this.#flushed.promise
  }

  #add(table: Table<unknown>, event: TableEvent<unknown>): void {
    if (event.type === 'synced') return
    const { key } = event
    const item = table.textOf(key)
    this.#pending.set(`${table.name} ${key}`, { table: table.name, key, ...(item !== undefined && { item }) })
  }

  #continue(): void {
    if (this.#unacknowledged) return
    if (this.#pending.size === 0 && this.#state === undefined) return this.#settle()
    const next = this.#pending.entries().take(CHANGES_PER_MESSAGE).toArray()
    for (const [key] of next) this.#pending.delete(key)
    this.#unacknowledged = true
    this.#send({ changes: next.map(([, change]) => change), ...this.#stateIfLast() })
  }

  #stateIfLast(): { state?: PublishedState } {
    const state = this.#state
    if (state === undefined || this.#pending.size > 0) return {}
    this.#state = undefined
    return { state }
  }

  #settle(): void {
    this.#flushed.resolve()
    this.#flushed = Promise.withResolvers<void>()
  }
}
