// Documents of all files together -> the cluster: labels with those of the namespaces, backends of services, rules
// with their numbers, and what the documents contradict each other in.
import { formatPath, ManifestError, type Path } from './document/errors.ts'
import { POLICY_KINDS } from './model.ts'
import type { BalancedService, Cluster, CompiledPolicy, PolicyDraft, RuleDraft, RuleReference, Workload } from './model.ts'
import { protocolName } from './ports.ts'
import { hostPolicies } from './host.ts'
import { initPolicies } from './init.ts'
import { compileNode } from './nodes.ts'
import { formatRule } from './references.ts'
import type { Document, NamespaceResource, PolicyResource, Resource } from './resources.ts'
import { balanceLoadBalancer, balanceService } from './services.ts'
import { identityLabels } from './workloads.ts'
import { Referents } from './resolution.ts'
import type { Policy, PortMatch, Rule } from '../engine/index.ts'

/** Gives each rule its number, 1 and up; the same text must get the same number. The agent's store remembers them. */
export type NumberOf = (reference: string) => number

/** Numbers from 1 in the order of asking: for tools that remember nothing. */
export function counter(): NumberOf {
  const numbers = new Map<string, number>()
  return (reference) => {
    const number = numbers.get(reference) ?? numbers.size + 1
    numbers.set(reference, number)
    return number
  }
}

/**
 * Never throws: contradictions are in `errors`, and of two documents that contradict each other the first holds.
 * `hostPorts` of this node stay open whatever host policies say.
 */
export function compile(documents: readonly Document[], numberOf: NumberOf = counter(), hostPorts: readonly PortMatch[] = []): Cluster {
  const errors: ManifestError[] = []
  const distinct = withoutDuplicates(documents, errors)
  const holders = withoutSharedAddresses(ofKind(distinct, 'Node', 'Pod', 'Workload'), errors)
  const workloads = compileWorkloads(holders, namespacesOf(distinct))
  const referents = new Referents(distinct)
  const written = ofKind(distinct, ...POLICY_KINDS).map((document) => compilePolicy(document, referents, numberOf))
  const policies = [...written, ...initPolicies(workloads, numberOf), ...hostPolicies(written, hostPorts, numberOf)]
  const balanced = [
    ...ofKind(distinct, 'Service').map((document) => ({ document, service: balanceService(document.resource, workloads, document.location) })),
    ...ofKind(distinct, 'LoadBalancer').map((document) => ({ document, service: balanceLoadBalancer(document.resource, document.location) })),
  ]
  const services = withoutOverlaps(balanced, workloads, errors)
  return {
    nodes: ofKind(holders, 'Node').map(({ resource }) => compileNode(resource)),
    workloads,
    services: services.filter(({ kind }) => kind === 'Service'),
    loadBalancers: services.filter(({ kind }) => kind === 'LoadBalancer'),
    policies: new Map(policies.map((policy) => [policy.key, policy])),
    warnings: policies.flatMap(({ warnings }) => warnings),
    errors,
  }
}

type DocumentOf<K extends Resource['kind']> = Document & { readonly resource: Extract<Resource, { kind: K }> }

function ofKind<K extends Resource['kind']>(documents: readonly Document[], ...kinds: readonly K[]): readonly DocumentOf<K>[] {
  return documents.filter((document): document is DocumentOf<K> => (kinds as readonly string[]).includes(document.resource.kind))
}

function withoutDuplicates(documents: readonly Document[], errors: ManifestError[]): readonly Document[] {
  const first = new Map<string, Document>()
  return documents.filter((document) => {
    const key = nameKey(document.resource)
    const other = first.get(key)
    if (other) errors.push(conflict(document, NAME, `${key} stands twice`, 'each name once for a kind', other))
    else first.set(key, document)
    return other === undefined
  })
}

/** Pods and Workloads share their names, since commands name either as `namespace/name`. */
function nameKey({ kind, namespace, name }: Resource): string {
  return `${kind === 'Pod' ? 'Workload' : kind} ${qualified(namespace, name)}`
}

const qualified = (namespace: string, name: string): string => (namespace === '' ? name : `${namespace}/${name}`)

function namespacesOf(documents: readonly Document[]): ReadonlyMap<string, NamespaceResource> {
  return new Map(ofKind(documents, 'Namespace').map(({ resource }) => [resource.name, resource]))
}

function compileWorkloads(documents: readonly Document[], namespaces: ReadonlyMap<string, NamespaceResource>): readonly Workload[] {
  return ofKind(documents, 'Pod', 'Workload').map(({ resource, location }): Workload => {
    const { serviceAccount: _, ...rest } = resource
    const home = namespaces.get(resource.namespace)
    const audit = resource.audit || home?.audit === true
    const { denyAnswer = home?.denyAnswer } = resource
    return { ...rest, audit, ...(denyAnswer !== undefined && { denyAnswer }), labels: identityLabels(resource, home?.labels ?? {}), location }
  })
}

