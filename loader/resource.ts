// Everything that holds something of the kernel's: disposed of exactly once, and known while it is not.

import { LoaderError } from './errors.ts'

/** One resource that nobody has disposed of yet. */
export interface OpenResource {
  readonly description: string
  /** Where it was created. */
  readonly stack: string
}

const open = new Map<Resource, OpenResource>()

/** What is not disposed of; tests end with an empty list. */
export function openResources(): OpenResource[] {
  return [...open.values()]
}

export abstract class Resource implements Disposable {
  readonly #description: string

  protected constructor(description: string) {
    this.#description = description
    open.set(this, { description, stack: new Error(description).stack ?? '' })
  }

  get disposed(): boolean {
    return !open.has(this)
  }

  [Symbol.dispose](): void {
    if (open.delete(this)) this.release()
  }

  /** Gives back what the resource holds; called once. */
  protected abstract release(): void

  /** Throws LoaderError `CLOSED` after disposal: a number of a closed descriptor may already be another's. */
  protected checkOpen(): void {
    if (this.disposed) throw new LoaderError('CLOSED', `${this.#description} is used after it was disposed of`)
  }
}
