// The cluster of the manifests inside an engine of its own: every Pod and Workload is an endpoint, and every node where
// policies select nodes; what is neither is the world. Answers are those that the agent would program.
import { EndpointFlags, Identity, PeerFlags } from '../bpf/index.ts'
import { DEFAULT_CAPACITIES, Engine, RESERVED_IDENTITIES, familyOf, formatAddress, parseAddress } from '../engine/index.ts'
import type { Capacities, Decision, Direction, Label, SideVerdict, Verdict, VerdictQuery } from '../engine/index.ts'
import { addressesFor, formatRule, isHostPolicy } from '../manifests/index.ts'
import type { Cluster, Node, Probe, RuleReference, Workload } from '../manifests/index.ts'
import { comparedEntries, type ComparedEntry } from './entries.ts'
import { HOST, nameOf, type End, type Point, type StandIn } from './ends.ts'
import { placeholders } from './placeholders.ts'
import { PolicyMaps, type SideDecision } from './policy-maps.ts'
import { everywhere, type Segments } from './segments.ts'
import type { Facts } from './trace.ts'

export interface Side {
  readonly decision: Decision
  /** 0: no rule. */
  readonly rule: number
  readonly reference?: RuleReference
  /** One sentence. */
  readonly reason: string
  /** Number that the engine gave the peer's class; 0 where the engine was not asked. */
  readonly peerClass: number
  /** Of `explain` alone: the rows that were compared, the deciding one first. */
  readonly entries?: readonly ComparedEntry[]
}

export interface Outcome {
  readonly decision: Decision
  /** What the policies were asked about. */
  readonly from: string
  readonly to: string
  readonly egress: Side
  readonly ingress: Side
}

/** What is neither a workload nor a node of the manifests; the engine's address table has it from the start. */
const WORLD = { IPv4: Identity.WORLD_IPV4, IPv6: Identity.WORLD_IPV6 } as const

const NO_MAC = new Uint8Array(6)

/** What is no workload has no policy of its own. */
const NO_POLICY: Segments<SideDecision> = everywhere({ decision: 'allowed', rule: 0 })

/** What becomes of what policies of nodes deny: `sluiced --host-policy`. */
export type HostPolicyMode = 'audit' | 'enforce'

export class Simulation {
  readonly cluster: Cluster
  readonly #engine: Engine
  readonly #hostPolicy: HostPolicyMode
  readonly #rules: ReadonlyMap<number, RuleReference>
  readonly #identities = new Map<string, number>()
  readonly #placeholders: ReadonlyMap<Workload | StandIn, string>
  readonly #audited = new Map<Segments<SideDecision>, Segments<SideDecision>>()
  readonly #subjects = new Map<string, number | undefined>()
  readonly #classes = new Map<string, number>()
  #maps: PolicyMaps | undefined

  private constructor(cluster: Cluster, engine: Engine, standIns: readonly StandIn[], hostPolicy: HostPolicyMode) {
    this.cluster = cluster
    this.#engine = engine
    this.#hostPolicy = hostPolicy
    this.#rules = new Map([...cluster.policies.values()].flatMap(({ rules }) => [...rules]))
    const waiting = cluster.workloads.filter(({ addresses }) => addresses.length === 0)
    const nowhere = standIns.filter(({ address }) => address === undefined)
    this.#placeholders = placeholders([...waiting, ...nowhere], new Set(cluster.workloads.flatMap(({ addresses }) => addresses)))
  }

  /** `standIns`: peers beside those of the manifests, each at an address of its own. */
  static async of(cluster: Cluster, more: readonly StandIn[] = [], hostPolicy: HostPolicyMode = 'audit'): Promise<Simulation> {
    const engine = await loadEngine(capacitiesFor(cluster))
    const standIns = more.includes(HOST) ? more : [...more, HOST]
    const simulation = new Simulation(cluster, engine, standIns, hostPolicy)
    engine.transaction(() => {
      simulation.#addWorkloads()
      simulation.#addStandIns(standIns)
      simulation.#addNodes()
      for (const { key, policies } of cluster.policies.values()) engine.setPolicy(key, policies)
    })
    return simulation
  }

