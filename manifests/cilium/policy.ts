// cilium.io/v2 CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy, layers 3 and 4, as drafts of policies.
// Semantics: https://docs.cilium.io/en/stable/security/policy/
import type { Direction, Peer, PortMatch, Requirement } from '../../engine/types.ts'
import { cidrPeer } from '../cidr.ts'
import { selectorsOf } from './entities.ts'
import { NAMESPACE_KEY, equals, lacks } from '../labels.ts'
import type { Path } from '../document/errors.ts'
import { icmpTypeNames, icmpTypeNumber } from './icmp.ts'
import type { PolicyDraft, RuleDraft, RuleReference } from '../model.ts'
import { PROTOCOLS, icmpCodes, wholeProtocol } from '../ports.ts'
import type { PolicyResource } from '../resources.ts'
import type { Value } from '../document/schema.ts'
import type { ciliumClusterwideNetworkPolicy, ciliumNetworkPolicy, ciliumRule } from './schemas.ts'
import { requirementsOf, sourcedKey, withNamespace } from '../selectors.ts'
import type { Source } from '../document/source.ts'

type Document = Value<typeof ciliumNetworkPolicy> | Value<typeof ciliumClusterwideNetworkPolicy>
type Spec = Value<typeof ciliumRule>
type IngressRule = NonNullable<Spec['ingress']>[number]
type EgressRule = NonNullable<Spec['egress']>[number]
type PortValue = NonNullable<NonNullable<IngressRule['toPorts']>[number]['ports']>[number]
type IcmpValue = NonNullable<NonNullable<IngressRule['icmps']>[number]['fields']>[number]

/** One part of a document: its `spec`, or an item of `specs`. */
interface Context {
  readonly source: Source
  readonly reference: Omit<RuleReference, 'direction' | 'action' | 'index'>
  readonly path: Path
}

/** The peers of a rule, alike for both directions. */
interface PeerFields {
  readonly endpoints: IngressRule['fromEndpoints']
  readonly entities: IngressRule['fromEntities']
  readonly cidrs: IngressRule['fromCIDR']
  readonly cidrSet: IngressRule['fromCIDRSet']
}

/** CIDR rules mean what is outside of the cluster: neither workloads nor nodes. */
const NOT_A_NODE: readonly Requirement[] = [lacks('reserved:host'), lacks('reserved:remote-node')]

export const readCiliumPolicy =
  (kind: 'CiliumNetworkPolicy' | 'CiliumClusterwideNetworkPolicy') =>
  (document: Document, source: Source): PolicyResource => {
    const { name } = document.metadata
    const namespace = kind === 'CiliumNetworkPolicy' ? (document.metadata.namespace ?? 'default') : ''
    const drafts = specsOf(document, source).map(({ spec, path, index }) => {
      const described = spec.description === undefined ? {} : { description: spec.description }
      const reference = { kind, namespace, name, ...described, ...(index === undefined ? {} : { spec: index }) }
      return readSpec({ source, reference, path }, spec)
    })
    return { kind, namespace, name, drafts }
  }

function specsOf(document: Document, source: Source): readonly { spec: Spec; path: Path; index?: number }[] {
  const specs = (document.specs ?? []).map((spec, index) => ({ spec, path: ['specs', index], index }))
  if (document.spec === undefined && specs.length === 0) source.report('MISSING_FIELD', [], 'has no rules', 'spec, specs')
  return document.spec === undefined ? specs : [{ spec: document.spec, path: ['spec'] }, ...specs]
}

function readSpec(context: Context, spec: Spec): PolicyDraft {
  checkNotEmpty(context, spec)
  const directions = (['ingress', 'egress'] as const).filter((direction) => isolates(context, spec, direction))
  const isolation = directions.map((direction) => [direction, { ...context.reference, direction, action: 'default-deny', index: 0 }])
  return {
    subject: { requirements: readSubject(context, spec) },
    tier: 'normal',
    priority: 0,
    isolates: Object.fromEntries(isolation) as PolicyDraft['isolates'],
    rules: [
      ...readRules(context, spec, 'ingress', 'deny'),
      ...readRules(context, spec, 'ingress', 'allow'),
      ...readRules(context, spec, 'egress', 'deny'),
      ...readRules(context, spec, 'egress', 'allow'),
    ],
    audit: spec.audit ?? false,
  }
}

