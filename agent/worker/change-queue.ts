// Changes through the API, one after the other. Those that come while others are carried out wait, and are then carried
// out together: the datapath takes many at the price of one.

export interface Taken<T> {
  /** Takes it back, after those that came later. */
  readonly undo: () => void
  readonly answer: () => T
}

interface Waiting {
  readonly takeIn: () => Taken<unknown>
  readonly resolve: (answer: unknown) => void
  readonly reject: (reason: unknown) => void
}

export class ChangeQueue {
  readonly #carryOut: () => Promise<void>
  #waiting: Waiting[] = []
  #running = false

  /** `carryOut` makes the datapath hold what was taken in and not taken back, or rejects. */
  constructor(carryOut: () => Promise<void>) {
    this.#carryOut = carryOut
  }

  /**
   * `takeIn` sees what changes before it did, and throws where it refuses the change: then nothing of it is there.
   * Resolves when the datapath holds it; where it cannot, the change alone is taken back and the reason given.
   */
  submit<T>(takeIn: () => Taken<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    this.#waiting.push({ takeIn, resolve: resolve as Waiting['resolve'], reject })
    if (!this.#running) void this.#run()
    return promise
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#waiting.length > 0) {
      const together = this.#waiting
      this.#waiting = []
      await this.#together(together)
    }
    this.#running = false
  }

  /** Nobody knows which of several is too much, so each gets its turn alone. */
  async #together(changes: readonly Waiting[]): Promise<void> {
    const taken = changes.flatMap((change) => takenIn(change))
    if (taken.length === 0) return
    try {
      await this.#carryOut()
      for (const { change, answer } of taken) change.resolve(answer())
    } catch (error) {
      const back = taken.toReversed().filter(takenBack).toReversed()
      if (taken.length === 1) back[0]?.change.reject(error)
      else for (const { change } of back) await this.#together([change])
    }
  }
}

interface TakenChange extends Taken<unknown> {
  readonly change: Waiting
}

function takenIn(change: Waiting): readonly TakenChange[] {
  try {
    return [{ ...change.takeIn(), change }]
  } catch (error) {
    change.reject(error)
    return []
  }
}

/** Where it cannot be, its user is told, and those that wait go on. */
function takenBack({ change, undo }: TakenChange): boolean {
  try {
    undo()
    return true
  } catch (error) {
    change.reject(error)
    return false
  }
}
