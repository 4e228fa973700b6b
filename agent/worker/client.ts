// The main thread's side of the worker.
import { Worker } from 'node:worker_threads'
import { AgentError, type AgentErrorCode } from '../errors.ts'
import type { ControlMethod, ControlPlane, FromWorker, Publication, RemoteFault, Reply, ToWorker } from './protocol.ts'

/** Short collections rather than few: each of the default's 16 MiB stops the thread for 5 ms. */
const YOUNG_MB = 12

export interface WorkerEvents {
  readonly onPublication: (publication: Publication) => void
  /** The thread died by itself; nothing it held is lost, since all is pinned or stored. */
  readonly onEnd: (error: Error) => void
}

export class ControllerClient implements ControlPlane {
  readonly #worker: Worker
  readonly #events: WorkerEvents
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #nextId = 1
  #ended: Error | undefined

  constructor(events: WorkerEvents) {
    this.#events = events
    this.#worker = new Worker(new URL('./index.ts', import.meta.url), { name: 'sluice-worker', resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB } })
    this.#worker.on('message', (message: FromWorker) => this.#receive(message))
    this.#worker.on('error', (error) => this.#end(error instanceof Error ? error : new Error(String(error))))
    this.#worker.on('exit', (code) => this.#end(new AgentError('INTERNAL', `the worker thread exited (${code})`)))
  }

  start = this.#method('start')
  apply = this.#method('apply')
  deleteAll = this.#method('deleteAll')
  delete = this.#method('delete')
  explain = this.#method('explain')

  /** Ends the thread after what it is doing now. */
  async stop(): Promise<void> {
    if (this.#ended !== undefined) return
    await this.#call('stop', undefined)
    this.#ended ??= new AgentError('UNAVAILABLE', 'the agent is stopping')
    this.#rejectAll(this.#ended)
    await this.#worker.terminate()
  }

  #method<M extends ControlMethod>(method: M): ControlPlane[M] {
    const call = (argument?: unknown): Promise<unknown> => this.#call(method, argument)
    return call as ControlPlane[M] // Request and Reply carry `unknown`: this is the one place that knows both sides.
  }

  #call(method: ControlMethod, argument: unknown): Promise<unknown> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    const waiting = Promise.withResolvers<unknown>()
    const id = this.#nextId++
    this.#waiting.set(id, waiting)
    this.#send({ id, method, argument })
    return waiting.promise
  }

  #send(message: ToWorker): void {
    this.#worker.postMessage(message)
  }

  #receive(message: FromWorker): void {
    if (!('publication' in message)) return this.#settle(message)
    this.#events.onPublication(message.publication)
    this.#send({ acknowledged: true })
  }

  #settle(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id)
    this.#waiting.delete(reply.id)
    if ('fault' in reply) waiting?.reject(toError(reply.fault))
    else waiting?.resolve(reply.result)
  }

  #end(error: Error): void {
    if (this.#ended !== undefined) return
    this.#ended = error
    this.#rejectAll(error)
    this.#events.onEnd(error)
  }

  #rejectAll(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}

/** Codes of the engine and of the loader stay readable on `code`, whatever class they had. */
function toError({ message, code = 'INTERNAL', hint, details, cause, stack }: RemoteFault): Error {
  const options = { ...(hint !== undefined && { hint }), ...(cause !== undefined && { cause: new Error(cause) }) }
  const error = new AgentError(code as AgentErrorCode, message, options)
  if (stack !== undefined) error.stack = stack
  return details === undefined ? error : Object.assign(error, { details })
}