type Holder = DocumentOf<'Node' | 'Pod' | 'Workload'>

function withoutSharedAddresses(documents: readonly Holder[], errors: ManifestError[]): readonly Holder[] {
  const owners = new Map<string, Document>()
  return documents.filter((document) => claim(document, owners, errors))
}

/** An address, or an interface of the node, belongs to one workload or node. */
function claim(document: Holder, owners: Map<string, Document>, errors: ManifestError[]): boolean {
  const { addresses } = document.resource
  const device = 'interface' in document.resource ? document.resource.interface : undefined
  const claims = [...addresses.map((address) => `address ${address}`), ...(device === undefined ? [] : [`interface ${device}`])]
  const taken = claims.find((key) => owners.has(key)) ?? ''
  const path = taken.startsWith('interface') ? INTERFACE : ADDRESSES[document.resource.kind]
  const owner = owners.get(taken)
  if (owner === undefined) {
    for (const key of claims) owners.set(key, document)
    return true
  }
  const { kind, namespace, name } = owner.resource
  const problem = `${taken} is that of ${kind} ${qualified(namespace, name)}`
  errors.push(conflict(document, path, problem, 'one that no other workload or node has', owner))
  return false
}

/** The field that holds the addresses of a document. */
const ADDRESSES: Readonly<Record<'Node' | 'Pod' | 'Workload' | 'Service' | 'LoadBalancer', Path>> = {
  Node: ['status', 'addresses'],
  Pod: ['status', 'podIPs'],
  Workload: ['spec', 'addresses'],
  Service: ['spec', 'clusterIPs'],
  LoadBalancer: ['spec', 'addresses'],
}

const NAME: Path = ['metadata', 'name']
const INTERFACE: Path = ['spec', 'interface']

/** Fields that may contradict other documents. */
export const CONTRADICTED: readonly Path[] = [NAME, INTERFACE, ...Object.values(ADDRESSES)]

/** A service whose frontend is another's, or a workload's address, is left out whole. */
function withoutOverlaps(
  balanced: readonly { readonly service: BalancedService; readonly document: Document }[],
  workloads: readonly Workload[],
  errors: ManifestError[],
): readonly BalancedService[] {
  const owners = new Map<string, Workload | BalancedService>()
  for (const workload of workloads) for (const address of workload.addresses) owners.set(address, workload)
  const free = balanced.filter(({ service, document }) => {
    const keys = service.frontends.map(({ address, protocol, port }) => ({ address, key: `${address} ${port}/${protocolName(protocol)}` }))
    const taken = keys.find(({ address, key }) => owners.has(address) || owners.has(key))
    const owner = taken && (owners.get(taken.address) ?? owners.get(taken.key))
    if (taken && owner) {
      const problem = `${taken.key} is taken by ${owner.kind} ${owner.namespace}/${owner.name}`
      errors.push(conflict(document, ADDRESSES[service.kind], problem, 'frontends of its own', owner))
    } else for (const { key } of keys) owners.set(key, service)
    return owner === undefined
  })
  return free.map(({ service }) => service)
}

/** At the field's own line. */
function conflict({ location, places }: Document, path: Path, problem: string, allowed: string, { location: other }: Pick<Document, 'location'>): ManifestError {
  return new ManifestError({ code: 'CONFLICT', ...(places[formatPath(path)] ?? location), path, problem, allowed, other })
}

function compilePolicy(
  { resource, location, warnings: read }: Document & { readonly resource: PolicyResource },
  referents: Referents,
  numberOf: NumberOf,
): CompiledPolicy {
  const { kind, namespace, name, drafts } = resource
  const rules = new Map<number, RuleReference>()
  const warnings = [...read]
  const number = (reference: RuleReference): number => {
    const assigned = numberOf(formatRule(reference))
    rules.set(assigned, reference)
    return assigned
  }
  const peers = (peers: RuleDraft['peers']) => (peers === 'any' ? peers : referents.resolve(peers, warnings))
  const policies = drafts.map((draft) => numbered(draft, number, peers))
  return { key: `${kind}/${namespace}/${name}`, kind, namespace, name, location, policies, warnings, rules }
}

function numbered(
  draft: PolicyDraft,
  number: (reference: RuleReference) => number,
  resolve: (peers: RuleDraft['peers']) => Rule['peers'],
): Policy {
  const { ingress, egress } = draft.isolates
  return {
    ...draft,
    isolates: { ...(ingress && { ingress: number(ingress) }), ...(egress && { egress: number(egress) }) },
    rules: draft.rules.map(({ reference, peers, ...rule }) => ({ ...rule, peers: resolve(peers), number: number(reference) })),
  }
}
