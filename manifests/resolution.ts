// Peers that a policy names through another document: the backends of a Service, the prefixes of a CiliumCIDRGroup.
import type { Peer, Requirement } from '../engine/index.ts'
import { outsidePeer } from './cilium/peers.ts'
import type { ManifestWarning } from './document/warnings.ts'
import { NAMESPACE_KEY, equals } from './labels.ts'
import type { DraftPeer, PeerReference } from './model.ts'
import type { CidrGroupResource, Document, EndpointSliceResource, Labels, ServiceResource } from './resources.ts'
import { matchesLabels } from './selectors.ts'

interface Labelled {
  readonly name: string
  readonly labels: Labels
}

/** Documents of one kind. */
class Catalog<T extends Labelled> {
  readonly #all: readonly T[]
  readonly #byName: ReadonlyMap<string, readonly T[]>

  constructor(all: readonly T[]) {
    this.#all = all
    this.#byName = Map.groupBy(all, ({ name }) => name)
  }

  find({ name, labels = [] }: PeerReference): readonly T[] {
    return name === undefined ? this.#all.filter((each) => matchesLabels(labels, each.labels)) : (this.#byName.get(name) ?? [])
  }
}

/** The documents that policies refer to. */
export class Referents {
  readonly #services: Catalog<ServiceResource>
  readonly #groups: Catalog<CidrGroupResource>
  readonly #slices: readonly EndpointSliceResource[]

  constructor(documents: readonly Document[]) {
    const resources = documents.map(({ resource }) => resource)
    this.#services = new Catalog(resources.filter((resource) => resource.kind === 'Service'))
    this.#groups = new Catalog(resources.filter((resource) => resource.kind === 'CiliumCIDRGroup'))
    this.#slices = resources.filter((resource) => resource.kind === 'EndpointSlice')
  }

  /** The peers themselves; what a reference does not find is told about in `warnings`. */
  resolve(peers: readonly DraftPeer[], warnings: ManifestWarning[]): readonly Peer[] {
    return peers.flatMap((peer) => {
      if (!('refersTo' in peer)) return [peer]
      return peer.refersTo === 'Service' ? this.#backends(peer, warnings) : this.#prefixes(peer, warnings)
    })
  }

  #prefixes(reference: PeerReference, warnings: ManifestWarning[]): readonly Peer[] {
    const groups = this.#groups.find(reference)
    if (groups.length === 0) warnings.push(unresolved(reference, `there is no CiliumCIDRGroup ${nameOf(reference)}`))
    return groups.flatMap(({ prefixes }) => prefixes.map(outsidePeer))
  }

  #backends(reference: PeerReference, warnings: ManifestWarning[]): readonly Peer[] {
    const { namespace } = reference
    const services = this.#services.find(reference).filter((service) => namespace === undefined || service.namespace === namespace)
    if (services.length === 0) warnings.push(unresolved(reference, `there is no Service ${nameOf(reference)}`))
    return services.flatMap((service) => this.#backendsOf(service, reference, warnings))
  }

  /** The workloads that the selector means; without one what slices tell, which is outside of the cluster. */
  #backendsOf({ namespace, name, selector = {} }: ServiceResource, reference: PeerReference, warnings: ManifestWarning[]): readonly Peer[] {
    const labels = Object.entries(selector).map(([key, value]) => equals(`k8s:${key}`, value))
    if (labels.length > 0) return [workloads(namespace, labels)]
    const slices = this.#slices.filter((slice) => slice.namespace === namespace && slice.service === name)
    if (slices.length === 0) warnings.push(unresolved(reference, `Service ${namespace}/${name} has neither selector nor EndpointSlice`))
    return slices.flatMap(({ prefixes }) => prefixes.map(outsidePeer))
  }
}

const workloads = (namespace: string, labels: readonly Requirement[]): Peer => ({
  selector: { requirements: [equals(NAMESPACE_KEY, namespace), ...labels] },
})

function nameOf({ name, namespace }: PeerReference): string {
  const prefix = namespace === undefined ? '' : `${namespace}/`
  return name === undefined ? `${prefix}with these labels` : `${prefix}${name}`
}

const unresolved = ({ at }: PeerReference, problem: string): ManifestWarning =>
  ({ code: 'UNRESOLVED', ...at, problem, effect: 'the peer selects nobody' })
