// How the command ends. Scripts rely on these numbers; docs/cli.md lists them.

export const EXIT = {
  /** It did what was asked. */
  ok: 0,
  /** It could not: a refused manifest, nothing of that name; or a check failed. */
  failed: 1,
  /** The command line itself is wrong: an unknown option, or a value that cannot be. */
  usage: 2,
  /** No agent answers. */
  noAgent: 3,
} as const
export type ExitStatus = (typeof EXIT)[keyof typeof EXIT]

/** A failure that a person can do something about; the message says what, where, and what to do. */
export class CliError extends Error {
  override readonly name: string = 'CliError'
  readonly exitStatus: ExitStatus

  constructor(message: string, options: { exitStatus?: ExitStatus; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.exitStatus = options.exitStatus ?? EXIT.failed
  }
}

/** Ends the command: the message of `error` on standard error, and the exit status that goes with it. */
export function fail(error: unknown): void {
  process.stderr.write(`sluice: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = error instanceof CliError ? error.exitStatus : EXIT.failed
}
