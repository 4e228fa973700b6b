// Why the kernel refused a program: one line to read, the whole log to study.

import { LoaderError } from './errors.ts'

export class VerifierError extends LoaderError {
  readonly program: string
  /** The verifier's complaint, and the source line where it has one. */
  readonly summary: string
  /** Not enumerable: whoever prints the error wants no thousand lines. */
  declare readonly log: string

  constructor(program: string, path: string, log: string, errno: number) {
    const summary = summarize(log)
    super('VERIFIER', `the kernel refused program ${program} of ${path}: ${summary} (the whole log is in .log)`, { errno })
    this.name = 'VerifierError'
    this.program = program
    this.summary = summary
    Object.defineProperty(this, 'log', { value: log })
  }
}

/** Lines that end every log and say nothing about the fault. */
const STATISTICS = /^(processed \d+ insns|verification time|stack depth|mark_precise|\d+: \(|from \d+ to \d+|\d+: R)/
const SOURCE_LINE = /^; (.+)/

/** The last complaint of a log, with the last line of source that the verifier was at. */
export function summarize(log: string): string {
  const lines = log
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
  const complaint = lines.findLast((line) => !STATISTICS.test(line) && !SOURCE_LINE.test(line)) ?? lines.at(-1) ?? 'it gave no reason'
  const source = lines.findLast((line) => SOURCE_LINE.test(line))?.replace(SOURCE_LINE, '$1')
  return source === undefined ? complaint : `${complaint}, at "${source}"`
}
