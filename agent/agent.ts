// One running agent: this thread answers the API and reads flows; all that may take long happens in a worker thread,
// which publishes what the API shows.
import type { ApplyResult, Degradation, DeleteResult, DocumentName, Explanation, ManifestText, Status } from './api/types.ts'
import { openApiDocument } from './api/openapi.ts'
import { type ApiBackend, type Route, routes } from './api/routes.ts'
import { ApiServer } from './api/server.ts'
import { refuseTakenSocket } from './api/socket.ts'
import { AgentDirectory } from './directory.ts'
import { CounterReader, EventReader } from './flows.ts'
import { StateLock } from './lock.ts'
import { type Logger, messageOf } from './log.ts'
import { registerAgentMetrics } from './metrics.ts'
import type { RunOptions } from './options.ts'
import { buildStatus, flowsSummary, type Parts } from './status.ts'
import { Tables } from './tables.ts'
import { ControllerClient } from './worker/client.ts'
import type { Publication, PublishedState } from './worker/protocol.ts'
import { FlowHistory, FlowMetrics, FlowPipeline, Registry, WallClock } from '../observe/index.ts'
import { lockPins, pinDirectories } from './pins.ts'

export class Agent implements ApiBackend, AsyncDisposable {
  readonly #options: RunOptions
  readonly #log: Logger
  readonly #startedAt = new Date()
  readonly #resources = new AsyncDisposableStack()
  readonly #tables = new Tables()
  readonly #registry = new Registry()
  readonly #pipeline: FlowPipeline
  readonly #controller: ControllerClient
  readonly flows: FlowHistory
  #published: PublishedState = { parts: {}, reconcilers: [], statistics: undefined, conntrack: undefined, flows: undefined }
  #counters: CounterReader | undefined
  #flowFault: Degradation | undefined

  /** `onFatal`: the worker thread died. Throws if the state folder or that of the pins cannot be had. */
  constructor(options: RunOptions, log: Logger, onFatal: (error: Error) => void) {
    this.#options = options
    this.#log = log
    this.#resources.use(StateLock.acquire(options.stateDir))
    this.#resources.use(lockPins(options.bpffs))
    this.flows = new FlowHistory(options.flowHistory)
    const metrics = new FlowMetrics(this.#registry)
    const directory = new AgentDirectory(this.#tables)
    this.#pipeline = new FlowPipeline({ directory, clock: new WallClock(), history: this.flows, metrics })
    this.#controller = new ControllerClient({ onPublication: (publication) => this.#accept(publication), onEnd: onFatal })
    this.#resources.defer(() => this.#controller.stop())
    this.#resources.use(this.#registerMetrics())
  }

  get tables() {
    return this.#tables.all
  }

  /** Rejects with what keeps the agent from running at all; everything else shows in its status and is tried again. */
  async start(): Promise<void> {
    await refuseTakenSocket(this.#options.socket) // Before the datapath is touched.
    await this.#controller.start(this.#options)
    const served: Route[] = routes(this)
    const document = openApiDocument(served)
    served.push({ method: 'GET', path: '/v1/openapi.json', summary: 'This document', answers: 'text', handle: () => ({ json: document }) })
    const server = this.#resources.use(new ApiServer(served, this.#log))
    await server.listen(this.#options.socket)
    this.#log.info('started', { name: this.#options.name, pid: process.pid, socket: this.#options.socket })
  }

  /** Leaves the datapath as it is: links and maps are pinned, and the last programmed policy holds. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }

  status(): Status {
    return buildStatus(this.#options, this.#startedAt, { ...this.#published.parts, ...this.#flowsPart() })
  }

  async metrics(): Promise<{ text: string; type: string }> {
    return { text: await this.#registry.metrics(), type: this.#registry.contentType }
  }

  explain(from: string, to: string, port: string): Promise<Explanation> {
    return this.#controller.explain({ from, to, port })
  }

  apply(files: readonly ManifestText[]): Promise<ApplyResult> {
    return this.#controller.apply(files)
  }

  deleteAll(files: readonly ManifestText[]): Promise<DeleteResult> {
    return this.#controller.deleteAll(files)
  }

  delete(name: DocumentName): Promise<DeleteResult> {
    return this.#controller.delete(name)
  }

  #accept({ changes, state }: Publication): void {
    this.#tables.apply(changes)
    this.#published = state ?? this.#published
    // Maps are pinned by the time that they are shown.
    if (this.#counters === undefined && this.#tables.maps.size > 0) this.#openMaps()
  }

  #flowsPart(): Parts {
    const fault = this.#flowFault
    return { flows: { summary: flowsSummary(this.flows), degraded: fault === undefined ? [] : [fault] } }
  }

  #openMaps(): void {
    const { maps } = pinDirectories(this.#options.bpffs)
    try {
      this.#counters = this.#resources.use(new CounterReader(maps))
      this.#resources.use(EventReader.open(maps, this.#pipeline))
      this.#flowFault = undefined
    } catch (error) {
      this.#log.error('cannot read flows', { error })
      this.#flowFault = { what: 'flows', why: messageOf(error), hint: 'policy is enforced all the same; restart the agent' }
    }
  }

  #registerMetrics(): Disposable {
    return registerAgentMetrics(this.#registry, {
      startedAt: this.#startedAt,
      tables: this.tables,
      reconcilers: () => this.#published.reconcilers,
      statistics: () => this.#published.statistics,
      conntrack: () => this.#published.conntrack,
      flows: () => this.#published.flows,
      counters: () => this.#counters?.read(),
      ok: () => this.status().ok,
    })
  }
}
