// From sources to the datapath: what is desired now, and the reconcilers that make it so.
import { isDeepStrictEqual } from 'node:util'
import { backendKey } from '../manifests/index.ts'
import type { Degradation } from './api/types.ts'
import { attachmentsOf, missingProgram, uplinkOf } from './attachments.ts'
import { type BalancedFrontend, encapsulationSources, serviceKey } from './balance.ts'
import { Desired, Inputs, isLocal } from './desired/index.ts'
import { type LocalEndpoint, matchEndpoints } from './endpoints.ts'
import { AgentError } from './errors.ts'
import type { Interface, InterfacePort } from './interfaces.ts'
import type { Kernel, KernelOptions, KernelStart, UplinkOptions } from './kernel.ts'
import type { Logger } from './log.ts'
import type { RunOptions } from './options.ts'
import type { InputChange } from './reconcilers/inputs.ts'
import type { ApplyReport } from './reconcilers/policy.ts'
import { type Attachment, NOT_LOADED, type ProgramReport } from './reconcilers/programs.ts'
import { Reconciler } from './reconcilers/reconciler.ts'
import type { ServiceReport } from './reconcilers/services.ts'
import { groupRefusals } from './refusals.ts'
import { Retired } from './retired.ts'
import type { FolderListing } from './sources/folder.ts'
import type { EffectiveText } from './sources/manifests.ts'
import { Sources } from './sources/sources.ts'
import type { Store } from './store.ts'
import { vlanDevices } from './vlan-devices.ts'

export interface ConvergenceParts {
  readonly options: Omit<KernelOptions, keyof UplinkOptions> & Pick<RunOptions, 'uplink' | 'workloadRanges' | 'denyAnswer' | 'hostPolicy' | 'hostAllow' | 'clusterName'>
  readonly store: Store
  readonly kernel: Kernel
  readonly interfaces: InterfacePort
  readonly log: Logger
  /** Called after every run of a reconciler: what tables and status show may have changed. */
  readonly onChange: () => void
}

/** What the datapath holds: `shares` in the order of `frontends`. */
export interface ProgrammedServices {
  readonly frontends: readonly BalancedFrontend[]
  readonly prefilter: Desired['prefilter']
  readonly shares: ServiceReport
}

const RETRY_INTERFACES_MS = 1_000
/** Notices of the kernel may be lost. */
const LIST_INTERFACES_EVERY_MS = 10_000

export class Convergence {
  readonly #parts: ConvergenceParts
  readonly sources: Sources
  readonly desired: Desired
  readonly #inputs: Inputs
  readonly #retired = new Retired()
  readonly #load: Reconciler
  readonly #desire: Reconciler
  readonly #policy: Reconciler
  readonly #services: Reconciler
  readonly #programs: Reconciler
  #links: readonly Interface[] | undefined
  /** What the interfaces are may have changed since they were listed. */
  #linksDue = true
  /** What is desired is all that is: only then is anything written. */
  #complete = false
  #attachments: readonly Attachment[] = []
  /** What the programs were reconciled with last. */
  #attached: readonly Attachment[] | undefined
  #missingUplink = false
  /** Texts whose meaning is desired and not in the datapath yet, the newest of each origin. */
  #unsettled: readonly EffectiveText[] = []
  #start: KernelStart | undefined
  /** Of the balancer that is loaded. */
  #uplink: UplinkOptions = { uplinkIfindex: 0, stationMac: undefined, encapsulationSources: [], vlanDevices: [] }
  #restoreFinished = false
  #enforced = false
  #programmedServices: ProgrammedServices | undefined
  #retryInterfaces: NodeJS.Timeout | undefined
  #programReport: ProgramReport | undefined
  #guarded: ReadonlySet<number> = new Set()

