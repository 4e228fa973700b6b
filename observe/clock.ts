// Events carry CLOCK_MONOTONIC, people read wall clock.

export interface Clock {
  /** Wall clock of a CLOCK_MONOTONIC time, ISO 8601 with microseconds, UTC. */
  isoTime(monotonicNs: bigint): string
}

export interface ClockSource {
  /** CLOCK_MONOTONIC, nanoseconds. On Linux, process.hrtime reads that clock. */
  monotonicNs(): bigint
  /** Wall clock, milliseconds since 1970; fractions welcome. */
  wallMs(): number
}

const SYSTEM: ClockSource = {
  monotonicNs: () => process.hrtime.bigint(),
  // Date.now() has milliseconds only, and performance.now() would not follow a stepped wall clock.
  wallMs: () => Date.now(),
}

/** Wall clocks are stepped and slewed, and CLOCK_MONOTONIC stands still in suspend: measure again this often. */
const MEASURE_EVERY_NS = 1_000_000_000n
/** A measured offset within this of the one in use is only Date.now()'s rounding: keep the times of flows smooth. */
const KEEP_WITHIN_NS = 2_000_000n

export class WallClock implements Clock {
  readonly #source: ClockSource
  #offsetNs: bigint
  #measuredNs: bigint

  constructor(source: ClockSource = SYSTEM) {
    this.#source = source
    this.#measuredNs = source.monotonicNs()
    this.#offsetNs = this.#measure(this.#measuredNs)
  }

  isoTime(monotonicNs: bigint): string {
    this.#refresh()
    const microseconds = (monotonicNs + this.#offsetNs) / 1000n
    const milliseconds = new Date(Number(microseconds / 1000n)).toISOString().slice(0, -1)
    return `${milliseconds}${String(microseconds % 1000n).padStart(3, '0')}Z`
  }

  #refresh(): void {
    const now = this.#source.monotonicNs()
    if (now - this.#measuredNs < MEASURE_EVERY_NS) return
    this.#measuredNs = now
    const measured = this.#measure(now)
    const change = measured - this.#offsetNs
    if (change > KEEP_WITHIN_NS || change < -KEEP_WITHIN_NS) this.#offsetNs = measured
  }

  #measure(monotonicNs: bigint): bigint {
    return BigInt(Math.round(this.#source.wallMs() * 1000)) * 1000n - monotonicNs
  }
}
