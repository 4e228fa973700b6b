import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { inNamespace } from './command.ts'
import type { ClientEvent, ClientRequest, Outcome } from './protocol.ts'

const script = fileURLToPath(new URL('client.ts', import.meta.url))
const defaultTimeoutMs = 1000

export interface Target {
  readonly address: string
  readonly port: number
  readonly protocol?: 'TCP' | 'UDP'
  readonly timeoutMs?: number
  /** Padding wanted in an HTTP answer. */
  readonly bytes?: number
}

export interface Reply {
  readonly outcome: Outcome
  readonly ms: number
  readonly by?: string
  readonly seenAs?: string
  /** Padding that came. */
  readonly bytes?: number
  readonly error?: string
}

/** One long-lived connection. */
export interface Stream extends Disposable {
  readonly state: 'connecting' | 'open' | 'closed'
  /** Bytes that came so far. */
  readonly received: number
  readonly error: string | undefined
  /** Whether a byte comes from now on, within the time-out. */
  alive(timeoutMs?: number): Promise<boolean>
}

/** A client.ts in a namespace. It ends with its standard input, thus also when this process is killed. */
export class ClientProcess implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #listeners = new Map<number, (event: ClientEvent) => void>()
  #nextId = 1

  constructor(namespace: string, environment: NodeJS.ProcessEnv) {
    const [file = '', ...args] = inNamespace(namespace, [process.execPath, script])
    this.#child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'], env: environment })
    this.#child.stdin.on('error', () => {}) // It ended; the requests that wait are told below.
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#dispatch(JSON.parse(line)))
    this.#child.on('close', (status) => this.#fail(`the client process ended with status ${status}`))
  }

  request(target: Target): Promise<Reply> {
    const timeoutMs = target.timeoutMs ?? defaultTimeoutMs
    const kind = target.protocol === 'UDP' ? 'udp' : 'http'
    const { address, port, bytes = 0 } = target
    return new Promise((resolve) => {
      this.#send({ kind, address, port, timeoutMs, bytes }, ({ outcome = 'error', ms = 0, id, ...rest }) => {
        this.#listeners.delete(id)
        resolve({ ...rest, outcome, ms })
      })
    })
  }

  stream(target: Target & { readonly intervalMs?: number }): Stream {
    const { address, port, timeoutMs = defaultTimeoutMs, intervalMs = 50 } = target
    const stream = new ClientStream(() => this.#write({ id, kind: 'close', address, port, timeoutMs }))
    const id = this.#send({ kind: 'stream', address, port, timeoutMs, intervalMs }, (event) => stream.handle(event))
    return stream
  }

  #send(request: Omit<ClientRequest, 'id'>, listener: (event: ClientEvent) => void): number {
    const id = this.#nextId++
    this.#listeners.set(id, listener)
    if (this.#child.exitCode !== null) listener({ id, outcome: 'error', error: 'the client process has ended' })
    else this.#write({ id, ...request })
    return id
  }

  #write(request: ClientRequest): void {
    this.#child.stdin.write(`${JSON.stringify(request)}\n`)
  }

  #dispatch(event: ClientEvent): void {
    this.#listeners.get(event.id)?.(event)
  }

  #fail(error: string): void {
    for (const [id, listener] of [...this.#listeners]) listener({ id, outcome: 'error', error })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const closed = once(this.#child, 'close')
    this.#child.stdin.end()
    await closed
  }
}

class ClientStream implements Stream {
  state: Stream['state'] = 'connecting'
  received = 0
  error: string | undefined
  readonly #close: () => void
  readonly #waiting = new Set<() => void>()

  constructor(close: () => void) {
    this.#close = close
  }

  handle(event: ClientEvent): void {
    if (event.error !== undefined) this.error = event.error
    if (event.stream === 'open') this.state = 'open'
    if (event.stream === 'closed') this.state = 'closed'
    if (event.stream !== 'data') return
    this.received += event.bytes ?? 0
    for (const wake of this.#waiting) wake()
  }

  alive(timeoutMs = defaultTimeoutMs): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (alive: boolean) => {
        clearTimeout(timer)
        this.#waiting.delete(wake)
        resolve(alive)
      }
      const wake = () => end(true)
      const timer = setTimeout(() => end(false), timeoutMs)
      this.#waiting.add(wake)
    })
  }

  [Symbol.dispose](): void {
    if (this.state !== 'closed') this.#close()
  }
}