  constructor(parts: ConvergenceParts) {
    this.#parts = parts
    this.sources = new Sources(parts.options, parts.store, this.#retired)
    this.desired = new Desired(parts.options, parts.store, this.#retired)
    this.#inputs = new Inputs(this.desired.tables)
    const reconciler = (name: string, reconcile: () => Promise<void>, everyMs?: number): Reconciler => {
      const observed = (): Promise<void> => reconcile().finally(parts.onChange)
      return new Reconciler({ name, log: parts.log, reconcile: observed, ...(everyMs !== undefined && { everyMs }) })
    }
    this.#load = reconciler('datapath', () => this.#loadDatapath())
    this.#desire = reconciler('sources', () => this.#settleDesired())
    this.#policy = reconciler('policy', () => this.#reconcilePolicy())
    this.#services = reconciler('services', () => this.#reconcileServices())
    this.#programs = reconciler('programs', () => this.#reconcilePrograms(), 10_000)
  }

  get kernelStart(): KernelStart | undefined {
    return this.#start
  }

  get programmedServices(): ProgrammedServices | undefined {
    return this.#programmedServices
  }

  get programReport(): ProgramReport | undefined {
    return this.#programReport
  }

  /** The uplink of the options does not exist. */
  get missingUplink(): boolean {
    return this.#missingUplink
  }

  /** Whether sources and interfaces were read at all. */
  get isDesired(): boolean {
    return this.#links !== undefined
  }

  /** Numbers of the interfaces that have all of their programs. */
  get guardedInterfaces(): ReadonlySet<number> {
    return this.#guarded
  }

  /** Whether policy of the first complete listing is in the datapath. */
  get enforced(): boolean {
    return this.#enforced
  }

  get reconcilers(): readonly Reconciler[] {
    return [this.#load, this.#desire, this.#policy, this.#services, this.#programs]
  }

  /** Loads programs and maps; the rest follows from it and from the sources' listings. */
  async start(): Promise<void> {
    this.#load.request()
    const look = setInterval(() => this.interfacesChanged(), LIST_INTERFACES_EVERY_MS)
    look.unref()
    this.#stopLooking = () => clearInterval(look)
    await this.sources.start()
    this.#desire.request()
  }

  async stop(): Promise<void> {
    clearTimeout(this.#retryInterfaces)
    this.#stopLooking()
    await Promise.all(this.reconcilers.map((reconciler) => reconciler.stop()))
  }

  #stopLooking = (): void => undefined

  async foldersListed(listing: FolderListing): Promise<void> {
    await this.sources.foldersListed(listing)
    this.#desire.request()
  }

  sourcesChanged(): void {
    this.#desire.request()
  }

  interfacesChanged(): void {
    this.#linksDue = true
    this.#desire.request()
  }

  /**
   * Resolves when the datapath holds what the sources say now, with what it lacks all the same: an interface that cannot
   * be attached to must not keep the others from new policy. Rejects with what keeps it from that.
   */
  async converge(): Promise<readonly Degradation[]> {
    if (this.#start === undefined) throw new AgentError('UNAVAILABLE', 'the datapath is not loaded yet; see sluice status')
    await this.#settleNow()
    if (!this.#complete) {
      const folders = [...this.sources.unreadableFolders.keys()].join(', ')
      throw new AgentError('UNAVAILABLE', `the first complete listing of manifests is still missing: ${folders}`)
    }
    const programs = this.#programsDue() ? this.#programs.trigger().catch(() => undefined) : undefined
    const services = this.#servicesDue() ? this.#services.trigger() : undefined
    await Promise.all([programs, this.#policy.trigger(), services])
    return (this.#programReport?.failures ?? []).map(missingProgram)
  }

  /** A service that had no numbers before is nothing that a change could help. */
  async #settleNow(): Promise<void> {
    const before = new Set(this.desired.unnumbered.keys())
    try {
      await this.#desire.trigger()
    } catch (error) {
      const { unnumbered } = this.desired
      const isAboutNumbers = [...unnumbered.values()].includes(error)
      if (!isAboutNumbers || !new Set(unnumbered.keys()).isSubsetOf(before)) throw error
    }
  }

  /** Runs again, with back-off, while the kernel refuses an object, and when the uplink, its addresses or VLAN devices are others. */
  async #loadDatapath(): Promise<void> {
    const { kernel, options, log, interfaces } = this.#parts
    this.#uplink = this.#followUplink(await interfaces.list())
    const first = this.#start === undefined
    this.#start = await kernel.start({ ...options, ...this.#uplink })
    const { takenOver, maps, refused } = this.#start
    if (first) log.info('datapath loaded', { takenOver, maps: maps.length })
    this.#programs.request() // There may be other programs now.
    this.#policy.request()
    this.#services.request()
    if (refused.length === 0) return
    throw new AgentError('UNAVAILABLE', groupRefusals(refused).map(({ objects, message }) => `${objects.join(', ')}: ${message}`).join('; '))
  }

  /** An uplink that is being set up has no addresses for a moment. */
  #followUplink(links: readonly Interface[]): UplinkOptions {
    const uplink = uplinkOf(links, this.#parts.options.uplink)
    const sources = encapsulationSources(uplink)
    const { uplinkIfindex, stationMac, encapsulationSources: known } = this.#uplink
    return {
      uplinkIfindex: uplink?.ifindex ?? uplinkIfindex,
      stationMac: uplink?.mac ?? stationMac,
      encapsulationSources: sources.length > 0 ? sources : known,
      vlanDevices: vlanDevices(links),
    }
  }

  #requestDue(): void {
    this.#policy.request()
    if (this.#programsDue()) this.#programs.request()
    if (this.#servicesDue()) this.#services.request()
  }

  async #settleDesired(): Promise<void> {
    const links = await this.#currentLinks()
    const { changes, texts, complete } = this.sources.take()
    const touched = changes.some(({ workloads }) => [...workloads.removed, ...workloads.added].some(isLocal))
    if (changes.length === 0 && links === this.#links && complete === this.#complete && !this.#hasFailed()) return this.#checkNumbers()
    const local = touched || links !== this.#links || this.#hasFailed() ? this.sources.localWorkloads : undefined
    const endpoints = local && (await matchEndpoints(local, links, this.#parts.interfaces))
    this.#parts.store.transaction(() => {
      for (const change of changes) this.desired.change(change)
      if (endpoints !== undefined) this.#setLocal(links, endpoints)
    })
    this.#complete = complete
    this.#unsettled = [...new Map([...this.#unsettled, ...texts].map((text) => [text.name, text])).values()]
    this.#checkNumbers()
  }

  /** What has its numbers now is programmed, whatever still lacks some. */
  #checkNumbers(): void {
    try {
      this.desired.checkNumbers()
    } finally {
      this.#requestDue()
    }
  }

  /** The same array while they are the same. */
  async #currentLinks(): Promise<readonly Interface[]> {
    if (this.#links !== undefined && !this.#linksDue && !this.#hasFailed()) return this.#links
    this.#linksDue = false
    const links = await this.#listInterfaces()
    return isDeepStrictEqual(links, this.#links) ? (this.#links ?? links) : links
  }

  async #listInterfaces(): Promise<readonly Interface[]> {
    try {
      return await this.#parts.interfaces.list()
    } catch (error) {
      this.#linksDue = true
      throw error
    }
  }

  #setLocal(links: readonly Interface[], endpoints: readonly LocalEndpoint[]): void {
    const { uplink: name, xdpMode } = this.#parts.options
    const uplink = uplinkOf(links, name)
    this.desired.setLocal(links, endpoints)
    this.#links = links
    this.#attachments = attachmentsOf(endpoints, uplink, xdpMode !== 'off')
    this.#missingUplink = name !== undefined && uplink === undefined
    this.#retryIfFailed()
    if (!isDeepStrictEqual(this.#followUplink(links), this.#uplink)) this.#load.request()
  }

  /** What failed is always looked at again: another namespace gives no notice of its changes. */
  #hasFailed(): boolean {
    return this.desired.endpoints.some(({ state }) => state === 'failed')
  }

  #retryIfFailed(): void {
    clearTimeout(this.#retryInterfaces)
    if (!this.#hasFailed()) return
    this.#retryInterfaces = setTimeout(() => this.#desire.request(), RETRY_INTERFACES_MS)
    this.#retryInterfaces.unref()
  }

  /** Waits for the first complete listing: until then the pinned maps hold what an earlier agent wrote. */
  async #reconcilePolicy(): Promise<void> {
    if (!this.#mayWrite()) return
    const unsettled = this.#unsettled
    const retired = this.#retired.keys
    const { error } = await this.#tell(this.#inputs.changes())
    if (error !== undefined) throw Object.assign(new AgentError('CAPACITY', error.message), { code: error.code ?? 'CAPACITY' })
    this.#parts.store.transaction(() => {
      this.sources.settle(unsettled)
      if (this.#enforced) this.#parts.store.freeNumbers(this.#retired.take(retired))
      else this.#freeForgottenNumbers()
    })
    this.#unsettled = this.#unsettled.filter((text) => !unsettled.includes(text))
    this.#enforced = true
  }

  #mayWrite(): boolean {
    return this.isDesired && this.#start !== undefined && this.#complete
  }

  /** A refusal leaves the engine as it was, but for the first listing: its inputs gather before they are committed. */
  async #tell(changes: readonly InputChange[]): Promise<ApplyReport> {
    this.#parts.store.commit()
    try {
      const report = await this.#parts.kernel.applyPolicy({ changes, finishRestore: !this.#restoreFinished })
      if (report.accepted) {
        this.#inputs.accepted()
        this.#restoreFinished = true
      }
      return report
    } catch (error) {
      if (!this.#restoreFinished) this.#inputs.doubted()
      throw error
    }
  }

  /** Of what went while no agent ran here. */
  #freeForgottenNumbers(): void {
    const { identity, endpoint } = this.desired.numbersInUse
    this.#parts.store.keepNumbers('identity', identity)
    this.#parts.store.keepNumbers('endpoint', endpoint)
    this.#parts.store.keepNumbers('rule', this.sources.rules)
  }

  #servicesDue(): boolean {
    const { frontends, prefilter } = this.#programmedServices ?? {}
    return this.desired.frontends !== frontends || this.desired.prefilter !== prefilter || this.#services.state.error !== undefined
  }

  async #reconcileServices(): Promise<void> {
    if (!this.#mayWrite()) return
    const { frontends, prefilter } = this.desired
    this.#parts.store.commit()
    const shares = await this.#parts.kernel.reconcileServices({ frontends: frontends.map(({ spec }) => spec), prefilter: prefilter.ranges })
    this.#programmedServices = { frontends, prefilter, shares }
    this.#releaseServiceNumbers([...frontends, ...this.desired.frontends])
  }

  /** `used`: what is programmed and what may have become desired meanwhile. No slot leads to the others any more. */
  #releaseServiceNumbers(used: readonly BalancedFrontend[]): void {
    const { store } = this.#parts
    const backends = used.flatMap(({ frontend }) => frontend.backends.map((backend) => backendKey(backend, frontend.protocol)))
    store.keepNumbers('backend', new Set(backends))
    store.keepNumbers('service', new Set(used.map(({ service }) => serviceKey(service))))
  }

  /** They are looked at now and then anyway, since somebody may have detached them. */
  #programsDue(): boolean {
    return this.#attachments !== this.#attached || (this.#programReport?.failures ?? []).length > 0 || this.#programs.state.error !== undefined
  }

  async #reconcilePrograms(): Promise<void> {
    if (!this.isDesired || this.#start === undefined) return
    const wanted = this.#attachments
    const report = await this.#parts.kernel.reconcilePrograms({ wanted, complete: this.#complete })
    this.#programReport = report
    this.#attached = wanted
    const failing = new Set(report.failures.map(({ attachment }) => attachment.ifindex))
    this.#guarded = new Set(wanted.map(({ ifindex }) => ifindex).filter((ifindex) => !failing.has(ifindex)))
    const first = report.failures.find(({ code }) => code !== NOT_LOADED) // The datapath's reconciler sees to the others.
    if (first !== undefined) throw new AgentError('UNAVAILABLE', `${missingProgram(first).what}: ${first.message}`)
  }
}
