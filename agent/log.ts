// Structured logs: one JSON object a line on standard error, so that journald and any collector can read them.

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
export type Fields = Readonly<Record<string, unknown>>

export class Logger {
  readonly #write: (line: string) => void
  readonly #threshold: number
  readonly #fields: Fields

  constructor(level: LogLevel, write: (line: string) => void = writeToStderr, fields: Fields = {}) {
    this.#threshold = LOG_LEVELS.indexOf(level)
    this.#write = write
    this.#fields = fields
  }

  /** A logger that adds `fields` to every line, e.g. the name of a part. */
  with(fields: Fields): Logger {
    return new Logger(LOG_LEVELS[this.#threshold] ?? 'info', this.#write, { ...this.#fields, ...fields })
  }

  debug(message: string, fields?: Fields): void {
    this.#log('debug', message, fields)
  }

  info(message: string, fields?: Fields): void {
    this.#log('info', message, fields)
  }

  warn(message: string, fields?: Fields): void {
    this.#log('warn', message, fields)
  }

  error(message: string, fields?: Fields): void {
    this.#log('error', message, fields)
  }

  #log(level: LogLevel, message: string, fields: Fields = {}): void {
    if (LOG_LEVELS.indexOf(level) < this.#threshold) return
    const line = { time: new Date().toISOString(), level, message, ...this.#fields, ...fields }
    this.#write(`${JSON.stringify(line, encode)}\n`)
  }
}

function writeToStderr(line: string): void {
  process.stderr.write(line)
}

/** Errors have no enumerable fields of their own, and big integers no JSON form. */
function encode(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (!(value instanceof Error)) return value
  const { name, message, stack, cause } = value
  return { name, message, code: codeOf(value), stack, ...(cause === undefined ? {} : { cause }) }
}

/** The stable code of an error, where it has one. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** What went wrong, in words; whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
