import type { Capacities } from './types.ts'

export type EngineErrorCode = 'CAPACITY' | 'INVALID' | 'STATE'

/**
 * `CAPACITY`: something does not fit the capacities that the engine was made with; `INVALID`: an argument means
 * nothing; `STATE`: the call does not belong here (inputs before `restore`, a transaction inside another). In each
 * case the engine and its journal are as they were before the call, or before the transaction around it.
 */
export class EngineError extends Error {
  override readonly name = 'EngineError'
  readonly code: EngineErrorCode
  /** `CAPACITY`: which has to be larger, where that is what helps. */
  readonly capacity: keyof Capacities | undefined

  constructor(code: EngineErrorCode, message: string, options: ErrorOptions & { readonly capacity?: keyof Capacities } = {}) {
    super(message, options)
    this.code = code
    this.capacity = options.capacity
  }
}