  /** A workload always reaches itself; otherwise both ends' policies have to allow. */
  decide(from: End, to: End, probe: Probe): Outcome {
    return this.#decide(from, to, probe, (query) => this.#engine.verdict(query))
  }

  /** The same, with the rows that were compared. */
  explain(from: End, to: End, probe: Probe): Outcome {
    return this.#decide(from, to, probe, (query) => this.#engine.explain(query))
  }

  #decide(from: End, to: End, probe: Probe, ask: (query: VerdictQuery) => Verdict): Outcome {
    const [source, destination] = this.#addressPair(from, to, probe)
    if (from.workload !== undefined ? from.workload === to.workload : source === destination) return toItself(source, destination)
    const verdict = ask({ from: bytesOf(source), to: bytesOf(destination), ...probe })
    return {
      decision: verdict.decision,
      from: source,
      to: destination,
      egress: this.#side(verdict.egress, from, source, 'egress'),
      ingress: this.#side(verdict.ingress, to, destination, 'ingress'),
    }
  }

  /** The same for every protocol and port, decided by one side: `own`'s policy about `peer`. */
  segments(direction: Direction, own: Point, peer: Point): Segments<SideDecision> {
    const subject = this.subjectOf(own)
    if (subject === undefined) return NO_POLICY
    const segments = this.#policyMaps().segments(subject, this.classOf(peer), direction)
    return this.#audits(own) ? this.#auditedForm(segments) : segments
  }

  #audits({ workload }: Point): boolean {
    return workload === undefined ? this.#hostPolicy === 'audit' : workload.audit
  }

  /** Whether policies select it: workloads, and nodes where there are policies of nodes. */
  isSubject(end: End): boolean {
    return this.pointsOf(end).some((point) => this.subjectOf(point) !== undefined)
  }

  /** Number that the engine gave to all subjects with the same rules; undefined for what no policy selects. */
  subjectOf({ address }: Point): number | undefined {
    const known = this.#subjects.get(address)
    if (known !== undefined || this.#subjects.has(address)) return known
    const subject = this.#askSubject(address)
    this.#subjects.set(address, subject)
    return subject
  }

  #askSubject(address: string): number | undefined {
    return this.#engine.verdict({ from: bytesOf(address), to: bytesOf(address), protocol: 0, port: 0 }).egress?.subject
  }

  /** Number that the engine gave to all peers that no rule tells apart; 0 where no workload is there to ask. */
  classOf({ address }: Point): number {
    const peerClass = this.#classes.get(address) ?? this.#askClass(address)
    this.#classes.set(address, peerClass)
    return peerClass
  }

  #askClass(address: string): number {
    const [workload] = this.cluster.workloads
    const [from] = this.#addressesOf(workload === undefined ? { standIn: HOST } : { workload })
    if (from === undefined) return 0
    return this.#engine.verdict({ from: bytesOf(from), to: bytesOf(address), protocol: 0, port: 0 }).egress?.peerClass ?? 0
  }

  /** What a rule number stands for; undefined for 0. */
  reference(rule: number): RuleReference | undefined {
    return this.#rules.get(rule)
  }

  /** An end at each of its addresses. */
  pointsOf(end: End): readonly Point[] {
    return this.#addressesOf(end).map((address) => ({ ...end, address }))
  }

  /** What rules see of an end at one of its addresses. */
  facts({ workload, standIn }: End, address: string): Facts {
    if (workload !== undefined) return { address, labels: workload.labels, isWorkload: true, ports: workload.ports }
    if (standIn !== undefined) return { address, labels: standIn.labels, isWorkload: standIn.isWorkload, ports: [] }
    const node = this.#nodeAt(address)
    const labels = node ? remoteLabels(node) : (RESERVED_IDENTITIES.get(WORLD[familyOf(bytesOf(address))]) ?? [])
    return { address, labels, isWorkload: false, ports: [] }
  }

  /** The same, as policies that select the end see it: a node is the host there, and a remote node only to others. */
  subjectFacts(end: End, address: string): Facts {
    const node = end.workload === undefined ? this.#nodeAt(address) : undefined
    return node === undefined ? this.facts(end, address) : { address, labels: hostLabels(node), isWorkload: false, ports: [] }
  }

  #nodeAt(address: string): Node | undefined {
    return this.cluster.nodes.find(({ addresses }) => addresses.includes(address))
  }

  /** The number of an end's identity at one of its addresses. */
  identityOf(end: End, address: string): number {
    return this.#identities.get(this.facts(end, address).labels.join('\n')) ?? WORLD[familyOf(bytesOf(address))]
  }

  #side(verdict: SideVerdict | undefined, end: End, address: string, direction: 'ingress' | 'egress'): Side {
    if (verdict === undefined) {
      return { decision: 'allowed', rule: 0, peerClass: 0, reason: `${end.standIn === HOST ? HOST.entity : address} is no workload: it has no policy of its own` }
    }
    const { decision, rule, peerClass } = verdict
    const entries = verdict.compared && comparedEntries(verdict, (number) => textOf(this.#rules.get(number)))
    const decided = { decision, rule, peerClass, ...(entries && { entries }) }
    const name = end.workload ? nameOf(end.workload) : end.standIn === HOST ? HOST.entity : address
    const reference = this.#rules.get(rule)
    if (reference === undefined) {
      return { ...decided, reason: `no policy selects ${name} for ${direction}: everything is allowed` }
    }
    return { ...decided, reference, reason: `${reasonOf(reference, name)}: ${formatRule(reference)}` }
  }

  /** Addresses of one family if there are any, the destination's earliest first: as a client would choose. */
  #addressPair(from: End, to: End, probe: Probe): readonly [string, string] {
    const sources = this.#addressesFor(probe, from)
    const destinations = this.#addressesFor(probe, to)
    for (const destination of destinations) {
      const source = sources.find((address) => familyOf(bytesOf(address)) === familyOf(bytesOf(destination)))
      if (source !== undefined) return [source, destination]
    }
    return [sources[0] ?? '::', destinations[0] ?? '::']
  }

  /** Those that a packet of the probe can have, if the end has any such. */
  #addressesFor(probe: Probe, end: End): readonly string[] {
    const all = this.#addressesOf(end)
    const possible = addressesFor(probe, all)
    return possible.length > 0 ? possible : all
  }

  #addressesOf({ address, workload, standIn }: End): readonly string[] {
    if (address !== undefined) return [address]
    if (standIn?.address !== undefined) return [standIn.address]
    const holder = workload ?? standIn
    const placeholder = holder && this.#placeholders.get(holder)
    return placeholder === undefined ? (workload?.addresses ?? []) : [placeholder]
  }

  #policyMaps(): PolicyMaps {
    this.#maps ??= new PolicyMaps(this.#engine.takeChanges())
    return this.#maps
  }

  /** In audit mode what would be dropped passes. */
  #auditedForm(segments: Segments<SideDecision>): Segments<SideDecision> {
    const known = this.#audited.get(segments)
    if (known !== undefined) return known
    const audited = segments.map(({ value, ...range }) => ({
      ...range,
      value: value.decision === 'denied' ? { ...value, decision: 'audited' as const } : value,
    }))
    this.#audited.set(segments, audited)
    return audited
  }

  #addWorkloads(): void {
    this.cluster.workloads.forEach((workload, index) => {
      this.#addWorkload(workload, this.#identity(workload.labels), index + 1)
    })
  }

  #identity(labels: readonly Label[]): number {
    const key = labels.join('\n')
    const identity = this.#identities.get(key) ?? Identity.FIRST_USER + this.#identities.size
    if (!this.#identities.has(key)) this.#engine.setIdentity(identity, labels)
    this.#identities.set(key, identity)
    return identity
  }

  /** Which of them the policies will run on is not told: others see each as another one, and its own policies as theirs. */
  #addNodes(): void {
    const first = this.cluster.workloads.length + HOSTS
    this.cluster.nodes.forEach((node, index) => {
      const ifindex = this.#addHost(first + index + 1, hostLabels(node))
      const identity = this.#identity(remoteLabels(node))
      for (const address of node.addresses) {
        this.#engine.setAddress({ address: bytesOf(address), prefixLength: 128, identity, flags: 0, ifindex, namedPorts: [] })
      }
    })
  }

  #addStandIns(standIns: readonly StandIn[]): void {
    for (const standIn of standIns) {
      const address = bytesOf(standIn.address ?? this.#placeholders.get(standIn) ?? '')
      const flags = standIn.isWorkload ? PeerFlags.WORKLOAD : 0
      const ifindex = standIn === HOST ? this.#addHost(this.cluster.workloads.length + 1, HOST.labels) : 0
      this.#engine.setAddress({ address, prefixLength: 128, identity: this.#identity(standIn.labels), flags, ifindex, namedPorts: [] })
    }
  }

  /** A node as an endpoint, which it is where there are policies of nodes; gives its interface, 0 otherwise. */
  #addHost(ifindex: number, labels: readonly Label[]): number {
    if (![...this.cluster.policies.values()].some(isHostPolicy)) return 0
    const flags = this.#hostPolicy === 'audit' ? EndpointFlags.AUDIT : 0
    this.#engine.setEndpoint({ ifindex, id: ifindex, identity: this.#identity(labels), flags, mac: NO_MAC, nodeMac: NO_MAC, namedPorts: [] })
    return ifindex
  }

  #addWorkload(workload: Workload, identity: number, ifindex: number): void {
    const addresses = this.#addressesOf({ workload }).map(bytesOf)
    const namedPorts = workload.ports
    for (const address of addresses) {
      this.#engine.setAddress({ address, prefixLength: 128, identity, flags: PeerFlags.WORKLOAD, ifindex, namedPorts })
    }
    const ipv4 = addresses.find((address) => familyOf(address) === 'IPv4')
    const ipv6 = addresses.find((address) => familyOf(address) === 'IPv6')
    this.#engine.setEndpoint({
      ifindex,
      id: ifindex,
      identity,
      flags: workload.audit ? EndpointFlags.AUDIT : 0,
      ...(ipv4 && { ipv4 }),
      ...(ipv6 && { ipv6 }),
      mac: NO_MAC,
      nodeMac: NO_MAC,
      namedPorts,
    })
  }
}

