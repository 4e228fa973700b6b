// One running agent: store, sources, convergence, flows and API, started in this order and stopped in the reverse one.
import { rmSync } from 'node:fs'
import type { ApplyResult, Degradation, DeleteResult, DocumentName, Explanation, ManifestText, Status } from './api/types.ts'
import { openApiDocument } from './api/openapi.ts'
import { type ApiBackend, type Route, routes } from './api/routes.ts'
import { ApiServer } from './api/server.ts'
import { Convergence, type Desired } from './convergence.ts'
import { AgentDirectory } from './directory.ts'
import { explain } from './explain.ts'
import { AgentError } from './errors.ts'
import { CounterReader, EventReader } from './flows.ts'
import { SystemInterfaces } from './interfaces.ts'
import { StateLock } from './lock.ts'
import { type Logger, messageOf } from './log.ts'
import { registerAgentMetrics } from './metrics.ts'
import type { RunOptions } from './options.ts'
import type { ConntrackReport } from './reconcilers/conntrack.ts'
import { NeighbourWarmer } from './reconcilers/neighbours.ts'
import { InvalidManifestError, inUsersFiles, isApplied, mergeApplied, originName, readApplied, titleOf, withoutApplied } from './sources/applied.ts'
import { FolderSource } from './sources/folder.ts'
import { buildStatus } from './status.ts'
import { type AppliedManifest, Store } from './store.ts'
import { Tables } from './tables.ts'
import { KernelClient } from './worker/client.ts'
import { FlowHistory, FlowMetrics, FlowPipeline, Registry, WallClock } from '../observe/index.ts'
import { pinDirectories } from './pins.ts'

/** A batch of conntrack entries each time: a full map is walked in about a minute. */
const COLLECT_EVERY_MS = 1_000

export class Agent implements ApiBackend, AsyncDisposable {
  readonly #options: RunOptions
  readonly #log: Logger
  readonly #startedAt = new Date()
  readonly #stop = new AbortController()
  readonly #resources = new AsyncDisposableStack()
  readonly #store: Store
  readonly #kernel: KernelClient
  readonly #convergence: Convergence
  readonly #tables = new Tables()
  readonly #directory = new AgentDirectory()
  readonly #registry = new Registry()
  readonly #pipeline: FlowPipeline
  readonly #neighbours: NeighbourWarmer
  readonly #faults = new Map<string, Degradation>()
  readonly flows: FlowHistory
  /** Changes through the API come one after the other: each sees what the one before did. */
  #changing: Promise<unknown> = Promise.resolve()
  #counters: CounterReader | undefined
  #conntrack: ConntrackReport | undefined
  #wasEnforced = false
  /** Names of flows are those of this desired state. */
  #named: Desired | undefined

  /** Throws what keeps the agent from starting at all; everything else shows in its status and is tried again. */
  constructor(options: RunOptions, log: Logger, onFatal: (error: Error) => void) {
    this.#options = options
    this.#log = log
    this.#resources.use(StateLock.acquire(options.stateDir))
    this.#store = this.#resources.use(Store.open(options.stateDir))
    this.flows = new FlowHistory(options.flowHistory)
    const metrics = new FlowMetrics(this.#registry)
    this.#pipeline = new FlowPipeline({ directory: this.#directory, clock: new WallClock(), history: this.flows, metrics })
    this.#neighbours = this.#resources.use(new NeighbourWarmer(log))
    this.#kernel = new KernelClient(onFatal)
    this.#resources.defer(() => this.#kernel.stop())
    const interfaces = new SystemInterfaces(log)
    this.#convergence = new Convergence({
      options,
      store: this.#store,
      kernel: this.#kernel,
      interfaces,
      log,
      onChange: () => this.#changed(),
    })
    this.#resources.defer(() => this.#convergence.stop())
    this.#registerMetrics()
    interfaces.watch(() => this.#convergence.interfacesChanged(), this.#stop.signal)
  }

  get tables() {
    return this.#tables.all
  }

