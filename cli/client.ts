// The agent's API over its unix socket: typed answers, and errors that say what to do.
import { request } from 'node:http'
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { accessHint, MANIFEST_FILES } from '../agent/api/index.ts'
import type { ApiError, Listing, ManifestText } from '../agent/api/index.ts'
import { CliError, EXIT } from './errors.ts'

export type Query = Readonly<Record<string, string | number | undefined>>

/** An answer with a status of 400 and above; a value that the agent knows to be none is wrong usage here too. */
export class RefusedError extends CliError {
  override readonly name = 'RefusedError'
  readonly status: number
  readonly body: ApiError['error']

  constructor(status: number, body: ApiError['error']) {
    super(body.message, { exitStatus: body.code === 'BAD_REQUEST' ? EXIT.usage : EXIT.failed })
    this.status = status
    this.body = body
  }
}

export interface ClientOptions {
  readonly socket: string
  /** For the head of an answer; a policy change is answered when the datapath holds it. */
  readonly timeoutMs?: number
}

interface Call {
  readonly method: 'GET' | 'PUT' | 'DELETE'
  readonly path: string
  readonly body?: string
  readonly signal?: AbortSignal
}

export class AgentClient {
  readonly socket: string
  readonly #timeoutMs: number

  constructor({ socket, timeoutMs = 30_000 }: ClientOptions) {
    this.socket = socket
    this.#timeoutMs = timeoutMs
  }

  async get<T>(path: string, query: Query = {}): Promise<T> {
    return this.#json<T>({ method: 'GET', path: withQuery(path, query) })
  }

  /** A table's items. */
  async list<T>(path: string): Promise<readonly T[]> {
    const { items } = await this.get<Listing<T>>(path)
    if (!Array.isArray(items)) throw this.#wrongAnswer(path)
    return items
  }

  async text(path: string): Promise<string> {
    return this.#text({ method: 'GET', path })
  }

  /** PUT or DELETE of manifests, by the files that they stand in. */
  async send<T>(method: 'PUT' | 'DELETE', path: string, files: readonly ManifestText[]): Promise<T> {
    return this.#json<T>({ method, path, body: JSON.stringify({ files }) })
  }

  async delete<T>(path: string): Promise<T> {
    return this.#json<T>({ method: 'DELETE', path })
  }

  /** Lines of an answer as they come, until it ends or `signal` aborts. */
  async *lines(path: string, query: Query = {}, signal?: AbortSignal): AsyncGenerator<string> {
    const response = await this.#send({ method: 'GET', path: withQuery(path, query), ...(signal && { signal }) })
    try {
      for await (const line of createInterface({ input: response })) if (line !== '') yield line
    } catch (error) {
      if (signal?.aborted !== true) throw this.#unreachable(error)
    }
  }

  async #json<T>(call: Call): Promise<T> {
    const body = await this.#text(call)
    try {
      return JSON.parse(body) as T
    } catch {
      throw this.#wrongAnswer(call.path)
    }
  }

  async #text(call: Call): Promise<string> {
    const response = await this.#send(call)
    return text(response).catch((error: unknown) => {
      throw this.#unreachable(error)
    })
  }

  async #send(call: Call): Promise<IncomingMessage> {
    const response = await this.#exchange(call).catch((error: unknown) => {
      throw this.#unreachable(error)
    })
    const status = response.statusCode ?? 0
    if (status >= 400) throw new RefusedError(status, parseError(await text(response), status))
    return response
  }

  async #exchange({ method, path, body, signal }: Call): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const headers = body === undefined ? {} : headersOf(body)
    const outgoing = request({ socketPath: this.socket, method, path, headers, ...(signal && { signal }) }, resolve)
    const timer = setTimeout(() => outgoing.destroy(new TimeoutError(this.#timeoutMs)), this.#timeoutMs)
    outgoing.on('error', reject)
    outgoing.end(body)
    return promise.finally(() => clearTimeout(timer))
  }

  #unreachable(cause: unknown): CliError {
    const reason = cause instanceof TimeoutError ? cause.message : reasonOf((cause as NodeJS.ErrnoException).code, cause)
    return new CliError(`no answer from the agent at ${this.socket}: ${reason}`, { exitStatus: EXIT.noAgent, cause })
  }

  #wrongAnswer(path: string): CliError {
    return new CliError(
      `the answer to ${path} at ${this.socket} is none of a Sluice agent's: is it another program's socket, or another version?`,
    )
  }
}

class TimeoutError extends Error {
  constructor(timeoutMs: number) {
    super(`it took the request but was silent for ${timeoutMs / 1000} s\n  its log says what it is busy with`)
  }
}

const START_ONE = 'start the demo with `npm start`, an agent with `sluiced`, or name another socket with --socket'

function reasonOf(code: string | undefined, cause: unknown): string {
  switch (code) {
    case 'ENOENT':
      return `there is no such socket\n  ${START_ONE}`
    case 'ECONNREFUSED':
      return `nobody listens, the socket is left from an agent that ended\n  ${START_ONE}`
    case 'EACCES':
    case 'EPERM':
      return `permission denied\n  ${accessHint()}`
    case 'ENOTSOCK':
      return 'that file is no socket'
    case 'ECONNRESET':
      return 'it ended while answering\n  see its log, and `sluice status` once it runs again'
    default:
      return cause instanceof Error ? cause.message : String(cause)
  }
}

function headersOf(body: string): OutgoingHttpHeaders {
  return { 'content-type': MANIFEST_FILES, 'content-length': Buffer.byteLength(body) }
}

function withQuery(path: string, query: Query): string {
  const given = Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]))
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given).toString()}`
}

function parseError(body: string, status: number): ApiError['error'] {
  try {
    const { error } = JSON.parse(body) as Partial<ApiError>
    if (typeof error?.message === 'string') return error
  } catch {
    // Not ours: the text itself has to do.
  }
  return { code: 'UNKNOWN', message: `the agent answered ${status}: ${body.trim().slice(0, 500) || 'nothing more'}` }
}
