// Faults of the agent that an operator can do something about.

export type AgentErrorCode =
  | 'BAD_OPTION' // the command line, the environment or the options file
  | 'LOCKED' // another agent owns the state folder, the pins or the socket
  | 'STORE' // the state folder cannot be used
  | 'CAPACITY' // a map or a number space is full
  | 'CONFLICT' // two documents want the same thing
  | 'INVALID_MANIFEST'
  | 'NOT_FOUND'
  | 'BAD_REQUEST'
  | 'UNAVAILABLE' // not yet, or not any more
  | 'INTERNAL'

export class AgentError extends Error {
  readonly code: AgentErrorCode
  /** What to do about it, in a sentence. */
  readonly hint: string | undefined

  constructor(code: AgentErrorCode, message: string, options: { cause?: unknown; hint?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'AgentError'
    this.code = code
    this.hint = options.hint
  }
}
