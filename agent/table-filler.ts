// Fills the tables from what is desired and from what the datapath reports.
import { Identity as ReservedIdentity } from '../bpf/index.ts'
import { formatPrefix } from '../engine/index.ts'
import { type CompiledPolicy, formatRule, formatWarning, type ManifestWarning } from '../manifests/index.ts'
import type * as api from './api/types.ts'
import { backendItems, frontendKey, serviceItem } from './balance.ts'
import type { Convergence, Desired } from './convergence.ts'
import { endpointId, hostAddresses, identityOf, nodeIdentities, type Numbers, RESERVED_LABELS } from './desired.ts'
import { type LocalEndpoint, nameOf } from './endpoints.ts'
import { hostPrefix, prefixOf } from './address.ts'
import type { Interface } from './interfaces.ts'
import type { AttachedProgram } from './reconcilers/programs.ts'
import { isApplied } from './sources/applied.ts'
import type { Tables } from './tables.ts'

export class TableFiller {
  readonly #tables: Tables
  readonly #numbers: Numbers
  readonly #workloadRanges: readonly string[]
  /** What was shown last: an equal desired state changes nothing but endpoints, services and programs. */
  #shown: Desired | undefined

  constructor(tables: Tables, numbers: Numbers, workloadRanges: readonly string[]) {
    this.#tables = tables
    this.#numbers = numbers
    this.#workloadRanges = workloadRanges
  }

  show(convergence: Convergence): void {
    const { desired } = convergence
    if (desired !== undefined && desired !== this.#shown) {
      this.#shown = desired
      this.#showDesired(desired)
    }
    this.#showEndpoints(convergence)
    this.#showServices(convergence)
    const { programs, maps } = this.#tables
    programs.replaceAll((convergence.programReport?.attached ?? []).map((attached) => programItem(attached, desired)))
    maps.replaceAll(convergence.kernelStart?.maps ?? [])
  }

  #showDesired(desired: Desired): void {
    const { cluster, problems } = desired.resolution
    const { addresses, identities, interfaces, policies } = this.#tables
    const items = addressItems(desired, this.#numbers, this.#workloadRanges)
    addresses.replaceAll(items)
    identities.replaceAll(identityItems(items))
    interfaces.replaceAll(desired.links.map(interfaceItem))
    const lastGood = new Set(problems.filter((problem) => problem.lastGood).map(({ name }) => name))
    policies.replaceAll([...cluster.policies.values()].map((policy) => policyItem(policy, lastGood)))
  }

  #showEndpoints({ desired, guardedInterfaces }: Convergence): void {
    const items = (desired?.endpoints ?? []).map((endpoint) => endpointItem(endpoint, this.#numbers))
    this.#tables.endpoints.replaceAll(items.map((item) => withPrograms(item, guardedInterfaces)))
  }

  #showServices({ desired, programmedServices, reconcilers }: Convergence): void {
    const frontends = desired?.frontends ?? []
    const reason = reconcilers.find(({ name }) => name === 'services')?.state.error?.message
    const shares = new Map(programmedServices?.frontends.map((each, index) => [frontendKey(each), programmedServices.shares[index]]))
    this.#tables.services.replaceAll(frontends.map((each) => serviceItem(each, shares.get(frontendKey(each)), reason)))
    this.#tables.backends.replaceAll(backendItems(frontends))
  }
}

function interfaceItem({ ifindex, name, mac, kind, up, addresses, xdpMode }: Interface): api.Interface {
  return {
    ifindex,
    name,
    ...(mac !== undefined && { mac }),
    ...(kind !== undefined && { kind }),
    up,
    addresses,
    ...(xdpMode !== undefined && { xdpMode }),
  }
}

function endpointItem({ workload, link, mac, state, reason }: LocalEndpoint, numbers: Numbers): api.Endpoint {
  return {
    id: endpointId(workload, numbers),
    name: nameOf(workload),
    namespace: workload.namespace,
    ...(workload.netns !== undefined && { netns: workload.netns }),
    interface: workload.interface ?? '',
    ifindex: link?.ifindex ?? 0,
    ...(mac !== undefined && { mac }),
    addresses: workload.addresses,
    labels: workload.labels,
    identity: identityOf(workload, numbers),
    state,
    ...(reason !== undefined && { reason }),
  }
}

