// All of the agent that may take long: store, sources, convergence and datapath, in the worker thread. What the main
// thread answers from is published after every change.
import type { ApplyResult, Degradation, DeleteResult, DocumentName, Explanation, ManifestText } from '../api/types.ts'
import { type BalancedFrontend, lastBackendNumber } from '../balance.ts'
import { Convergence } from '../convergence.ts'
import { AgentError } from '../errors.ts'
import { explain } from '../explain.ts'
import { SystemInterfaces } from '../interfaces.ts'
import { Logger } from '../log.ts'
import type { RunOptions } from '../options.ts'
import type { ConntrackReport } from '../reconcilers/conntrack.ts'
import type { FlowReport } from '../reconcilers/flow-table.ts'
import { NeighbourWarmer } from '../reconcilers/neighbours.ts'
import { actionsOf, type AppliedChange, checkKnown, InvalidManifestError, inUsersFiles, inverseOf, isApplied, originName, type ReadManifest, readApplied, titleOf } from '../sources/applied.ts'
import { FolderSource } from '../sources/folder.ts'
import { partsOf } from '../status.ts'
import { Store } from '../store.ts'
import { TableFiller } from '../table-filler.ts'
import { Tables } from '../tables.ts'
import { ChangeQueue, type Taken } from './change-queue.ts'
import { LinuxKernel } from './kernel.ts'
import type { Publication } from './protocol.ts'
import { Publisher } from './publisher.ts'

/** A batch of conntrack entries each time: a full map is walked in about a minute. */
const COLLECT_EVERY_MS = 1_000
/** A batch of the balancer's flows each time: a million are looked at in less than a minute. */
const LOOK_AT_FLOWS_EVERY_MS = 100
/** Between two looks where there was nothing to see. */
const REST_FROM_FLOWS_MS = 5_000

export class Controller {
  readonly #options: RunOptions
  readonly #log: Logger
  readonly #stop = new AbortController()
  readonly #resources = new AsyncDisposableStack()
  readonly #store: Store
  readonly #kernel: LinuxKernel
  readonly #interfaces: SystemInterfaces
  readonly #convergence: Convergence
  readonly #tables = new Tables()
  readonly #filler: TableFiller
  readonly #publisher: Publisher
  readonly #neighbours: NeighbourWarmer
  readonly #changes = new ChangeQueue(() => this.#carryOut())
  /** What the datapath lacks all the same. */
  #missing: readonly Degradation[] = []
  #conntrack: ConntrackReport | undefined
  #flows: FlowReport | undefined
  #restFromFlowsUntil = 0
  #wasEnforced = false
  #publishing: NodeJS.Immediate | undefined
  /** Neighbours are those of these. */
  #warmed: readonly BalancedFrontend[] | undefined