const textOf = (reference: RuleReference | undefined): string | undefined => reference && formatRule(reference)

/** The stand-in for a node of which nothing is known. */
const HOSTS = 1

const hostLabels = ({ labels }: Node): readonly Label[] => [...HOST.labels, ...labels]
const remoteLabels = ({ labels }: Node): readonly Label[] => ['reserved:remote-node=', ...labels]

async function loadEngine(capacities: Partial<Capacities>): Promise<Engine> {
  try {
    return await Engine.load({ capacities })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new Error('the policy engine is not built yet: run `npm run setup` (or scripts/build) first', { cause: error })
  }
}

/** One node's defaults are for its own endpoints; here every workload and node of the cluster is one. */
function capacitiesFor({ workloads, nodes }: Cluster): Partial<Capacities> {
  const factor = Math.max(1, Math.ceil((workloads.length + nodes.length + HOSTS) / DEFAULT_CAPACITIES.endpoints))
  const { addresses, endpoints, policyEntries, policyRows } = DEFAULT_CAPACITIES
  return {
    addresses: addresses * factor,
    endpoints: endpoints * factor,
    policyEntries: policyEntries * factor * 4,
    policyRows: policyRows * factor * 2,
  }
}

function bytesOf(text: string): Uint8Array {
  const address = parseAddress(text)
  if (address === undefined) throw new TypeError(`bytesOf: '${text}' is no address`)
  return address
}

function toItself(from: string, to: string): Outcome {
  const side: Side = { decision: 'allowed', rule: 0, peerClass: 0, reason: 'what is one and the same always reaches itself' }
  return { decision: 'allowed', from, to, egress: side, ingress: side }
}

function reasonOf({ action, direction }: RuleReference, name: string): string {
  if (action === 'allow') return 'allowed by a rule'
  if (action === 'deny') return 'denied by a rule'
  return `${name} is default-deny for ${direction} and no rule allows this`
}
