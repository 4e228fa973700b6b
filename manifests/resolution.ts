// Peers that a policy names through another document: the backends of a Service, the prefixes of a CiliumCIDRGroup.
import type { Peer, Requirement } from '../engine/index.ts'
import { outsidePeer } from './cilium/peers.ts'
import { type Changes, mapChanges } from './derivation.ts'
import type { ManifestWarning } from './document/warnings.ts'
import { Groups } from './groups.ts'
import { NAMESPACE_KEY, equals } from './labels.ts'
import type { DraftPeer, PeerReference } from './model.ts'
import type { CidrGroupResource, Document, EndpointSliceResource, Labels, ServiceResource } from './resources.ts'
import { matchesLabels } from './selectors.ts'

/** The Service that Kubernetes makes for its own API server. */
const API_SERVER = { namespace: 'default', name: 'kubernetes' } as const

/** Whether policies may refer to it. */
export const isReferent = ({ resource: { kind } }: Document): boolean => kind === 'Service' || kind === 'CiliumCIDRGroup' || kind === 'EndpointSlice'

interface Labelled {
  readonly name: string
  readonly labels: Labels
}

/** The documents that policies refer to. */
export class Referents {
  readonly #services = new Groups<ServiceResource>(({ name }) => name)
  readonly #cidrGroups = new Groups<CidrGroupResource>(({ name }) => name)
  readonly #slices = new Groups<EndpointSliceResource>(({ namespace, service }) => `${namespace}/${service}`)

  change(documents: Changes<Document>): void {
    const change = mapChanges(documents, ({ resource }) => resource)
    this.#services.change(mapChanges(change, (resource) => (resource.kind === 'Service' ? resource : undefined)))
    this.#cidrGroups.change(mapChanges(change, (resource) => (resource.kind === 'CiliumCIDRGroup' ? resource : undefined)))
    this.#slices.change(mapChanges(change, (resource) => (resource.kind === 'EndpointSlice' ? resource : undefined)))
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
    return this.#slices.in(`${namespace}/${name}`).flatMap(({ prefixes }) => prefixes)
  }

  #prefixes(reference: PeerReference, warnings: ManifestWarning[]): readonly Peer[] {
    const groups = found(this.#cidrGroups, reference)
    if (groups.length === 0) warnings.push(unresolved(reference, `there is no CiliumCIDRGroup ${nameOf(reference)}`))
    return groups.flatMap(({ prefixes }) => prefixes.map(outsidePeer))
  }

  #backends(reference: PeerReference, warnings: ManifestWarning[]): readonly Peer[] {
    const { namespace } = reference
    const services = found(this.#services, reference).filter((service) => namespace === undefined || service.namespace === namespace)
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

function found<T extends Labelled>(documents: Groups<T>, { name, labels = [] }: PeerReference): readonly T[] {
  return name === undefined ? documents.all.filter((each) => matchesLabels(labels, each.labels)) : documents.in(name)
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