function readSubject({ source, reference, path }: Context, spec: Spec): readonly Requirement[] {
  const at = [...path, 'endpointSelector']
  if (spec.endpointSelector === undefined) {
    source.report('MISSING_FIELD', at, 'required field is missing', 'a selector; {} selects every workload')
    return []
  }
  const requirements = requirementsOf(source, spec.endpointSelector, at, sourcedKey)
  if (reference.namespace === '') return requirements
  const foreign = requirements.some(({ key, values }) => key === NAMESPACE_KEY && values.some((value) => value !== reference.namespace))
  if (foreign) source.report('INVALID', at, 'selects another namespace', `namespace ${reference.namespace}, the policy's own`)
  return [...requirements, equals(NAMESPACE_KEY, reference.namespace)]
}

const LISTS = ['ingress', 'ingressDeny', 'egress', 'egressDeny'] as const

/** An empty list isolates nobody, which surprises whoever wrote it; Cilium refuses such a policy too. */
function checkNotEmpty({ source, path }: Context, spec: Spec): void {
  if (LISTS.some((list) => (spec[list] ?? []).length > 0)) return
  source.report('INVALID', path, 'has no rule', `one rule at least in ${LISTS.join(', ')}; to deny all: ingress: [{}]`)
}

/** A direction with rules becomes default-deny unless enableDefaultDeny says otherwise. */
function isolates({ source, path }: Context, spec: Spec, direction: Direction): boolean {
  const ruled = [...(spec[direction] ?? []), ...(spec[`${direction}Deny`] ?? [])].length > 0
  const wanted = spec.enableDefaultDeny?.[direction]
  if (wanted === true && !ruled) {
    source.report('INVALID', [...path, 'enableDefaultDeny', direction], `has no ${direction} rules`, `${direction}: [{}] beside it`)
  }
  return ruled && wanted !== false
}

function readRules(context: Context, spec: Spec, direction: Direction, action: 'allow' | 'deny'): readonly RuleDraft[] {
  const list = action === 'allow' ? direction : (`${direction}Deny` as const)
  return (spec[list] ?? []).map((rule, index) => {
    const path = [...context.path, list, index]
    const ports = readPorts(context.source, rule, path)
    return {
      reference: { ...context.reference, direction, action, index },
      direction,
      action,
      peers: readPeers(context, direction, rule, path, ports !== undefined),
      ports: ports ?? 'all',
    }
  })
}

function peerFields(direction: Direction, rule: IngressRule | EgressRule): { names: readonly string[]; fields: PeerFields } {
  if (direction === 'ingress') {
    const { fromEndpoints: endpoints, fromEntities: entities, fromCIDR: cidrs, fromCIDRSet: cidrSet } = rule as IngressRule
    return { names: ['fromEndpoints', 'fromEntities', 'fromCIDR', 'fromCIDRSet'], fields: { endpoints, entities, cidrs, cidrSet } }
  }
  const { toEndpoints: endpoints, toEntities: entities, toCIDR: cidrs, toCIDRSet: cidrSet } = rule as EgressRule
  return { names: ['toEndpoints', 'toEntities', 'toCIDR', 'toCIDRSet'], fields: { endpoints, entities, cidrs, cidrSet } }
}

/**
 * Which peers a rule speaks of. Without any peer field it is every peer if there are ports, and nobody if not: `{}` is
 * how a CiliumNetworkPolicy turns default deny on. A list that is there and empty selects nobody.
 */
