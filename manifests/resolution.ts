// Peers that a policy names through another document: the backends of a Service, the prefixes of a CiliumCIDRGroup.
import type { Peer, Requirement } from '../engine/index.ts'
import { outsidePeer } from './cilium/peers.ts'
import type { ManifestWarning } from './document/warnings.ts'
import { NAMESPACE_KEY, equals } from './labels.ts'
import type { DraftPeer, PeerReference } from './model.ts'
import type { CidrGroupResource, Document, EndpointSliceResource, Labels, ServiceResource } from './resources.ts'
import { matchesLabels } from './selectors.ts'

/** The Service that Kubernetes makes for its own API server. */
const API_SERVER = { namespace: 'default', name: 'kubernetes' } as const

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
  /** By `NAMESPACE/SERVICE`. */
  readonly #slices: ReadonlyMap<string, readonly EndpointSliceResource[]>

  constructor(documents: readonly Document[]) {
    const resources = documents.map(({ resource }) => resource)
    this.#services = new Catalog(resources.filter((resource) => resource.kind === 'Service'))
    this.#groups = new Catalog(resources.filter((resource) => resource.kind === 'CiliumCIDRGroup'))
    const slices = resources.filter((resource) => resource.kind === 'EndpointSlice')
    this.#slices = Map.groupBy(slices, ({ namespace, service }) => `${namespace}/${service}`)
  }

  /** The peers themselves; what a reference does not find is told about in `warnings`. */
  resolve(peers: readonly DraftPeer[], warnings: ManifestWarning[]): readonly Peer[] {
    return peers.flatMap((peer) => {
      if (!('refersTo' in peer)) return [peer]
      if (peer.refersTo === 'kube-apiserver') return this.#apiServer(peer, warnings)
      return peer.refersTo === 'Service' ? this.#backends(peer, warnings) : this.#prefixes(peer, warnings)
    })
  }

  /** By address, whatever else is there: a node, or a machine outside of the cluster. */
  #apiServer(reference: PeerReference, warnings: ManifestWarning[]): readonly Peer[] {
    const prefixes = this.#prefixesOf(API_SERVER)
    if (prefixes.length === 0 && reference.optional !== true) {
      warnings.push(unresolved(reference, 'the addresses of the API server are not known: there is no EndpointSlice of Service default/kubernetes'))
    }
    return prefixes.map((prefix) => ({ cidr: { prefix, except: [], workloads: true } }))
  }

  #prefixesOf({ namespace, name }: { readonly namespace: string; readonly name: string }): readonly string[] {
    return (this.#slices.get(`${namespace}/${name}`) ?? []).flatMap(({ prefixes }) => prefixes)
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
  #backendsOf(service: ServiceResource, reference: PeerReference, warnings: ManifestWarning[]): readonly Peer[] {
    const { namespace, name, selector = {} } = service
    const labels = Object.entries(selector).map(([key, value]) => equals(`k8s:${key}`, value))
    if (labels.length > 0) return [workloads(namespace, labels)]
    const prefixes = this.#prefixesOf(service)
    if (prefixes.length === 0) warnings.push(unresolved(reference, `Service ${namespace}/${name} has neither selector nor EndpointSlice`))
    return prefixes.map(outsidePeer)
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
