// Documents -> the cluster, as they come and go: each change costs what it touches. compile.ts does it in one go.
import type { Policy, PortMatch, Rule } from '../engine/index.ts'
import { type Changes, Derivation, mapChanges } from './derivation.ts'
import { Groups } from './groups.ts'
import { hostPolicies, isHostPolicy } from './host.ts'
import { initPolicies } from './init.ts'
import { DEFAULT_CLUSTER_NAME } from './labels.ts'
import { type BalancedService, type Cluster, type CompiledPolicy, type Node, POLICY_KINDS, type PolicyDraft, type Prefilter, type RuleDraft, type RuleReference, type Workload } from './model.ts'
import { compileNode } from './nodes.ts'
import { formatRule } from './references.ts'
import { isReferent, Referents } from './resolution.ts'
import type { Document, NamespaceResource, Resource } from './resources.ts'
import { balanceLoadBalancer, balanceService, selects } from './services.ts'
import { identityLabels } from './workloads.ts'

/** Gives each rule its number, 1 and up; the same text must get the same number. The agent's store remembers them. */
export type NumberOf = (reference: string) => number

/** No two documents of those that are there contradict each other (see claims.ts). */
export type DocumentChange = Changes<Document>

/** A policy, workload or service that became another one is removed and added. */
export interface ClusterChange {
  readonly nodes: Changes<Node>
  readonly workloads: Changes<Workload>
  readonly services: Changes<BalancedService>
  readonly prefilters: Changes<Prefilter>
  readonly policies: Changes<CompiledPolicy>
}

type DocumentOf<K extends Resource['kind']> = Document & { readonly resource: Extract<Resource, { kind: K }> }
type WorkloadDocument = DocumentOf<'Pod' | 'Workload'>
type PolicyDocument = DocumentOf<(typeof POLICY_KINDS)[number]>

const namespaceOf = ({ resource: { namespace } }: Document): string => namespace

export class Compiler {
  readonly #numberOf: NumberOf
  readonly #hostPorts: readonly PortMatch[]
  readonly #clusterName: string
  readonly #namespaces = new Map<string, NamespaceResource>()
  readonly #referents = new Referents()
  readonly #workloadsOf = new Groups<WorkloadDocument>(namespaceOf)
  readonly #servicesOf = new Groups<DocumentOf<'Service'>>(namespaceOf)
  /** Policies that speak of other documents. */
  readonly #referring = new Set<PolicyDocument>()
  readonly #nodes = new Derivation<DocumentOf<'Node'>, Node>(({ resource }) => compileNode(resource))
  readonly #workloads = new Derivation<WorkloadDocument, Workload>((document) => this.#compileWorkload(document))
  readonly #services = new Derivation<DocumentOf<'Service'>, BalancedService>((document) => this.#balance(document))
  readonly #loadBalancers = new Derivation<DocumentOf<'LoadBalancer'>, BalancedService>(({ resource, location }) => balanceLoadBalancer(resource, location))
  readonly #prefilters = new Derivation<DocumentOf<'Prefilter'>, Prefilter>(({ resource: { name, ranges } }) => ({ name, ranges }))
  readonly #policies = new Derivation<PolicyDocument, CompiledPolicy>((document) => this.#compilePolicy(document))
  /** Workloads without labels and policies of nodes bring policies with them that no document has. */
  readonly #init = new Set<Workload>()
  readonly #host = new Set<CompiledPolicy>()
  #defaults: readonly CompiledPolicy[] = []

  /** `hostPorts` of this node stay open whatever host policies say; `clusterName` is a label of every workload. */
  constructor(numberOf: NumberOf, hostPorts: readonly PortMatch[], clusterName = DEFAULT_CLUSTER_NAME) {
    this.#numberOf = numberOf
    this.#hostPorts = hostPorts
    this.#clusterName = clusterName
  }

  change(documents: DocumentChange): ClusterChange {
    const nodes = this.#nodes.update(ofKind(documents, 'Node'))
    const workloads = this.#changeWorkloads(documents)
    const services = this.#changeServices(documents, workloads)
    const balancers = this.#loadBalancers.update(ofKind(documents, 'LoadBalancer'))
    const prefilters = this.#prefilters.update(ofKind(documents, 'Prefilter'))
    const policies = this.#changePolicies(documents)
    return { nodes, workloads, services: merged(services, balancers), prefilters, policies: merged(policies, this.#changeDefaults(workloads, policies)) }
  }

  /** All that is there. */
  get cluster(): Cluster {
    const policies = [...this.#policies.results, ...this.#defaults]
    return {
      nodes: this.#nodes.results,
      workloads: this.#workloads.results,
      services: this.#services.results,
      loadBalancers: this.#loadBalancers.results,
      prefilters: this.#prefilters.results,
      policies: new Map(policies.map((policy) => [policy.key, policy])),
      warnings: policies.flatMap(({ warnings }) => warnings),
      errors: [],
    }
  }

  #changeWorkloads(documents: DocumentChange): Changes<Workload> {
    const own = ofKind(documents, 'Pod', 'Workload')
    const { removed, added } = ofKind(documents, 'Namespace')
    this.#workloadsOf.change(own)
    for (const { resource } of removed) this.#namespaces.delete(resource.name)
    for (const { resource } of added) this.#namespaces.set(resource.name, resource)
    const homes = new Set([...removed, ...added].map(({ resource }) => resource.name))
    return this.#workloads.update(own, [...homes].flatMap((home) => this.#workloadsOf.in(home)))
  }

  #changeServices(documents: DocumentChange, workloads: Changes<Workload>): Changes<BalancedService> {
    const own = ofKind(documents, 'Service')
    this.#servicesOf.change(own)
    const affected = [...workloads.removed, ...workloads.added].flatMap((workload) =>
      this.#servicesOf.in(workload.namespace).filter(({ resource }) => selects(resource, workload)),
    )
    return this.#services.update(own, affected)
  }

  #changePolicies(documents: DocumentChange): Changes<CompiledPolicy> {
    const own = ofKind(documents, ...POLICY_KINDS)
    for (const document of own.removed) this.#referring.delete(document)
    for (const document of own.added) if (refers(document)) this.#referring.add(document)
    const referentsChanged = [...documents.removed, ...documents.added].some(isReferent)
    this.#referents.change(documents)
    return this.#policies.update(own, referentsChanged ? [...this.#referring] : [])
  }

