// From sources to the datapath: what is desired now, and the reconcilers that make it so.
import { setImmediate } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { type Cluster, formatRule } from '../manifests/index.ts'
import type { ApiErrorDetail, Degradation } from './api/types.ts'
import { type BalancedFrontend, backendKey, backendsOnNode, balancedFrontends, encapsulationSources, serviceKey } from './balance.ts'
import { desiredInputs, identityKeys } from './desired.ts'
import { type LocalEndpoint, matchEndpoints, nameOf } from './endpoints.ts'
import { AgentError } from './errors.ts'
import type { Interface, InterfacePort } from './interfaces.ts'
import type { Kernel, KernelOptions, KernelStart } from './kernel.ts'
import type { Logger } from './log.ts'
import type { RunOptions } from './options.ts'
import { type InputChange, InputSet } from './reconcilers/inputs.ts'
import type { ApplyReport } from './reconcilers/policy.ts'
import { type Attachment, type AttachmentFailure, NOT_LOADED, type ProgramReport } from './reconcilers/programs.ts'
import { Reconciler } from './reconcilers/reconciler.ts'
import type { ServiceReport } from './reconcilers/services.ts'
import { groupRefusals } from './refusals.ts'
import { isApplied, originOf } from './sources/applied.ts'
import type { FileContent, FolderListing } from './sources/folder.ts'
import { ManifestParser, type Origin, type Resolution, resolve } from './sources/manifests.ts'
import type { AppliedManifest, NumberSpace, Store } from './store.ts'

export interface ConvergenceParts {
  readonly options: Omit<KernelOptions, 'encapsulationSources'> & Pick<RunOptions, 'uplink' | 'workloadRanges' | 'denyAnswer' | 'hostPolicy' | 'hostAllow'>
  readonly store: Store
  readonly kernel: Kernel
  readonly interfaces: InterfacePort
  readonly log: Logger
  /** Called after every run of a reconciler: what tables and status show may have changed. */
  readonly onChange: () => void
}

/** What is wanted at one moment, computed as a whole. */
export interface Desired {
  readonly resolution: Resolution
  readonly endpoints: readonly LocalEndpoint[]
  readonly links: readonly Interface[]
  readonly inputs: InputSet
  readonly frontends: readonly BalancedFrontend[]
  readonly attachments: readonly Attachment[]
  /** The uplink of the options does not exist. */
  readonly missingUplink: boolean
}

/** What a desired state is computed from. */
interface Facts {
  readonly origins: readonly Origin[]
  readonly links: readonly Interface[]
  /** Every folder has listed: only then is anything written. */
  readonly complete: boolean
}

/** What the datapath holds: `shares` in the order of `frontends`. */
export interface ProgrammedServices {
  readonly frontends: readonly BalancedFrontend[]
  readonly shares: ServiceReport
}

const RETRY_INTERFACES_MS = 1_000

export class Convergence {
  readonly #parts: ConvergenceParts
  readonly #parser = new ManifestParser()
  readonly #load: Reconciler
  readonly #desire: Reconciler
  readonly #policy: Reconciler
  readonly #services: Reconciler
  readonly #programs: Reconciler
  #files: ReadonlyMap<string, FileContent> = new Map()
  #unreadableFolders: ReadonlyMap<string, string> = new Map()
  #foldersListed = false
  #desired: Desired | undefined
  /** The latest, from which the next desired state is being computed or was: its rules have their numbers. */
  #resolution: Resolution | undefined
  #facts: Facts | undefined
  #start: KernelStart | undefined
  /** Of the balancer that is loaded. */
  #encapsulationSources: readonly string[] = []
  #told = new InputSet()
  #restoreFinished = false
  #enforced = false
  #programmedServices: ProgrammedServices | undefined
  #retryInterfaces: NodeJS.Timeout | undefined
  #programReport: ProgramReport | undefined
  #guarded: ReadonlySet<number> = new Set()

