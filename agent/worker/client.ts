// The main thread's side of the worker.
import { Worker } from 'node:worker_threads'
import { AgentError, type AgentErrorCode } from '../errors.ts'
import type { Kernel, KernelMethod, RemoteFault, Reply, Request } from './protocol.ts'

export class KernelClient implements Kernel {
  readonly #worker: Worker
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #nextId = 1
  #ended: Error | undefined

  /** `onEnd`: the thread died by itself; nothing it held is lost, since all is pinned. */
  constructor(onEnd: (error: Error) => void) {
    this.#worker = new Worker(new URL('./index.ts', import.meta.url), { name: 'sluice-kernel' })
    this.#worker.on('message', (reply: Reply) => this.#settle(reply))
    this.#worker.on('error', (error) => this.#end(error instanceof Error ? error : new Error(String(error)), onEnd))
    this.#worker.on('exit', (code) => this.#end(new AgentError('INTERNAL', `the kernel thread exited (${code})`), onEnd))
  }

  start = this.#method('start')
  applyPolicy = this.#method('applyPolicy')
  reconcileServices = this.#method('reconcileServices')
  reconcilePrograms = this.#method('reconcilePrograms')
  collectConntrack = this.#method('collectConntrack')
  verdict = this.#method('verdict')
  statistics = this.#method('statistics')

  /** Ends the thread after what it is doing now. */
  async stop(): Promise<void> {
    this.#ended ??= new AgentError('UNAVAILABLE', 'the agent is stopping')
    this.#rejectAll(this.#ended)
    await this.#worker.terminate()
  }

  #method<M extends KernelMethod>(method: M): Kernel[M] {
    const call = (argument?: unknown): Promise<unknown> => this.#call(method, argument)
    return call as Kernel[M] // Request and Reply carry `unknown`: this is the one place that knows both sides.
  }

  #call(method: KernelMethod, argument: unknown): Promise<unknown> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    const waiting = Promise.withResolvers<unknown>()
    const request: Request = { id: this.#nextId++, method, argument }
    this.#waiting.set(request.id, waiting)
    this.#worker.postMessage(request)
    return waiting.promise
  }

  #settle(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id)
    this.#waiting.delete(reply.id)
    if ('fault' in reply) waiting?.reject(toError(reply.fault))
    else waiting?.resolve(reply.result)
  }

  #end(error: Error, onEnd: (error: Error) => void): void {
    if (this.#ended !== undefined) return
    this.#ended = error
    this.#rejectAll(error)
    onEnd(error)
  }

  #rejectAll(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}

const AGENT_CODES: readonly string[] = ['CAPACITY', 'CONFLICT', 'BAD_REQUEST', 'UNAVAILABLE'] satisfies AgentErrorCode[]

/** Codes of the engine and of the loader stay readable on `code`, whatever class they had. */
function toError(fault: RemoteFault): Error {
  const code = AGENT_CODES.includes(fault.code ?? '') ? (fault.code as AgentErrorCode) : 'INTERNAL'
  const error = new AgentError(code, fault.message, fault.hint === undefined ? {} : { hint: fault.hint })
  if (fault.stack !== undefined) error.stack = fault.stack
  return Object.assign(error, { code: fault.code ?? 'INTERNAL' })
}