/** Before its programs are attached nothing is enforced on an endpoint's packets. */
function withPrograms(item: api.Endpoint, guarded: ReadonlySet<number>): api.Endpoint {
  if (item.state !== 'ready' || guarded.has(item.ifindex)) return item
  return { ...item, state: 'waiting', reason: 'its programs are not attached yet' }
}

function addressItems(desired: Desired, numbers: Numbers, workloadRanges: readonly string[]): api.Address[] {
  const items = new Map<string, api.Address>()
  const add = (item: api.Address): void => void items.set(item.prefix, item)
  const reserved = (prefix: string, identity: number, flags: api.Address['flags']): void => {
    add({ prefix, identity, labels: RESERVED_LABELS.get(identity) ?? [], flags })
  }
  reserved('0.0.0.0/0', ReservedIdentity.WORLD_IPV4, [])
  reserved('::/0', ReservedIdentity.WORLD_IPV6, [])
  for (const range of workloadRanges) reserved(formatPrefix(prefixOf(range)), ReservedIdentity.UNMANAGED, ['local-range'])
  const own = hostAddresses(desired.links)
  const nodes = nodeIdentities(desired.resolution.cluster.nodes, own, numbers)
  const host = nodes.find(({ number }) => number === ReservedIdentity.HOST)?.labels ?? RESERVED_LABELS.get(ReservedIdentity.HOST) ?? []
  for (const address of own) add({ prefix: hostPrefix(address), identity: ReservedIdentity.HOST, labels: host, flags: ['host'] })
  for (const { number, labels, addresses } of nodes) {
    for (const address of addresses) add({ prefix: hostPrefix(address), identity: number, labels, flags: [] })
  }
  const interfaces = new Map(desired.endpoints.map(({ workload, link }) => [workload, link?.name]))
  for (const workload of desired.resolution.cluster.workloads) {
    const device = interfaces.get(workload)
    for (const address of workload.addresses) {
      add({
        prefix: hostPrefix(address),
        identity: identityOf(workload, numbers),
        labels: workload.labels,
        workload: nameOf(workload),
        ...(device !== undefined && { interface: device }),
        flags: ['workload'],
      })
    }
  }
  return [...items.values()]
}

function identityItems(addresses: readonly api.Address[]): api.Identity[] {
  const counts = new Map<number, number>()
  const labels = new Map<number, readonly string[]>(RESERVED_LABELS)
  for (const address of addresses) {
    counts.set(address.identity, (counts.get(address.identity) ?? 0) + 1)
    labels.set(address.identity, address.labels)
  }
  return [...labels]
    .sort(([a], [b]) => a - b)
    .map(([number, own]) => ({
      number,
      labels: own,
      reserved: number < ReservedIdentity.FIRST_USER,
      addresses: counts.get(number) ?? 0,
    }))
}

function policyItem({ kind, namespace, name, location, rules, warnings }: CompiledPolicy, lastGood: ReadonlySet<string>): api.PolicyItem {
  const applied = isApplied(location.file)
  return {
    kind,
    namespace,
    name,
    source: applied ? 'api' : 'folder',
    ...(!applied && { file: location.file }),
    rules: [...rules].map(([number, reference]) => {
      const { direction, action, description } = reference
      return { number, text: formatRule(reference), direction, action, ...(description !== undefined && { description }) }
    }),
    state: lastGood.has(location.file) ? 'last-good' : warnings.length > 0 ? 'degraded' : 'enforced',
    ...(warnings.length > 0 && { warnings: warnings.map((warning) => warningText(warning, applied)) }),
  }
}

/** The file of what was applied is not known any more. */
function warningText(warning: ManifestWarning, applied: boolean): string {
  return applied ? `${warning.path}: ${warning.problem}; ${warning.effect}` : formatWarning(warning)
}

/** A link that was taken over does not say in which mode it is attached, but its interface does. */
function programItem(attached: AttachedProgram, desired: Desired | undefined): api.Program {
  const { id, name, pin, linkId, instructions, verifiedInstructions } = attached
  const mode = desired?.links.find(({ ifindex }) => ifindex === attached.ifindex)?.xdpMode
  const hook = attached.hook === 'xdp' && mode !== undefined ? `xdp/${mode}` : attached.hook
  return {
    id,
    name,
    hook,
    interface: attached.interface,
    pin,
    ...(linkId !== undefined && { linkId }),
    instructions,
    verifiedInstructions,
  }
}
