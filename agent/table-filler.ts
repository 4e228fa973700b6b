// Fills the tables from what is desired and from what the datapath reports.
import { Identity as ReservedIdentity } from '../bpf/index.ts'
import { type CompiledPolicy, formatRule, formatWarning, type ManifestWarning } from '../manifests/index.ts'
import type * as api from './api/types.ts'
import { backendItems, frontendKey, serviceItem } from './balance.ts'
import type { Convergence } from './convergence.ts'
import { type AddressFact, endpointId, type Numbers, RESERVED_LABELS, type WholePrefilter } from './desired/index.ts'
import { type LocalEndpoint, nameOf } from './endpoints.ts'
import type { Interface } from './interfaces.ts'
import type { AttachedProgram } from './reconcilers/programs.ts'
import { isApplied } from './sources/applied.ts'
import type { Tables } from './tables.ts'
import type { TakeChanged } from './tracked-map.ts'

export class TableFiller {
  readonly #tables: Tables
  readonly #convergence: Convergence
  readonly #numbers: Numbers
  readonly #takePolicies: TakeChanged
  readonly #takeAddresses: TakeChanged
  /** How many addresses an identity has, those that are shown. */
  readonly #counts = new Map<number, number>()
  #links: readonly Interface[] = []
  #lastGood: ReadonlySet<string> = new Set()
  /** What the services were shown from last: most changes are none of theirs. */
  #servicesFrom: readonly unknown[] = []

  constructor(tables: Tables, convergence: Convergence, numbers: Numbers) {
    this.#tables = tables
    this.#convergence = convergence
    this.#numbers = numbers
    this.#takePolicies = convergence.desired.policies.reader()
    this.#takeAddresses = convergence.desired.addresses.reader()
    for (const number of RESERVED_LABELS.keys()) this.#showIdentity(number)
    for (const [prefix, identity] of WORLD) this.#showAddress(prefix, { prefix, identity, flags: [], ifindex: 0, namedPorts: [] })
  }

  show(): void {
    const { desired, kernelStart, programReport } = this.#convergence
    this.#showPolicies()
    for (const prefix of this.#takeAddresses()) this.#showAddress(prefix, desired.addresses.get(prefix))
    if (desired.links !== this.#links) this.#tables.interfaces.replaceAll(desired.links.map(interfaceItem))
    this.#links = desired.links
    this.#showEndpoints()
    this.#showServices()
    this.#tables.programs.replaceAll((programReport?.attached ?? []).map((attached) => programItem(attached, desired.links)))
    this.#tables.maps.replaceAll(kernelStart?.maps ?? [])
  }

  /** A file that has errors now changes nothing of its policies but what is said of them. */
  #showPolicies(): void {
    const { desired, sources } = this.#convergence
    const lastGood = new Set(sources.problems.filter((problem) => problem.lastGood).map(({ name }) => name))
    const changed = this.#takePolicies()
    const keys = lastGood.symmetricDifference(this.#lastGood).size === 0 ? changed : [...changed, ...[...desired.policies.values()].map(({ key }) => key)]
    this.#lastGood = lastGood
    for (const key of keys) {
      const policy = desired.policies.get(key)
      if (policy === undefined) this.#tables.policies.delete(key)
      else this.#tables.policies.set(policyItem(policy, lastGood))
    }
  }

  #showAddress(prefix: string, fact: AddressFact | undefined): void {
    const { addresses } = this.#tables
    const before = addresses.get(prefix)?.identity
    if (fact === undefined) addresses.delete(prefix)
    else addresses.set(addressItem(fact, this.#labelsOf(fact.identity)))
    if (before !== undefined) this.#count(before, -1)
    if (fact !== undefined) this.#count(fact.identity, 1)
    for (const identity of new Set([before, fact?.identity])) if (identity !== undefined) this.#showIdentity(identity)
  }

  #count(identity: number, more: 1 | -1): void {
    this.#counts.set(identity, (this.#counts.get(identity) ?? 0) + more)
  }

  #labelsOf(identity: number): readonly string[] {
    return this.#convergence.desired.identities.table.get(String(identity))?.labels ?? RESERVED_LABELS.get(identity) ?? []
  }

  #showIdentity(number: number): void {
    const addresses = this.#counts.get(number) ?? 0
    const reserved = number < ReservedIdentity.FIRST_USER
    if (addresses === 0) this.#counts.delete(number)
    if (addresses > 0 || reserved) this.#tables.identities.set({ number, labels: this.#labelsOf(number), reserved, addresses })
    else this.#tables.identities.delete(String(number))
  }

  #showEndpoints(): void {
    const { desired, guardedInterfaces } = this.#convergence
    const items = desired.endpoints.map((endpoint) => endpointItem(endpoint, desired.identities.ofWorkload(endpoint.workload), this.#numbers))
    this.#tables.endpoints.replaceAll(items.map((item) => withPrograms(item, guardedInterfaces)))
  }

  #showServices(): void {
    const { desired, programmedServices, reconcilers } = this.#convergence
    const { frontends } = desired
    const reason = reconcilers.find(({ name }) => name === 'services')?.state.error?.message
    const sources = [frontends, desired.prefilter, programmedServices, reason]
    if (sources.every((source, index) => source === this.#servicesFrom[index])) return
    this.#servicesFrom = sources
    const shares = new Map(programmedServices?.frontends.map((each, index) => [frontendKey(each), programmedServices.shares[index]]))
    this.#tables.services.replaceAll(frontends.map((each) => serviceItem(each, shares.get(frontendKey(each)), reason)))
    this.#tables.backends.replaceAll(backendItems(frontends))
    this.#tables.prefilter.replaceAll(prefilterItems(desired.prefilter))
  }
}

function prefilterItems({ ranges, documents }: WholePrefilter): api.PrefilterItem[] {
  const items = (prefixes: readonly string[], verdict: 'allowed' | 'denied') => prefixes.map((prefix) => ({ prefix, verdict, document: documents.get(prefix) ?? '' }))
  return [...items(ranges.deny, 'denied'), ...items(ranges.allow, 'allowed')]
}

const WORLD = [['0.0.0.0/0', ReservedIdentity.WORLD_IPV4], ['::/0', ReservedIdentity.WORLD_IPV6]] as const

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

function endpointItem({ workload, link, mac, state, reason }: LocalEndpoint, identity: number, numbers: Numbers): api.Endpoint {
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
    identity,
    state,
    ...(reason !== undefined && { reason }),
  }
}

/** Before its programs are attached nothing is enforced on an endpoint's packets. */
function withPrograms(item: api.Endpoint, guarded: ReadonlySet<number>): api.Endpoint {
  if (item.state !== 'ready' || guarded.has(item.ifindex)) return item
  return { ...item, state: 'waiting', reason: 'its programs are not attached yet' }
}

function addressItem({ prefix, identity, workload, interface: device, flags }: AddressFact, labels: readonly string[]): api.Address {
  return { prefix, identity, labels, ...(workload !== undefined && { workload }), ...(device !== undefined && { interface: device }), flags }
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
function programItem(attached: AttachedProgram, links: readonly Interface[]): api.Program {
  const { id, name, pin, linkId, instructions, verifiedInstructions } = attached
  const mode = links.find(({ ifindex }) => ifindex === attached.ifindex)?.xdpMode
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
