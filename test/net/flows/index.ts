/**
 * Long-lived flows between hosts of a lab, in which one end alone sends, and what came of them at the other end:
 *
 *     await using flows = await Flows.start(lab, [client, server])
 *     const flow = flows.open(client, server, { protocol: 'UDP', family: 'ipv6', sender: 'server' })
 *     const [grown] = await flows.growth([flow], 500)
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Addresses, type Host, inNamespace, type Lab, labVariable } from '../../../lab/index.ts'
import type { CountAnswer, FlowProtocol, FlowRequest, Sender, Tally } from './protocol.ts'

export { flowPort, type FlowProtocol, type Sender, type Tally } from './protocol.ts'

const script = fileURLToPath(new URL('process.ts', import.meta.url))
const defaultIntervalMs = 40
const nothing: Tally = { sent: 0, received: 0, highest: 0 }

export interface FlowOptions {
  readonly protocol: FlowProtocol
  readonly family: keyof Addresses
  readonly sender: Sender
  readonly intervalMs?: number
  /** Of the client, where a flow is to look like another one. */
  readonly localPort?: number
  /** Instead of the server's own, e.g. that of a service. */
  readonly address?: string
}

export interface Flow extends FlowOptions {
  readonly id: number
  readonly client: Host
  readonly server: Host
}

export interface ProbeOptions {
  readonly family: keyof Addresses
  readonly intervalMs: number
  /** Instead of the server's own. */
  readonly address?: string
}

/** What `tallies` needs of a flow. */
export type Probe = Pick<Flow, 'id' | 'client' | 'server' | 'sender' | 'family'>

/** Every kind of flow: both protocols, both families, with traffic only from the client and only from the server. */
export const everyKind: readonly FlowOptions[] = (['TCP', 'UDP'] as const).flatMap((protocol) =>
  (['ipv4', 'ipv6'] as const).flatMap((family) =>
    (['client', 'server'] as const).map((sender) => ({ protocol, family, sender }))))

export function describe({ client, server, protocol, family, sender }: Flow): string {
  return `${client.name} -> ${server.name}, ${protocol} over ${family}, only the ${sender} sends`
}

/** One process.ts a host. */
export class Flows implements AsyncDisposable {
  readonly #processes: ReadonlyMap<Host, FlowProcess>
  #lastId = 0

  private constructor(processes: ReadonlyMap<Host, FlowProcess>) {
    this.#processes = processes
  }

  static async start(lab: Lab, hosts: readonly Host[]): Promise<Flows> {
    const processes = new Map(hosts.map((host) => [host, new FlowProcess(lab, host)]))
    await Promise.all([...processes.values()].map((process) => process.ready))
    return new Flows(processes)
  }

  open(client: Host, server: Host, options: FlowOptions): Flow {
    const id = ++this.#lastId
    const { family, address = server.addresses[family], intervalMs = defaultIntervalMs } = options
    this.#processOf(client).send({ kind: 'open', id, ...options, address, intervalMs })
    return { ...options, id, client, server }
  }

  /** A flow of every kind. */
  openAll(client: Host, server: Host, addresses: Addresses = server.addresses): Flow[] {
    return everyKind.map((options) => this.open(client, server, { ...options, address: addresses[options.family] }))
  }

  /**
   * A new datagram and a new connection again and again. `received` is how many connections stood, at the client's
   * end, and how many datagrams came, at the server's.
   */
  probe(client: Host, server: Host, { family, intervalMs, address = server.addresses[family] }: ProbeOptions): Probe {
    const id = ++this.#lastId
    this.#processOf(client).send({ kind: 'probe', id, address, intervalMs })
    return { id, client, server, family, sender: 'client' }
  }

  stop({ id, client }: Probe): void {
    this.#processOf(client).send({ kind: 'stop', id })
  }

  /** What each flow came to at one of its ends, in their order; by default at the end that receives. */
  async tallies(flows: readonly Probe[], end?: Sender): Promise<Tally[]> {
    const hosts = flows.map(({ client, server, sender }) => ((end ?? other(sender)) === 'client' ? client : server))
    const distinct = [...new Set(hosts)]
    const counted = new Map(await Promise.all(
      distinct.map(async (host) => [host, await this.#processOf(host).count()] as const),
    ))
    return flows.map(({ id }, index) => counted.get(hosts[index] as Host)?.[id] ?? nothing)
  }

  /** By how much each flow grew at its receiving end, in this time. */
  async growth(flows: readonly Flow[], forMs: number): Promise<number[]> {
    const before = await this.tallies(flows)
    await sleep(forMs)
    const after = await this.tallies(flows)
    return after.map(({ received }, index) => received - (before[index]?.received ?? 0))
  }

  #processOf(host: Host): FlowProcess {
    const process = this.#processes.get(host)
    if (process === undefined) throw new Error(`${host.name} has no flow process: name it in Flows.start`)
    return process
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#processes.values()].map((process) => process[Symbol.asyncDispose]()))
  }
}

function other(sender: Sender): Sender {
  return sender === 'client' ? 'server' : 'client'
}

class FlowProcess implements AsyncDisposable {
  readonly ready: Promise<void>
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #waiting = new Map<number, (tallies: CountAnswer['tallies']) => void>()
  readonly #name: string
  #lastCount = 0

  constructor(lab: Lab, host: Host) {
    this.#name = host.name
    const [file = '', ...args] = inNamespace(host.namespace, [process.execPath, script])
    const env = { ...process.env, [labVariable]: lab.name }
    this.#child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'], env })
    this.#child.stdin.on('error', () => {}) // It ended, which `ready` or `count` tells.
    const lines = createInterface({ input: this.#child.stdout })
    const ended = once(this.#child, 'close').then(() => Promise.reject(this.#ended()))
    this.ready = Promise.race([once(lines, 'line').then(() => {}), ended])
    ended.catch(() => {}) // Disposal ends it too.
    lines.on('line', (line) => line !== 'ready' && this.#answered(JSON.parse(line) as CountAnswer))
  }

  send(request: FlowRequest): void {
    this.#child.stdin.write(`${JSON.stringify(request)}\n`)
  }

  count(): Promise<CountAnswer['tallies']> {
    if (this.#child.exitCode !== null) throw this.#ended()
    const id = ++this.#lastCount
    const { promise, resolve } = Promise.withResolvers<CountAnswer['tallies']>()
    this.#waiting.set(id, resolve)
    this.send({ kind: 'count', id })
    return promise
  }

  #answered({ id, tallies }: CountAnswer): void {
    this.#waiting.get(id)?.(tallies)
    this.#waiting.delete(id)
  }

  #ended(): Error {
    return new Error(`the flow process of ${this.#name} ended with status ${this.#child.exitCode}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const closed = once(this.#child, 'close')
    this.#child.stdin.end()
    await closed
  }
}