  constructor(parts: ConvergenceParts) {
    this.#parts = parts
    const reconciler = (name: string, reconcile: () => Promise<void>, everyMs?: number): Reconciler => {
      const observed = (): Promise<void> => reconcile().finally(parts.onChange)
      return new Reconciler({ name, log: parts.log, reconcile: observed, ...(everyMs !== undefined && { everyMs }) })
    }
    this.#load = reconciler('datapath', () => this.#loadDatapath())
    this.#desire = reconciler('sources', () => this.#computeDesired(), 10_000)
    this.#policy = reconciler('policy', () => this.#reconcilePolicy())
    this.#services = reconciler('services', () => this.#reconcileServices())
    this.#programs = reconciler('programs', () => this.#reconcilePrograms(), 10_000)
  }

  get desired(): Desired | undefined {
    return this.#desired
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

  /** Numbers of the interfaces that have all of their programs. */
  get guardedInterfaces(): ReadonlySet<number> {
    return this.#guarded
  }

  get unreadableFolders(): ReadonlyMap<string, string> {
    return this.#unreadableFolders
  }

  /** Whether policy of the first complete listing is in the datapath. */
  get enforced(): boolean {
    return this.#enforced
  }

  get reconcilers(): readonly Reconciler[] {
    return [this.#load, this.#desire, this.#policy, this.#services, this.#programs]
  }

  /** Loads programs and maps; the rest follows from it and from the sources' listings. */
  start(): void {
    this.#load.request()
  }

  async stop(): Promise<void> {
    clearTimeout(this.#retryInterfaces)
    await Promise.all(this.reconcilers.map((reconciler) => reconciler.stop()))
  }

  /** Files of a folder that cannot be listed now stay what they were. */
  async foldersListed({ files, unreadable }: FolderListing): Promise<void> {
    const kept = [...this.#files].filter(([file]) => [...unreadable.keys()].some((folder) => file.startsWith(`${folder}/`)))
    this.#files = new Map([...kept, ...files])
    this.#unreadableFolders = unreadable
    if (unreadable.size === 0) this.#foldersListed = true
    this.#desire.request()
  }

  interfacesChanged(): void {
    this.#desire.request()
  }

  /** What would be refused of `applied`, before it is stored. */
  async check(applied: readonly AppliedManifest[]): Promise<readonly ApiErrorDetail[]> {
    const stored = new Map(this.#parts.store.appliedManifests().map((manifest) => [JSON.stringify(manifest), manifest]))
    const origins = applied.map((manifest) => originOf(manifest, stored.has(JSON.stringify(manifest)) ? manifest.text : undefined))
    await this.#parser.warm(origins)
    const { problems } = this.#resolve([...this.#fileOrigins(), ...origins])
    await setImmediate()
    return problems.filter(({ name }) => isApplied(name)).flatMap(({ details }) => details)
  }

  /**
   * Resolves when the datapath holds what the sources say now, with what it lacks all the same: an interface that cannot
   * be attached to must not keep the others from new policy. Rejects with what keeps it from that.
   */
  async converge(): Promise<readonly Degradation[]> {
    if (this.#start === undefined) throw new AgentError('UNAVAILABLE', 'the datapath is not loaded yet; see sluice status')
    await this.#desire.trigger()
    if (!this.#foldersListed) {
      const folders = [...this.#unreadableFolders.keys()].join(', ')
      throw new AgentError('UNAVAILABLE', `the first complete listing of manifests is still missing: ${folders}`)
    }
    const programs = this.#programs.trigger().catch(() => undefined)
    await Promise.all([programs, this.#policy.trigger(), this.#services.trigger()])
    return (this.#programReport?.failures ?? []).map(missingProgram)
  }

  /** Runs again, with back-off, while the kernel refuses an object, and when the uplink has other addresses. */
  async #loadDatapath(): Promise<void> {
    const { kernel, options, log, interfaces } = this.#parts
    const sources = encapsulationSources(uplinkOf(await interfaces.list(), options.uplink))
    if (sources.length > 0) this.#encapsulationSources = sources // An uplink that is being set up has none for a moment.
    const first = this.#start === undefined
    this.#start = await kernel.start({ ...options, encapsulationSources: this.#encapsulationSources })
    const { takenOver, maps, refused } = this.#start
    if (first) log.info('datapath loaded', { takenOver, maps: maps.length })
    this.#requestAll()
    if (refused.length === 0) return
    throw new AgentError('UNAVAILABLE', groupRefusals(refused).map(({ objects, message }) => `${objects.join(', ')}: ${message}`).join('; '))
  }

  #requestAll(): void {
    this.#programs.request()
    this.#policy.request()
    this.#services.request()
  }

  async #computeDesired(): Promise<void> {
    const { interfaces, options, store } = this.#parts
    const links = await interfaces.list()
    const origins = [...this.#fileOrigins(), ...this.#appliedOrigins()]
    const facts = { origins, links, complete: this.#foldersListed }
    if (this.#isCurrent(facts)) return
    await this.#parser.warm(origins)
    const resolution = store.transaction(() => this.#resolve(origins))
    this.#resolution = resolution
    this.#parser.sweep()
    await setImmediate() // Each of these steps takes milliseconds with thousands of workloads; others want their turn.
    const { cluster } = resolution
    const endpoints = await matchEndpoints(cluster.workloads, links, interfaces)
    const uplink = uplinkOf(links, options.uplink)
    this.#desired = store.transaction(() => ({
      resolution,
      endpoints,
      links,
      inputs: desiredInputs({ cluster, endpoints, links, ...options }, store),
      frontends: balancedFrontends(cluster, store),
      attachments: attachmentsOf(endpoints, uplink, options.xdpMode !== 'off'),
      missingUplink: options.uplink !== undefined && uplink === undefined,
    }))
    this.#facts = facts
    this.#retryIfFailed(endpoints)
    this.#requestAll()
    const sources = encapsulationSources(uplink)
    if (sources.length > 0 && !isDeepStrictEqual(sources, this.#encapsulationSources)) this.#load.request()
  }

  /** Whether the desired state was computed from the same facts; what failed is always looked at again. */
  #isCurrent(facts: Facts): boolean {
    const failed = this.#desired?.endpoints.some(({ state }) => state === 'failed') ?? false
    return !failed && isDeepStrictEqual(facts, this.#facts)
  }

  /** Another namespace gives no notice of its changes. */
  #retryIfFailed(endpoints: readonly LocalEndpoint[]): void {
    clearTimeout(this.#retryInterfaces)
    if (!endpoints.some(({ state }) => state === 'failed')) return
    this.#retryInterfaces = setTimeout(() => this.#desire.request(), RETRY_INTERFACES_MS)
    this.#retryInterfaces.unref()
  }

  #resolve(origins: readonly Origin[]): Resolution {
    const { store, options } = this.#parts
    const refuse = ({ loadBalancers }: Cluster) => loadBalancers.flatMap((service) => backendsOnNode(service, options.workloadRanges))
    return resolve(origins, this.#parser, { numberOf: (reference) => store.number('rule', reference), refuse, hostPorts: options.hostAllow })
  }

  #fileOrigins(): Origin[] {
    const lastGood = this.#parts.store.lastGood()
    return [...this.#files].map(([name, content]) => ({ name, content, lastGood: lastGood.get(name) }))
  }

  #appliedOrigins(): Origin[] {
    return this.#parts.store.appliedManifests().map((manifest) => originOf(manifest, manifest.text))
  }

  /** Waits for the first complete listing: until then the pinned maps hold what an earlier agent wrote. */
  async #reconcilePolicy(): Promise<void> {
    const desired = this.#desired
    if (desired === undefined || this.#start === undefined || !this.#foldersListed) return
    const changes = desired.inputs.changesSince(this.#told)
    const { error } = await this.#tell(changes, desired.inputs)
    if (error !== undefined) throw Object.assign(new AgentError('CAPACITY', error.message), { code: error.code ?? 'CAPACITY' })
    this.#enforced = true
    const { effective, cluster } = desired.resolution
    this.#parts.store.replaceLastGood(new Map([...effective].filter(([name]) => !isApplied(name))))
    if (changes.length > 0) this.#releaseNumbers(cluster)
  }

  /** A refusal leaves the engine as it was, but for the first listing: its inputs gather before they are committed. */
  async #tell(changes: readonly InputChange[], wanted: InputSet): Promise<ApplyReport> {
    try {
      const report = await this.#parts.kernel.applyPolicy({ changes, finishRestore: !this.#restoreFinished })
      if (report.accepted) {
        this.#told = wanted
        this.#restoreFinished = true
      }
      return report
    } catch (error) {
      if (!this.#restoreFinished) this.#told = InputSet.doubtful(this.#told, wanted)
      throw error
    }
  }

  /** The datapath holds none of the others any more, and no state that it is to be told next wants them. */
  #releaseNumbers(told: Cluster): void {
    const { store } = this.#parts
    const clusters = [told, ...[this.#desired?.resolution, this.#resolution].flatMap((each) => each?.cluster ?? [])]
    const keep = (space: NumberSpace, keysOf: (cluster: Cluster) => Iterable<string>): void =>
      store.keepNumbers(space, new Set(clusters.flatMap((cluster) => [...keysOf(cluster)])))
    keep('identity', identityKeys)
    keep('endpoint', ({ workloads }) => workloads.map(nameOf))
    keep('rule', ({ policies }) => [...policies.values()].flatMap(({ rules }) => [...rules.values()].map(formatRule)))
  }

  async #reconcileServices(): Promise<void> {
    const desired = this.#desired
    if (desired === undefined || this.#start === undefined || !this.#foldersListed) return
    const { frontends } = desired
    const shares = await this.#parts.kernel.reconcileServices(frontends.map(({ spec }) => spec))
    this.#programmedServices = { frontends, shares }
    this.#releaseServiceNumbers([...frontends, ...(this.#desired?.frontends ?? [])])
  }

  /** `used`: what is programmed and what may have become desired meanwhile. No slot leads to the others any more. */
  #releaseServiceNumbers(used: readonly BalancedFrontend[]): void {
    const { store } = this.#parts
    const backends = used.flatMap(({ frontend }) => frontend.backends.map((backend) => backendKey(backend, frontend.protocol)))
    store.keepNumbers('backend', new Set(backends))
    store.keepNumbers('service', new Set(used.map(({ service }) => serviceKey(service))))
  }

  async #reconcilePrograms(): Promise<void> {
    const desired = this.#desired
    if (desired === undefined || this.#start === undefined) return
    const wanted = desired.attachments
    const report = await this.#parts.kernel.reconcilePrograms({ wanted, complete: this.#foldersListed })
    this.#programReport = report
    const failing = new Set(report.failures.map(({ attachment }) => attachment.ifindex))
    this.#guarded = new Set(wanted.map(({ ifindex }) => ifindex).filter((ifindex) => !failing.has(ifindex)))
    const first = report.failures.find(({ code }) => code !== NOT_LOADED) // The datapath's reconciler sees to the others.
    if (first !== undefined) throw new AgentError('UNAVAILABLE', `${missingProgram(first).what}: ${first.message}`)
  }
}

/** What an answer or the status says of it. */
export function missingProgram({ attachment: { program, interface: device }, message }: AttachmentFailure): Degradation {
  return {
    what: `program ${program} is not attached to ${device}`,
    why: message,
    hint: 'it is tried again by itself; until then nothing is enforced on this interface by it',
  }
}

function uplinkOf(links: readonly Interface[], name: string | undefined): Interface | undefined {
  return links.find((link) => link.name === name)
}

function attachmentsOf(endpoints: readonly LocalEndpoint[], uplink: Interface | undefined, balances: boolean): Attachment[] {
  const attachments: Attachment[] = []
  const attach = (program: Attachment['program'], { ifindex, name }: Interface): void => {
    attachments.push({ program, ifindex, interface: name })
  }
  for (const { link } of endpoints) {
    if (link === undefined) continue
    attach('from_endpoint', link)
    attach('to_endpoint', link)
  }
  if (uplink === undefined) return attachments
  attach('from_world', uplink)
  attach('to_world', uplink)
  if (balances) attach('xdp_lb', uplink)
  return attachments
}

