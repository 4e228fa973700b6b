// Peers that a policy names through another document: the backends of a Service, the prefixes of a CiliumCIDRGroup.
import type { Peer, Requirement } from '../engine/index.ts'
import { outsidePeer } from './cilium/peers.ts'
import type { ManifestWarning } from './document/warnings.ts'
import { NAMESPACE_KEY, equals } from './labels.ts'
import type { DraftPeer, PeerReference } from './model.ts'
import type { CidrGroupResource, Document, EndpointSliceResource, Labels, ServiceResource } from './resources.ts'
import { matchesLabels } from './selectors.ts'

/** The documents that policies refer to. */
export class Referents {
  readonly #services: readonly ServiceResource[]
  readonly #groups: readonly CidrGroupResource[]
  readonly #slices: readonly EndpointSliceResource[]

  constructor(documents: readonly Document[]) {
    const resources = documents.map(({ resource }) => resource)
    this.#services = resources.filter((resource) => resource.kind === 'Service')
    this.#groups = resources.filter((resource) => resource.kind === 'CiliumCIDRGroup')
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
    const groups = this.#groups.filter((group) => isNamed(reference, group))
    if (groups.length === 0) warnings.push(unresolved(reference, `there is no CiliumCIDRGroup ${nameOf(reference)}`))
    return groups.flatMap(({ prefixes }) => prefixes.map(outsidePeer))
  }

  #backends(reference: PeerReference, warnings: ManifestWarning[]): readonly Peer[] {
    const { namespace } = reference
    const services = this.#services.filter((service) => (namespace ?? service.namespace) === service.namespace && isNamed(reference, service))
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

function isNamed({ name, labels = [] }: PeerReference, document: { readonly name: string; readonly labels: Labels }): boolean {
  return name === undefined ? matchesLabels(labels, document.labels) : name === document.name
}

function nameOf({ name, namespace }: PeerReference): string {
  const prefix = namespace === undefined ? '' : `${namespace}/`
  return name === undefined ? `${prefix}with these labels` : `${prefix}${name}`
}

const unresolved = ({ at }: PeerReference, problem: string): ManifestWarning =>
  ({ code: 'UNRESOLVED', ...at, problem, effect: 'the peer selects nobody' })
