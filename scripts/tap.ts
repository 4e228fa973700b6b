/** What one AVA run reported. */
export interface Tally {
  passed: number
  failed: number
  skipped: number
}

/**
 * Counts AVA's TAP, read line by line, and passes on what a person wants to read. A file that crashes, exits, times
 * out or holds no test is a `not ok` line of its own; tests that a crash kept from running are only in the summary.
 */
export class TapReader {
  readonly tally: Tally = { passed: 0, failed: 0, skipped: 0 }
  #finished = false

  /** The line to show, if any. */
  read(line: string): string | undefined {
    const summary = /^# (tests|pass|skip|fail|todo) (\d+)$/.exec(line)
    if (summary !== null) {
      if (summary[1] === 'fail') this.#finish(Number(summary[2]))
      return undefined
    }
    if (/^(TAP version \d+|\d+\.\.\d+|)$/.test(line)) return undefined
    this.#count(line)
    return line
  }

  /** Call when the run has ended: a run that ends early or badly without a failed test is itself a failure. */
  end(exitCode: number | null): string | undefined {
    if (this.#finished && (exitCode === 0 || this.tally.failed > 0)) return undefined
    this.tally.failed++
    return `not ok - AVA ended with ${exitCode === null ? 'a signal' : `status ${exitCode}`} and named no failed test`
  }

  #count(line: string): void {
    const test = /^(not )?ok \d+.*?( # (?:SKIP|TODO))?$/.exec(line)
    if (test === null) return
    if (test[2] !== undefined) this.tally.skipped++
    else if (test[1] !== undefined) this.tally.failed++
    else this.tally.passed++
  }

  #finish(failed: number): void {
    this.#finished = true
    this.tally.failed = Math.max(this.tally.failed, failed)
  }
}
