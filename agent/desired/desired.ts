// Desired state: what manifests and interfaces mean for this node. It changes by what becomes of them, and its tables
// tell their readers what changed. Nothing but the store, which gives numbers, is asked.
import { isDeepStrictEqual } from 'node:util'
import { Identity as ReservedIdentity } from '../../bpf/index.ts'
import { type EndpointEntry, formatPrefix, parseAddress } from '../../engine/index.ts'
import { type BalancedService, type Changes, type ClusterChange, type CompiledPolicy, type DenyAnswer, rulesOf, isHostPolicy, type Node, type Workload } from '../../manifests/index.ts'
import { hostPrefix, prefixOf } from '../address.ts'
import { type BalancedFrontend, balancedFrontends, serviceKey } from '../balance.ts'
import { type LocalEndpoint, nameOf } from '../endpoints.ts'
import type { Interface } from '../interfaces.ts'
import type { HostPolicyMode } from '../options.ts'
import { TrackedMap } from '../tracked-map.ts'
import { Addresses, type AddressFact } from './addresses.ts'
import { endpointEntry, hostEntry } from './endpoint-entries.ts'
import { Identities, type Numbers } from './identities.ts'
import { Prefilters, type WholePrefilter } from './prefilter.ts'
import { HOST_LABELS, REMOTE_NODE_LABELS } from './reserved.ts'
import type { Retired } from '../retired.ts'

export interface DesiredOptions {
  readonly workloadRanges: readonly string[]
  /** Of workloads that do not say themselves. */
  readonly denyAnswer: DenyAnswer
  readonly hostPolicy: HostPolicyMode
}

export class Desired {
  readonly #options: DesiredOptions
  readonly #numbers: Numbers
  readonly #retired: Retired
  readonly #identities: Identities
  readonly #addresses = new Addresses()
  readonly policies = new TrackedMap<CompiledPolicy>()
  /** By interface. */
  readonly endpointEntries = new TrackedMap<EndpointEntry>()
  readonly #hostPolicies = new Set<CompiledPolicy>()
  /** Not enforced as they are written. */
  readonly #degraded = new Set<CompiledPolicy>()
  readonly #nodes = new Set<Node>()
  /** Labels that the nodes have use of. */
  #nodeLabels: readonly (readonly string[])[] = []
  readonly #frontends = new Map<string, { readonly service: BalancedService; readonly frontends: readonly BalancedFrontend[] }>()
  readonly #prefilters = new Prefilters()
  /** Services that there are no numbers left for. */
  readonly #unnumbered = new Map<string, { readonly service: BalancedService; readonly error: unknown }>()
  #allFrontends: readonly BalancedFrontend[] | undefined
  #links: readonly Interface[] = []
  #endpoints: readonly LocalEndpoint[] = []

  constructor(options: DesiredOptions, numbers: Numbers, retired: Retired) {
    this.#options = options
    this.#numbers = numbers
    this.#retired = retired
    this.#identities = new Identities(numbers, retired)
    this.#addresses.replace('range', options.workloadRanges.map(rangeFact))
  }

  get identities(): Identities {
    return this.#identities
  }

  get addresses(): TrackedMap<AddressFact> {
    return this.#addresses.table
  }

