// Convergence: one reconciler makes one part of the actual state equal to the desired one. `reconcile` is idempotent;
// it runs when somebody asks, and after a failure again with back-off until it succeeds.
import { codeOf, messageOf, type Logger } from '../log.ts'

export interface ReconcilerState {
  readonly name: string
  readonly runs: number
  readonly failures: number
  /** Of the last run; undefined when it succeeded. */
  readonly error: { readonly code: string | undefined; readonly message: string; readonly hint?: string } | undefined
}

export interface ReconcilerOptions {
  readonly name: string
  readonly log: Logger
  readonly reconcile: (signal: AbortSignal) => Promise<void>
  /** Delays after the first, second... failure; the last one stays. */
  readonly backOffMs?: readonly number[]
  /** Runs also without being asked, for state that changes without a notice. */
  readonly everyMs?: number
}

const BACK_OFF_MS = [100, 500, 2_000, 10_000, 30_000]

export class Reconciler {
  readonly name: string
  readonly #options: ReconcilerOptions
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined
  #again: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #consecutiveFailures = 0
  #state: ReconcilerState

  constructor(options: ReconcilerOptions) {
    this.name = options.name
    this.#options = options
    this.#state = { name: options.name, runs: 0, failures: 0, error: undefined }
  }

  get state(): ReconcilerState {
    return this.#state
  }

  /**
   * Runs now, or once more after the run that is under way, since that one may have read the desired state already.
   * Rejects when that run fails; the reconciler retries by itself all the same.
   */
  trigger(): Promise<void> {
    if (this.#stop.signal.aborted) return Promise.resolve()
    if (this.#running === undefined) return this.#start()
    this.#again ??= this.#running.catch(() => undefined).then(() => {
      this.#again = undefined
      return this.trigger()
    })
    return this.#again
  }

  /** As `trigger`, for callers that have nobody to tell about a failure: status tells. */
  request(): void {
    this.trigger().catch(() => undefined)
  }

  /** Starts no run any more and waits for the one under way. */
  async stop(): Promise<void> {
    this.#stop.abort()
    clearTimeout(this.#timer)
    await this.#running?.catch(() => undefined)
  }

  #start(): Promise<void> {
    clearTimeout(this.#timer)
    this.#running = this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #run(): Promise<void> {
    try {
      await this.#options.reconcile(this.#stop.signal)
      this.#succeeded()
    } catch (error) {
      this.#failed(error)
      throw error
    }
  }

  #succeeded(): void {
    if (this.#consecutiveFailures > 0) this.#options.log.info('works again', { reconciler: this.name })
    this.#consecutiveFailures = 0
    this.#state = { ...this.#state, runs: this.#state.runs + 1, error: undefined }
    if (this.#options.everyMs !== undefined) this.#schedule(this.#options.everyMs)
  }

  #failed(error: unknown): void {
    const delays = this.#options.backOffMs ?? BACK_OFF_MS
    const delayMs = delays[Math.min(this.#consecutiveFailures++, delays.length - 1)] ?? 30_000
    const before = this.#state
    const message = messageOf(error)
    this.#state = {
      ...before,
      runs: before.runs + 1,
      failures: before.failures + 1,
      error: { code: codeOf(error), message, ...hintOf(error) },
    }
    if (before.error?.message !== message) this.#options.log.warn('failed, is tried again until it works', { reconciler: this.name, error })
    this.#schedule(delayMs)
  }

  #schedule(delayMs: number): void {
    if (this.#stop.signal.aborted) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.request(), delayMs)
    this.#timer.unref()
  }
}

function hintOf(error: unknown): { hint?: string } {
  if (typeof error !== 'object' || error === null || !('hint' in error)) return {}
  return typeof error.hint === 'string' ? { hint: error.hint } : {}
}
