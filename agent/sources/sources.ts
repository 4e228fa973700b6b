// All sources of manifests as one: what they say becomes changes of the cluster, which wait here until somebody takes
// them. Numbers of rules come from the store.
import { isDeepStrictEqual } from 'node:util'
import type { PortMatch } from '../../engine/index.ts'
import { type Cluster, type ClusterChange, Compiler, type Workload, rulesOf } from '../../manifests/index.ts'
import type { ApiErrorDetail } from '../api/types.ts'
import { backendsOnNode } from '../balance.ts'
import type { Retired } from '../retired.ts'
import type { Store } from '../store.ts'
import { type AppliedChange, isApplied, originChanges, originName } from './applied.ts'
import type { FileContent, FolderListing } from './folder.ts'
import { type EffectiveText, Manifests, type OriginChange, type Problem } from './manifests.ts'

export interface SourceOptions {
  readonly workloadRanges: readonly string[]
  /** Ports of this node that stay open whatever host policies say. */
  readonly hostAllow: readonly PortMatch[]
  readonly clusterName: string
}

/** What is new since the last time, and the texts that say so. */
export interface News {
  readonly changes: readonly ClusterChange[]
  readonly texts: readonly EffectiveText[]
  /** Every folder has listed once. */
  readonly complete: boolean
}

export class Sources {
  readonly #store: Store
  readonly #retired: Retired
  readonly #manifests: Manifests
  readonly #compiler: Compiler
  #files: ReadonlyMap<string, FileContent> = new Map()
  #unreadableFolders: ReadonlyMap<string, string> = new Map()
  #complete = false
  #changes: ClusterChange[] = []
  #cluster: Cluster | undefined
  readonly #local = new Set<Workload>()

  constructor({ workloadRanges, hostAllow, clusterName }: SourceOptions, store: Store, retired: Retired) {
    this.#store = store
    this.#retired = retired
    const applied = store.appliedManifests().map((manifest) => [originName(manifest), manifest.text] as const)
    this.#manifests = new Manifests(new Map([...store.lastGood(), ...applied]), (document) => backendsOnNode(document, workloadRanges))
    this.#compiler = new Compiler((reference) => store.number('rule', reference), hostAllow, clusterName)
  }

  /** Takes in what was applied through the API before. */
  async start(): Promise<void> {
    await this.#warmAndChange(this.#store.appliedManifests().map((manifest) => ({ name: originName(manifest), content: { text: manifest.text } })))
  }

  get unreadableFolders(): ReadonlyMap<string, string> {
    return this.#unreadableFolders
  }

  get problems(): readonly Problem[] {
    return this.#manifests.problems
  }

  /** Text of an origin as it is now. */
  textOf(name: string): string | undefined {
    const content = this.#manifests.contentOf(name)
    return content !== undefined && 'text' in content ? content.text : undefined
  }

  get effectiveCount(): number {
    return this.#manifests.effectiveCount
  }

  /** All that holds now, taken or not. */
  get cluster(): Cluster {
    return (this.#cluster ??= this.#compiler.cluster)
  }

  /** Keys of the number space `rule` that are in use. */
  get rules(): ReadonlySet<string> {
    return new Set([...this.cluster.policies.values()].flatMap(rulesOf))
  }

  /** Workloads with an interface on this node. */
  get localWorkloads(): readonly Workload[] {
    return [...this.#local]
  }

  /** Files of a folder that cannot be listed now stay what they were. */
  async foldersListed({ files, unreadable }: FolderListing): Promise<void> {
    const kept = [...this.#files].filter(([file]) => [...unreadable.keys()].some((folder) => file.startsWith(`${folder}/`)))
    const wanted = new Map([...kept, ...files])
    const changes = changesBetween(this.#files, wanted)
    this.#files = wanted
    this.#unreadableFolders = unreadable
    await this.#warmAndChange(changes)
    if (unreadable.size > 0 || this.#complete) return
    this.#complete = true
    this.#forgetFilesThatAreGone()
  }

  /** What changed of applied manifests: all of it, or nothing where any of it is refused. Returns why. */
  changeApplied(change: AppliedChange): readonly ApiErrorDetail[] {
    const changes = originChanges(change)
    const inverse = this.#manifests.inverse(changes)
    this.#change(changes)
    const names = new Set(changes.map(({ name }) => name))
    const refused = this.#manifests.problems.filter(({ name }) => names.has(name)).flatMap(({ details }) => details)
    if (refused.length > 0) this.#change(inverse)
    else this.#store.changeApplied(change)
    return refused
  }

  /**
   * Back to what was applied before a change that was taken in: it survives before the user is told. What contradicts
   * it since is a problem of it like any other, since nobody is there to refuse it to.
   */
  takeBack(inverse: AppliedChange): void {
    this.#change(originChanges(inverse))
    this.#store.changeApplied(inverse)
    this.#store.commit()
  }

  take(): News {
    const changes = this.#changes
    this.#changes = []
    return { changes, texts: this.#manifests.takeUnsettled(), complete: this.#complete }
  }

  /** The datapath holds what these texts say. */
  settle(texts: readonly EffectiveText[]): void {
    const news = this.#manifests.settle(texts)
    this.#store.changeLastGood(news.filter(({ name }) => !isApplied(name)).map(({ name, text }) => ({ file: name, text })))
  }

  async #warmAndChange(changes: readonly OriginChange[]): Promise<void> {
    await this.#manifests.warm(changes)
    this.#change(changes)
  }

  #change(changes: readonly OriginChange[]): void {
    if (changes.length === 0) return
    const documents = this.#manifests.change(changes)
    const change = this.#store.transaction(() => this.#compiler.change(documents))
    for (const workload of change.workloads.removed) this.#local.delete(workload)
    for (const workload of change.workloads.added) if (workload.interface !== undefined) this.#local.add(workload)
    for (const rule of change.policies.added.flatMap(rulesOf)) this.#retired.revive('rule', rule)
    this.#cluster = undefined
    this.#changes.push(change)
  }

  /** While no agent ran here. */
  #forgetFilesThatAreGone(): void {
    const gone = [...this.#store.lastGood().keys()].filter((file) => !this.#files.has(file))
    this.#change(gone.map((name) => ({ name, content: undefined })))
  }
}

function changesBetween(before: ReadonlyMap<string, FileContent>, after: ReadonlyMap<string, FileContent>): readonly OriginChange[] {
  const gone = [...before.keys()].filter((name) => !after.has(name))
  const news = [...after].filter(([name, content]) => !isDeepStrictEqual(before.get(name), content))
  return [...gone.map((name) => ({ name, content: undefined })), ...news.map(([name, content]) => ({ name, content }))]
}