  /** What the engine is to know. */
  get tables() {
    return { identities: this.#identities.table, policies: this.policies, addresses: this.addresses, endpoints: this.endpointEntries }
  }

  /** Keys of the numbers that are in use, by space. */
  get numbersInUse(): Readonly<Record<'identity' | 'endpoint', ReadonlySet<string>>> {
    return { identity: this.#identities.keys, endpoint: new Set(this.#endpoints.map(({ workload }) => nameOf(workload))) }
  }

  get links(): readonly Interface[] {
    return this.#links
  }

  get endpoints(): readonly LocalEndpoint[] {
    return this.#endpoints
  }

  get hasHostPolicies(): boolean {
    return this.#hostPolicies.size > 0
  }

  get degradedPolicies(): Iterable<CompiledPolicy> {
    return this.#degraded
  }

  /** The same array until one of them changes. */
  get frontends(): readonly BalancedFrontend[] {
    return (this.#allFrontends ??= [...this.#frontends.values()].flatMap(({ frontends }) => frontends))
  }

  /** The same object until it changes. */
  get prefilter(): WholePrefilter {
    return this.#prefilters.whole
  }

  /** Why there are no numbers left for some services, by their keys. */
  get unnumbered(): ReadonlyMap<string, unknown> {
    return new Map([...this.#unnumbered].map(([key, { error }]) => [key, error]))
  }

  /** Tries once more what there were no numbers left for; throws the first of what there still are none for. */
  checkNumbers(): void {
    for (const [key, { service }] of [...this.#unnumbered]) {
      this.#allFrontends = undefined
      this.#balance(key, service)
    }
    for (const { error } of this.#unnumbered.values()) throw error
  }

  /** Workloads with an interface of this node count once their endpoints are set. */
  change({ nodes, workloads, services, prefilters, policies }: ClusterChange): void {
    this.#changePolicies(policies)
    this.#changeServices(services)
    this.#prefilters.change(prefilters)
    for (const workload of workloads.removed) if (!isLocal(workload)) this.#forget(workload)
    for (const workload of workloads.added) if (!isLocal(workload)) this.#learn(workload)
    if (nodes.removed.length + nodes.added.length > 0) this.#changeNodes(nodes)
  }

  /** All interfaces of the node, and the endpoints of all its workloads. */
  setLocal(links: readonly Interface[], endpoints: readonly LocalEndpoint[]): void {
    const before = this.#endpoints
    this.#endpoints = endpoints
    for (const { workload } of before) this.#retired.retire('endpoint', nameOf(workload))
    for (const { workload } of endpoints) this.#retired.revive('endpoint', nameOf(workload))
    const facts = endpoints.flatMap((endpoint) => {
      const identity = this.#use(endpoint.workload) // Also of what is not ready: it is shown with its identity.
      return isReady(endpoint) ? endpoint.workload.addresses.map((address) => workloadFact(address, identity, endpoint.workload, endpoint)) : []
    })
    for (const { workload } of before) this.#release(workload)
    this.#addresses.replace('local workload', facts)
    const linksChanged = links !== this.#links
    this.#links = links
    if (linksChanged) this.#settleNodes()
    this.#settleEndpoints()
  }

  #changePolicies({ removed, added }: Changes<CompiledPolicy>): void {
    const { hasHostPolicies } = this
    for (const policy of removed) {
      this.policies.delete(policy.key)
      for (const rule of rulesOf(policy)) this.#retired.retire('rule', rule)
      this.#hostPolicies.delete(policy)
      this.#degraded.delete(policy)
    }
    for (const policy of added) {
      this.policies.set(policy.key, policy)
      for (const rule of rulesOf(policy)) this.#retired.revive('rule', rule)
      if (isHostPolicy(policy)) this.#hostPolicies.add(policy)
      if (policy.warnings.length > 0) this.#degraded.add(policy)
    }
    if (hasHostPolicies !== this.hasHostPolicies) this.#settleEndpoints()
  }

  #changeServices({ removed, added }: Changes<BalancedService>): void {
    const wanted = new Map(added.map((service) => [serviceKey(service), service]))
    const gone = removed.map(serviceKey).filter((key) => !wanted.has(key))
    const news = [...wanted].filter(([key, service]) => !isDeepStrictEqual(this.#frontends.get(key)?.service, service))
    if (gone.length + news.length > 0) this.#allFrontends = undefined
    for (const key of gone) this.#frontends.delete(key)
    for (const key of [...gone, ...wanted.keys()]) this.#unnumbered.delete(key) // What they were to become is not wanted any more.
    for (const [key, service] of news) this.#balance(key, service)
  }

  /** Without numbers for all of its backends a service stays what it was. */
  #balance(key: string, service: BalancedService): void {
    this.#unnumbered.delete(key)
    try {
      this.#frontends.set(key, { service, frontends: balancedFrontends(service, this.#numbers) })
    } catch (error) {
      this.#unnumbered.set(key, { service, error })
    }
  }

  #changeNodes({ removed, added }: Changes<Node>): void {
    for (const node of removed) this.#nodes.delete(node)
    for (const node of added) this.#nodes.add(node)
    this.#settleNodes()
  }

  /** The node that has an address of this node is this node. */
  #settleNodes(): void {
    const own = new Set(hostAddresses(this.#links))
    const before = this.#nodeLabels
    const isSelf = ({ addresses }: Node): boolean => addresses.some((address) => own.has(address))
    const others = [...this.#nodes].filter((node) => !isSelf(node))
    const self = [...this.#nodes].find(isSelf)
    this.#identities.setReserved(ReservedIdentity.HOST, [...HOST_LABELS, ...(self?.labels ?? [])])
    this.#nodeLabels = others.map(({ labels }) => [...REMOTE_NODE_LABELS, ...labels])
    const numbers = this.#nodeLabels.map((labels) => this.#identities.use(labels))
    for (const labels of before) this.#identities.release(labels)
    this.#addresses.replace('host', [...own].map(hostFact))
    this.#addresses.replace('node', others.flatMap(({ addresses }, index) => addresses.map((address) => nodeFact(address, numbers[index] ?? 0))))
  }

  #learn(workload: Workload): void {
    const identity = this.#use(workload)
    for (const address of workload.addresses) this.#addresses.set('workload', workloadFact(address, identity, workload, undefined))
  }

  #forget(workload: Workload): void {
    this.#release(workload)
    for (const address of workload.addresses) this.#addresses.delete('workload', hostPrefix(address))
  }

  #use(workload: Workload): number {
    return workload.init ? ReservedIdentity.INIT : this.#identities.use(workload.labels)
  }

  #release({ init, labels }: Workload): void {
    if (!init) this.#identities.release(labels)
  }

  #settleEndpoints(): void {
    const { denyAnswer, hostPolicy } = this.#options
    const entries = this.#endpoints.filter(isReady).map((endpoint) => {
      const { workload } = endpoint
      const numbers = { id: endpointId(workload, this.#numbers), identity: this.#identities.ofWorkload(workload) }
      return endpointEntry(endpoint, { ...numbers, denyAnswer })
    })
    const wanted = this.hasHostPolicies ? [...entries, hostEntry(hostPolicy, denyAnswer)] : entries
    const gone = new Set([...this.endpointEntries.values()].map(({ ifindex }) => ifindex))
    for (const entry of wanted) {
      gone.delete(entry.ifindex)
      this.endpointEntries.set(String(entry.ifindex), entry)
    }
    for (const ifindex of gone) this.endpointEntries.delete(String(ifindex))
  }
}

export function endpointId(workload: Workload, numbers: Numbers): number {
  return numbers.number('endpoint', nameOf(workload))
}

/** Whether it has an interface on this node. */
export const isLocal = ({ interface: device }: Workload): boolean => device !== undefined

/**
 * A local workload whose interface is not usable has no addresses either: its packets are dropped as unknown ones of
 * the node's range instead of leaving towards the world.
 */
const isReady = ({ state }: LocalEndpoint): boolean => state === 'ready'

/** Addresses of the node itself. */
function hostAddresses(links: readonly Interface[]): readonly string[] {
  const addresses = links.flatMap((link) => link.addresses)
  return [...new Set(addresses)].filter((address) => parseAddress(address) !== undefined)
}

const NOWHERE = { ifindex: 0, namedPorts: [] } as const

/** An address of the range that nobody has is dropped, not sent to the world. */
function rangeFact(range: string): AddressFact {
  return { prefix: formatPrefix(prefixOf(range)), identity: ReservedIdentity.UNMANAGED, flags: ['local-range'], ...NOWHERE }
}

function hostFact(address: string): AddressFact {
  return { prefix: hostPrefix(address), identity: ReservedIdentity.HOST, flags: ['host'], ...NOWHERE }
}

function nodeFact(address: string, identity: number): AddressFact {
  return { prefix: hostPrefix(address), identity, flags: [], ...NOWHERE }
}

function workloadFact(address: string, identity: number, workload: Workload, endpoint: LocalEndpoint | undefined): AddressFact {
  const link = endpoint?.link
  return {
    prefix: hostPrefix(address),
    identity,
    workload: nameOf(workload),
    ...(link !== undefined && { interface: link.name }),
    flags: ['workload'],
    ifindex: link?.ifindex ?? 0,
    namedPorts: workload.ports,
  }
}