function readPeers(
  { source, reference }: Context,
  direction: Direction,
  rule: IngressRule | EgressRule,
  path: Path,
  hasPorts: boolean,
): RuleDraft['peers'] {
  const { names, fields } = peerFields(direction, rule)
  const [endpointsName = '', , cidrName = '', cidrSetName = ''] = names
  const given = [fields.endpoints, fields.entities, fields.cidrs, fields.cidrSet]
  if (given.every((list) => list === undefined)) return hasPorts ? 'any' : []
  checkOneKind(source, path, given.flatMap((list, index) => (list && list.length > 0 ? [names[index] ?? ''] : [])), names)
  if (given.some((list) => list?.length === 0)) return []
  return [
    ...(fields.endpoints ?? []).map((selector, index): Peer => {
      const requirements = requirementsOf(source, selector, [...path, endpointsName, index], sourcedKey)
      return { selector: { requirements: withNamespace(requirements, reference.namespace) } }
    }),
    ...(fields.entities ?? []).flatMap((entity) => selectorsOf(entity).map((selector): Peer => ({ selector }))),
    ...(fields.cidrs ?? []).map((cidr, index) => outside(source, { cidr }, [...path, cidrName, index])),
    ...(fields.cidrSet ?? []).map((block, index) => outside(source, block, [...path, cidrSetName, index])),
  ]
}

function checkOneKind(source: Source, path: Path, used: readonly string[], names: readonly string[]): void {
  if (used.length <= 1) return
  source.report('INVALID', path, `combines ${used.join(' and ')}`, `one of ${names.join(', ')} in each rule; write a rule for each`)
}

function outside(source: Source, block: { cidr: string; except?: readonly string[] }, path: Path): Peer {
  return { selector: { requirements: NOT_A_NODE }, ...cidrPeer(source, block, path, false) }
}

/** Undefined where the rule speaks of no ports at all. */
function readPorts(source: Source, rule: IngressRule | EgressRule, path: Path): RuleDraft['ports'] | undefined {
  const { toPorts = [], icmps = [] } = rule
  if (toPorts.length > 0 && icmps.length > 0) {
    source.report('INVALID', path, 'combines toPorts and icmps', 'one of the two in each rule; write a rule for each')
  }
  if (toPorts.length === 0 && icmps.length === 0) return undefined
  const ports = toPorts.flatMap((item, i) =>
    item.ports.map((port, j) => readPort(source, port, [...path, 'toPorts', i, 'ports', j])),
  )
  const types = icmps.flatMap((item, i) =>
    item.fields.map((field, j) => readIcmp(source, field, [...path, 'icmps', i, 'fields', j])),
  )
  return ports.includes('all') ? 'all' : [...ports.flatMap((port) => (port === 'all' ? [] : port)), ...types]
}

function readPort(source: Source, value: PortValue, path: Path): 'all' | readonly PortMatch[] {
  const { port, endPort = 0, protocol: name = 'ANY' } = value
  if (!/^\d+$/.test(port)) {
    if (endPort > 0) source.report('INVALID', [...path, 'endPort'], 'needs a port that is a number', 'no endPort beside a name')
    return [{ protocol: name === 'ANY' ? 'any' : PROTOCOLS[name], name: port.toLowerCase() }]
  }
  const first = Number(port)
  if (first === 0 && endPort > 0) source.report('INVALID', [...path, 'endPort'], 'stands beside port 0', 'no endPort: 0 is all ports')
  if (endPort > 0 && endPort < first) source.report('INVALID', [...path, 'endPort'], `is below port ${port}`, `${port} to 65535`)
  if (name === 'ANY' && first === 0) return 'all'
  const protocols = name === 'ANY' ? [PROTOCOLS.TCP, PROTOCOLS.UDP, PROTOCOLS.SCTP] : [PROTOCOLS[name]]
  return protocols.map((protocol) => (first === 0 ? wholeProtocol(protocol) : { protocol, first, last: endPort || first }))
}

function readIcmp(source: Source, { family = 'IPv4', type }: IcmpValue, path: Path): PortMatch {
  const number = icmpTypeNumber(family, type)
  if (number === undefined) {
    source.report('INVALID', [...path, 'type'], `${family} has no ICMP type ${type}`, icmpTypeNames(family).join(', '))
  }
  return icmpCodes(family === 'IPv4' ? PROTOCOLS.ICMP : PROTOCOLS.ICMPv6, number ?? 0)
}