  /** Throws what keeps an agent from running at all; everything else shows in its status and is tried again. */
  constructor(options: RunOptions, send: (publication: Publication) => void) {
    this.#options = options
    this.#log = new Logger(options.logLevel)
    this.#store = this.#resources.use(Store.open(options.stateDir, { backend: lastBackendNumber(options.mapSizes) }))
    this.#publisher = new Publisher(this.#tables.all, send)
    this.#kernel = this.#resources.use(new LinuxKernel())
    this.#neighbours = this.#resources.use(new NeighbourWarmer(this.#log))
    this.#interfaces = new SystemInterfaces(this.#log)
    const parts = { options, store: this.#store, kernel: this.#kernel, interfaces: this.#interfaces, log: this.#log }
    this.#convergence = new Convergence({ ...parts, onChange: () => this.#changed() })
    this.#filler = new TableFiller(this.#tables, this.#convergence, this.#store)
    this.#resources.defer(() => this.#convergence.stop())
  }

  /** Resolves when the main thread has something to answer from; sources and datapath follow by themselves. */
  async start(): Promise<void> {
    const { signal } = this.#stop
    const folder = new FolderSource(this.#options.manifests, (listing) => this.#convergence.foldersListed(listing), { log: this.#log, signal })
    this.#publish()
    await this.#publisher.flushed()
    this.#interfaces.watch(() => this.#convergence.interfacesChanged(), signal)
    await this.#convergence.start()
    folder.start()
    const collect = setInterval(() => this.#collectConntrack(), COLLECT_EVERY_MS)
    this.#resources.defer(() => clearInterval(collect))
    const look = setInterval(() => this.#lookAtFlows(), LOOK_AT_FLOWS_EVERY_MS)
    this.#resources.defer(() => clearInterval(look))
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#resources.disposeAsync()
  }

  acknowledged(): void {
    this.#publisher.acknowledged()
  }

  explain(from: string, to: string, port: string): Explanation {
    const { sources, isDesired } = this.#convergence
    if (!isDesired) throw new AgentError('UNAVAILABLE', 'manifests are not read yet')
    return explain({ cluster: sources.cluster, addresses: this.#tables.addresses, verdict: (query) => this.#kernel.verdict(query), allowHost: this.#options.allowHost }, from, to, port)
  }

  async apply(files: readonly ManifestText[]): Promise<ApplyResult> {
    const read = readApplied(files)
    return this.#changes.submit(() => {
      const applied = actionsOf(read.map(({ manifest }) => manifest), this.#textOf)
      const kept = read.map(({ manifest }) => manifest).filter((_, index) => applied[index]?.action !== 'unchanged')
      return this.#take({ kept, forgotten: [] }, read, (missing) => ({ applied, ...(missing.length > 0 && { missing }) }))
    })
  }

  async deleteAll(files: readonly ManifestText[]): Promise<DeleteResult> {
    const read = readApplied(files)
    const deleted = read.map(({ manifest: { kind, namespace, name } }) => ({ kind, namespace, name }))
    return this.#changes.submit(() => {
      checkKnown(read, this.#textOf)
      return this.#take({ kept: [], forgotten: deleted }, read, () => ({ deleted }))
    })
  }

  delete(name: DocumentName): Promise<DeleteResult> {
    return this.#changes.submit(() => {
      if (this.#textOf(name) === undefined) throw this.#notApplied(name)
      return this.#take({ kept: [], forgotten: [name] }, [], () => ({ deleted: [name] }))
    })
  }

  readonly #textOf = (name: DocumentName): string | undefined => this.#convergence.sources.textOf(originName(name))

  #take<T>(change: AppliedChange, read: readonly ReadManifest[], answer: (missing: readonly Degradation[]) => T): Taken<T> {
    const inverse = inverseOf(change, this.#textOf)
    const details = this.#convergence.sources.changeApplied(change)
    if (details.length > 0) throw new InvalidManifestError(inUsersFiles(details, read), 'CONFLICT')
    return { undo: () => this.#takeBack(inverse), answer: () => answer(this.#missing) }
  }

  #takeBack(inverse: AppliedChange): void {
    this.#convergence.sources.takeBack(inverse)
    this.#convergence.sourcesChanged()
  }

  /** Who is answered with success finds the tables changed too. */
  async #carryOut(): Promise<void> {
    this.#missing = await this.#convergence.converge()
    this.#publish()
    await this.#publisher.flushed()
  }

  #notApplied(document: DocumentName): AgentError {
    const { kind, namespace, name } = document
    const text = titleOf(document)
    const policy = this.#convergence.desired.policies.get(`${kind}/${namespace}/${name}`)
    if (policy === undefined || isApplied(policy.location.file)) return new AgentError('NOT_FOUND', `there is no ${text} that was applied through the API`)
    return new AgentError('CONFLICT', `${text} comes from the file ${policy.location.file}: remove it there`)
  }

  /** Whatever a reconciler did may show in tables, statistics and neighbours. */
  #changed(): void {
    this.#filler.show()
    if (!this.#wasEnforced && this.#convergence.enforced) this.#log.info('the first complete listing is enforced')
    this.#wasEnforced = this.#convergence.enforced
    this.#warmNeighbours()
    this.#publishSoon()
  }

  /** One reconciler's run leads to another's: the main thread is told when they have come to rest. */
  #publishSoon(): void {
    this.#publishing ??= setImmediate(() => this.#publish())
  }

  #warmNeighbours(): void {
    const { frontends } = this.#convergence.desired
    if (frontends === this.#warmed) return
    this.#warmed = frontends
    const direct = frontends.filter(({ service }) => service.forwarding !== 'nat')
    const backends = direct.flatMap(({ frontend }) => frontend.backends.map(({ address }) => address))
    this.#neighbours.setAddresses([...new Set(backends)])
  }

  #publish(): void {
    clearImmediate(this.#publishing)
    this.#publishing = undefined
    const { reconcilers, kernelStart } = this.#convergence
    this.#publisher.publish({
      parts: partsOf({ options: this.#options, convergence: this.#convergence, tables: this.#tables, conntrackEntries: this.#conntrack?.entries ?? 0, flows: this.#flows }),
      reconcilers: reconcilers.map(({ state }) => state),
      statistics: kernelStart === undefined ? undefined : this.#kernel.statistics(),
      conntrack: this.#conntrack,
      flows: this.#flows,
    })
  }

  #collectConntrack(): void {
    if (this.#convergence.kernelStart === undefined) return
    try {
      this.#conntrack = this.#kernel.collectConntrack()
      this.#publish()
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#log.warn('conntrack collection failed', { error })
    }
  }

  #lookAtFlows(): void {
    if (this.#convergence.kernelStart === undefined || performance.now() < this.#restFromFlowsUntil) return
    try {
      const flows = this.#kernel.lookAtFlows()
      if (flows !== this.#flows && flows?.established === 0 && flows.changing.slots + flows.changing.tables === 0) {
        this.#restFromFlowsUntil = performance.now() + REST_FROM_FLOWS_MS
      }
      this.#flows = flows
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#log.warn('the balancer’s flows cannot be looked at', { error })
    }
  }
}
