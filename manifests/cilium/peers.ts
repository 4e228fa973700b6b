// The peers of a rule of a CiliumNetworkPolicy: fromEndpoints, toCIDRSet and the others.
import type { Direction, Peer, Requirement } from '../../engine/index.ts'
import { cidrPeer } from '../cidr.ts'
import type { Path } from '../document/errors.ts'
import type { Source } from '../document/source.ts'
import { lacks } from '../labels.ts'
import type { DraftPeer, RuleDraft } from '../model.ts'
import { nodePeers } from '../nodes.ts'
import { nodeKey, plainKey, requirementsOf, sourcedKey, withNamespace, type KeyOf, type LabelSelector } from '../selectors.ts'
import { selectorsOf, type Entity } from './entities.ts'
import { requiresOf } from './requires.ts'
import type { Context, RuleValue, Spec } from './rules.ts'

type EgressRule = NonNullable<Spec['egress']>[number]
type CidrRule = NonNullable<EgressRule['toCIDRSet']>[number]
type ServiceValue = NonNullable<EgressRule['toServices']>[number]

/** The fields of peers, without the `from` or `to` before each. */
interface PeerFields {
  readonly Endpoints: readonly LabelSelector[]
  readonly Entities: readonly Entity[]
  readonly CIDR: readonly string[]
  readonly CIDRSet: readonly CidrRule[]
  readonly Nodes: readonly LabelSelector[]
  readonly Groups: readonly object[]
  readonly Services: readonly ServiceValue[]
  readonly FQDNs: NonNullable<EgressRule['toFQDNs']>
}

type Readers = { readonly [F in keyof PeerFields]: (context: Context, value: PeerFields[F][number], path: Path) => readonly DraftPeer[] }

const READERS: Readers = {
  Endpoints: ({ source, reference }, selector, path) => {
    const requirements = requirementsOf(source, selector, path, sourcedKey)
    return [{ selector: { requirements: withNamespace(requirements, reference.namespace) } }]
  },
  Entities: ({ source }, entity, path) => [...selectorsOf(entity).map((selector) => ({ selector })), ...apiServer(source, entity, path)],
  CIDR: ({ source }, cidr, path) => [outside(source, { cidr }, path)],
  CIDRSet: readCidrRule,
  Nodes: ({ source }, selector, path) => nodePeers(requirementsOf(source, selector, path, ciliumNodeKey)),
  Groups: ({ source }, _, path) => {
    source.warn('NO_CLOUD_SOURCE', path, 'no cloud provider is asked for the members of a group yet', 'the group selects nobody')
    return []
  },
  Services: readService,
  FQDNs: ({ source }, { matchName, matchPattern }, path) => {
    if ((matchName === undefined) === (matchPattern === undefined)) {
      source.report('INVALID', path, 'has both or none of its fields', 'one of matchName, matchPattern')
    }
    source.warn('NO_DNS_POLICY', path, 'domain names are not resolved yet', 'the peer selects nobody')
    return []
  },
}

const FIELDS = Object.keys(READERS) as readonly (keyof PeerFields)[]

/** CIDR rules mean what is outside of the cluster: neither workloads nor nodes. */
const NOT_A_NODE: readonly Requirement[] = [lacks('reserved:host'), lacks('reserved:remote-node')]

/**
 * Which peers a rule speaks of. Without any peer field it is every peer if there are ports, and nobody if not: `{}` is
 * how a CiliumNetworkPolicy turns default deny on. A list that is there and empty selects nobody.
 */
export function readPeers(context: Context, direction: Direction, rule: RuleValue, path: Path, hasPorts: boolean): RuleDraft['peers'] {
  const prefix = direction === 'ingress' ? 'from' : 'to'
  const lists = rule as { readonly [field: string]: readonly unknown[] | undefined }
  const given = FIELDS.map((field) => ({ field, name: `${prefix}${field}`, list: lists[`${prefix}${field}`] }))
    .filter(({ list }) => list !== undefined)
  if (given.length === 0) return hasPorts && requiresOf(rule).selectors.length === 0 ? 'any' : []
  checkOneKind(context.source, path, given.filter(({ list }) => list?.length !== 0).map(({ name }) => name))
  if (given.some(({ list }) => list?.length === 0)) return []
  return given.flatMap(({ field, name, list = [] }) => {
    const read = READERS[field] as (context: Context, value: unknown, path: Path) => readonly DraftPeer[]
    return list.flatMap((value, index) => read(context, value, [...path, name, index]))
  })
}

function checkOneKind(source: Source, path: Path, names: readonly string[]): void {
  if (names.length <= 1) return
  source.report('INVALID', path, `combines ${names.join(' and ')}`, 'one field of peers in each rule; write a rule for each')
}

/** The API server's addresses belong to its entity and to that of the cluster, wherever it runs. */
function apiServer(source: Source, entity: Entity, path: Path): readonly DraftPeer[] {
  if (entity !== 'kube-apiserver' && entity !== 'cluster') return []
  return [{ refersTo: 'kube-apiserver', optional: entity === 'cluster', at: source.locate(path) }]
}

/** A node's label has no source in manifests, or that of Kubernetes. */
export const ciliumNodeKey: KeyOf = (key) => (key.startsWith('reserved:') ? key : nodeKey(plainKey(key)))

function readCidrRule({ source }: Context, { cidr, cidrGroupRef, cidrGroupSelector, except }: CidrRule, path: Path): readonly DraftPeer[] {
  const given = [cidr, cidrGroupRef, cidrGroupSelector].filter((field) => field !== undefined).length
  if (given !== 1) {
    source.report('INVALID', path, given === 0 ? 'selects nothing' : 'selects more than once', 'one of cidr, cidrGroupRef, cidrGroupSelector')
  }
  if (cidr !== undefined) return [outside(source, { cidr, ...(except && { except }) }, path)]
  if (except !== undefined) source.report('INVALID', [...path, 'except'], 'stands beside a group', 'except beside cidr')
  const at = source.locate(path)
  if (cidrGroupRef !== undefined) return [{ refersTo: 'CiliumCIDRGroup', name: cidrGroupRef, at }]
  const labels = requirementsOf(source, cidrGroupSelector ?? {}, [...path, 'cidrGroupSelector'], plainKey)
  return [{ refersTo: 'CiliumCIDRGroup', labels, at }]
}

function outside(source: Source, block: { cidr: string; except?: readonly string[] }, path: Path): Peer {
  return { selector: { requirements: NOT_A_NODE }, ...cidrPeer(source, block, path, false) }
}

/** What a prefix of a CiliumCIDRGroup selects: the same as one in toCIDR. */
export function outsidePeer(prefix: string): Peer {
  return { selector: { requirements: NOT_A_NODE }, cidr: { prefix, except: [], workloads: false } }
}

function readService({ source }: Context, { k8sService, k8sServiceSelector }: ServiceValue, path: Path): readonly DraftPeer[] {
  if ((k8sService === undefined) === (k8sServiceSelector === undefined)) {
    source.report('INVALID', path, 'has both or none of its fields', 'one of k8sService, k8sServiceSelector')
  }
  const at = source.locate(path)
  const { namespace } = k8sService ?? k8sServiceSelector ?? {}
  const reference = { refersTo: 'Service', at, ...(namespace !== undefined && { namespace }) } as const
  if (k8sService !== undefined) return [{ ...reference, name: k8sService.serviceName }]
  const selectorPath = [...path, 'k8sServiceSelector', 'selector']
  return [{ ...reference, labels: requirementsOf(source, k8sServiceSelector?.selector ?? {}, selectorPath, plainKey) }]
}