  async start(): Promise<void> {
    const { signal } = this.#stop
    const folder = new FolderSource(this.#options.manifests, (listing) => this.#convergence.foldersListed(listing), { log: this.#log, signal })
    this.#convergence.start()
    await folder.start()
    const served: Route[] = routes(this)
    const document = openApiDocument(served)
    served.push({ method: 'GET', path: '/v1/openapi.json', summary: 'This document', answers: 'text', handle: () => ({ json: document }) })
    const server = this.#resources.use(new ApiServer(served, this.#log))
    await server.listen(this.#options.socket)
    this.#resources.defer(() => rmSync(this.#options.socket, { force: true }))
    const collect = setInterval(() => void this.#collectConntrack(), COLLECT_EVERY_MS)
    this.#resources.defer(() => clearInterval(collect))
    this.#log.info('started', { name: this.#options.name, pid: process.pid, socket: this.#options.socket })
  }

  /** Leaves the datapath as it is: links and maps are pinned, and the last programmed policy holds. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#resources.disposeAsync()
  }

  status(): Status {
    return buildStatus({
      options: this.#options,
      convergence: this.#convergence,
      tables: this.#tables,
      startedAt: this.#startedAt,
      faults: this.#faults,
      conntrackEntries: () => this.#conntrack?.entries,
      flows: () => this.flows.size,
    })
  }

  async metrics(): Promise<{ text: string; type: string }> {
    return { text: await this.#registry.metrics(), type: this.#registry.contentType }
  }

  explain(from: string, to: string, port: string): Promise<Explanation> {
    const cluster = this.#convergence.desired?.resolution.cluster
    if (cluster === undefined) throw new AgentError('UNAVAILABLE', 'manifests are not read yet')
    const { addresses } = this.#tables
    const verdict = this.#kernel.verdict
    return explain({ cluster, directory: this.#directory, addresses, verdict }, from, to, port)
  }

  apply(files: readonly ManifestText[]): Promise<ApplyResult> {
    return this.#inTurn(async () => {
      const read = readApplied(files)
      const current = this.#store.appliedManifests()
      const { merged, actions } = mergeApplied(current, read.map(({ manifest }) => manifest))
      const details = await this.#convergence.check(merged)
      if (details.length > 0) throw new InvalidManifestError(inUsersFiles(details, read), 'CONFLICT')
      await this.#replaceApplied(current, merged)
      return { applied: actions }
    })
  }

  deleteAll(files: readonly ManifestText[]): Promise<DeleteResult> {
    return this.#inTurn(async () => {
      const read = readApplied(files)
      const current = this.#store.appliedManifests()
      await this.#replaceApplied(current, withoutApplied(current, read))
      return { deleted: read.map(({ manifest: { kind, namespace, name } }) => ({ kind, namespace, name })) }
    })
  }

  delete(name: DocumentName): Promise<DeleteResult> {
    return this.#inTurn(async () => {
      const current = this.#store.appliedManifests()
      const wanted = originName(name)
      const rest = current.filter((manifest) => originName(manifest) !== wanted)
      if (rest.length === current.length) throw this.#notApplied(name)
      await this.#replaceApplied(current, rest)
      return { deleted: [name] }
    })
  }

  /** Stored first: what was answered with success must not be lost. Taken back where the datapath cannot hold it. */
  async #replaceApplied(current: readonly AppliedManifest[], wanted: readonly AppliedManifest[]): Promise<void> {
    this.#store.replaceApplied(wanted)
    try {
      await this.#convergence.converge()
    } catch (error) {
      this.#store.replaceApplied(current)
      this.#convergence.interfacesChanged()
      throw error
    }
  }

  #notApplied(document: DocumentName): AgentError {
    const { kind, namespace, name } = document
    const text = titleOf(document)
    const policy = this.#convergence.desired?.resolution.cluster.policies.get(`${kind}/${namespace}/${name}`)
    if (policy === undefined || isApplied(policy.location.file)) return new AgentError('NOT_FOUND', `there is no ${text} that was applied through the API`)
    return new AgentError('CONFLICT', `${text} comes from the file ${policy.location.file}: remove it there`)
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#changing.then(change)
    this.#changing = result.catch(() => undefined)
    return result
  }

  /** Whatever a reconciler did may show in tables, names of flows and neighbours. */
  #changed(): void {
    const { desired, kernelStart } = this.#convergence
    if (kernelStart !== undefined && this.#counters === undefined) this.#openMaps()
    this.#tables.show(this.#convergence, this.#store, this.#options.workloadRanges)
    if (!this.#wasEnforced && this.#convergence.enforced) this.#log.info('the first complete listing is enforced')
    this.#wasEnforced = this.#convergence.enforced
    if (desired === undefined || desired === this.#named) return
    this.#named = desired
    this.#directory.update(desired, this.#store)
    const encapsulated = desired.frontends.filter(({ service }) => service.forwarding === 'ipip')
    const backends = encapsulated.flatMap(({ frontend }) => frontend.backends.map(({ address }) => address))
    this.#neighbours.setAddresses([...new Set(backends)])
  }

  #openMaps(): void {
    const { maps } = pinDirectories(this.#options.bpffs)
    try {
      this.#counters = this.#resources.use(new CounterReader(maps))
      this.#resources.use(EventReader.open(maps, this.#pipeline))
      this.#faults.delete('flows')
    } catch (error) {
      this.#log.error('cannot read flows', { error })
      this.#faults.set('flows', { what: 'flows', why: messageOf(error), hint: 'policy is enforced all the same; restart the agent' })
    }
  }

  async #collectConntrack(): Promise<void> {
    if (this.#convergence.kernelStart === undefined) return
    try {
      this.#conntrack = await this.#kernel.collectConntrack()
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#log.warn('conntrack collection failed', { error })
    }
  }

  #registerMetrics(): void {
    registerAgentMetrics(this.#registry, {
      tables: this.tables,
      reconcilers: () => this.#convergence.reconcilers.map(({ state }) => state),
      statistics: () => this.#kernel.statistics().catch(() => undefined),
      conntrack: () => this.#conntrack,
      counters: () => this.#counters?.read(),
      ok: () => this.status().ok,
    })
  }
}