  #changeDefaults(workloads: Changes<Workload>, policies: Changes<CompiledPolicy>): Changes<CompiledPolicy> {
    const initChanged = replace(this.#init, workloads, ({ init }) => init)
    const hostChanged = replace(this.#host, policies, isHostPolicy)
    if (!initChanged && !hostChanged) return { removed: [], added: [] }
    const before = this.#defaults
    this.#defaults = [...initPolicies([...this.#init], this.#numberOf), ...hostPolicies([...this.#host], this.#hostPorts, this.#numberOf)]
    return { removed: before, added: this.#defaults }
  }

  #compileWorkload({ resource, location }: WorkloadDocument): Workload {
    const { serviceAccount: _, ...rest } = resource
    const home = this.#namespaces.get(resource.namespace)
    const audit = resource.audit || home?.audit === true
    const { denyAnswer = home?.denyAnswer } = resource
    const labels = identityLabels(resource, { labels: home?.labels ?? {}, clusterName: this.#clusterName })
    return { ...rest, audit, ...(denyAnswer !== undefined && { denyAnswer }), labels, location }
  }

  #balance({ resource, location }: DocumentOf<'Service'>): BalancedService {
    const workloads = this.#workloadsOf.in(resource.namespace).flatMap((document) => this.#workloads.get(document) ?? [])
    return balanceService(resource, workloads, location)
  }

  #compilePolicy({ resource, location, warnings: read }: PolicyDocument): CompiledPolicy {
    const { kind, namespace, name, drafts } = resource
    const rules = new Map<number, RuleReference>()
    const warnings = [...read]
    const number = (reference: RuleReference): number => {
      const assigned = this.#numberOf(formatRule(reference))
      rules.set(assigned, reference)
      return assigned
    }
    const peers = (peers: RuleDraft['peers']) => (peers === 'any' ? peers : this.#referents.resolve(peers, warnings))
    const policies = drafts.map((draft) => numbered(draft, number, peers))
    const proxied = new Map(drafts.flatMap((draft) => draft.rules).flatMap((rule) => (rule.proxied ? [[number(rule.reference), rule.proxied]] : [])))
    return { key: `${kind}/${namespace}/${name}`, kind, namespace, name, location, policies, warnings, rules, proxied }
  }
}

function ofKind<K extends Resource['kind']>(documents: Changes<Document>, ...kinds: readonly K[]): Changes<DocumentOf<K>> {
  return mapChanges(documents, (document) => ((kinds as readonly string[]).includes(document.resource.kind) ? (document as DocumentOf<K>) : undefined))
}

const merged = <T>(...changes: readonly Changes<T>[]): Changes<T> => ({
  removed: changes.flatMap(({ removed }) => removed),
  added: changes.flatMap(({ added }) => added),
})

/** Whether the set, of those that `belongs` wants, became another one. */
function replace<T>(set: Set<T>, { removed, added }: Changes<T>, belongs: (item: T) => boolean): boolean {
  const gone = removed.filter((item) => set.delete(item))
  const come = added.filter(belongs)
  for (const item of come) set.add(item)
  return gone.length > 0 || come.length > 0
}

const refers = ({ resource: { drafts } }: PolicyDocument): boolean =>
  drafts.some(({ rules }) => rules.some(({ peers }) => peers !== 'any' && peers.some((peer) => 'refersTo' in peer)))

function numbered(
  draft: PolicyDraft,
  number: (reference: RuleReference) => number,
  resolve: (peers: RuleDraft['peers']) => Rule['peers'],
): Policy {
  const { ingress, egress } = draft.isolates
  return {
    ...draft,
    isolates: { ...(ingress && { ingress: number(ingress) }), ...(egress && { egress: number(egress) }) },
    rules: draft.rules.map(({ reference, peers, proxied: _, ...rule }) => ({ ...rule, peers: resolve(peers), number: number(reference) })),
  }
}
