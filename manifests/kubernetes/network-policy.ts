// networking.k8s.io/v1 NetworkPolicy as drafts of policies.
// Semantics: https://kubernetes.io/docs/concepts/services-networking/network-policies/ and the API reference.
import type { Direction, Peer, PortMatch } from '../../engine/index.ts'
import { cidrPeer } from '../cidr.ts'
import { NAMESPACE_KEY, equals, exists } from '../labels.ts'
import type { Path } from '../document/errors.ts'
import { readAudit } from '../metadata.ts'
import type { PolicyDraft, RuleDraft, RuleReference } from '../model.ts'
import { PROTOCOLS, wholeProtocol } from '../ports.ts'
import type { PolicyResource } from '../resources.ts'
import type { Value } from '../document/schema.ts'
import type { networkPolicy } from './schemas.ts'
import { namespaceKey, podKey, requirementsOf } from '../selectors.ts'
import type { Source } from '../document/source.ts'

type Document = Value<typeof networkPolicy>
type IngressRule = NonNullable<Document['spec']['ingress']>[number]
type PeerValue = NonNullable<IngressRule['from']>[number]
type IpBlock = NonNullable<PeerValue['ipBlock']>
type PortValue = NonNullable<IngressRule['ports']>[number]

interface Context {
  readonly source: Source
  readonly namespace: string
  readonly name: string
}

export function readNetworkPolicy(document: Document, source: Source): PolicyResource {
  const { name, namespace = 'default' } = document.metadata
  const context = { source, namespace, name }
  return { kind: 'NetworkPolicy', namespace, name, drafts: [readSpec(context, document)] }
}

function readSpec(context: Context, { metadata, spec }: Document): PolicyDraft {
  const directions = directionsOf(spec)
  const subject = requirementsOf(context.source, spec.podSelector ?? {}, ['spec', 'podSelector'], podKey)
  const rules = (['ingress', 'egress'] as const).flatMap((direction) =>
    // All rules are read, so that faults show; those of a direction that policyTypes leaves out have no effect.
    readRules(context, spec, direction).filter(() => directions.includes(direction)),
  )
  const isolation = directions.map((direction) => [direction, reference(context, direction, 'default-deny', 0)])
  return {
    subject: { requirements: [equals(NAMESPACE_KEY, context.namespace), ...subject] },
    tier: 'normal',
    priority: 0,
    isolates: Object.fromEntries(isolation) as PolicyDraft['isolates'],
    rules,
    audit: readAudit(context.source, metadata.annotations),
  }
}

/** Without policyTypes: ingress always, egress where there are egress rules. */
function directionsOf({ policyTypes = [], egress = [] }: Document['spec']): readonly Direction[] {
  if (policyTypes.length === 0) return egress.length > 0 ? ['ingress', 'egress'] : ['ingress']
  return (['ingress', 'egress'] as const).filter((direction) =>
    policyTypes.includes(direction === 'ingress' ? 'Ingress' : 'Egress'),
  )
}

function readRules(context: Context, spec: Document['spec'], direction: Direction): readonly RuleDraft[] {
  const rules =
    direction === 'ingress'
      ? (spec.ingress ?? []).map(({ from, ports }) => ({ field: 'from', peers: from, ports }))
      : (spec.egress ?? []).map(({ to, ports }) => ({ field: 'to', peers: to, ports }))
  return rules.map(({ field, peers = [], ports = [] }, index) => {
    const path = ['spec', direction, index]
    return {
      reference: reference(context, direction, 'allow', index),
      direction,
      action: 'allow',
      // An empty list means the same as none: every peer, every port.
      peers: peers.length === 0 ? 'any' : peers.map((peer, at) => readPeer(context, peer, [...path, field, at])),
      ports: ports.length === 0 ? 'all' : ports.map((port, at) => readPort(context.source, port, [...path, 'ports', at])),
    }
  })
}

function reference(context: Context, direction: Direction, action: RuleReference['action'], index: number): RuleReference {
  return { kind: 'NetworkPolicy', namespace: context.namespace, name: context.name, direction, action, index }
}

function readPeer({ source, namespace }: Context, peer: PeerValue, path: Path): Peer {
  const { podSelector, namespaceSelector, ipBlock } = peer
  const selects = podSelector !== undefined || namespaceSelector !== undefined
  if (ipBlock ? selects : !selects) {
    const problem = ipBlock ? 'ipBlock stands together with a selector' : 'selects nothing'
    source.report('INVALID', path, problem, 'podSelector, namespaceSelector, both of these, or ipBlock alone')
  }
  if (ipBlock) return readBlock(source, ipBlock, [...path, 'ipBlock'])
  const namespaces = namespaceSelector
    ? [exists(NAMESPACE_KEY), ...requirementsOf(source, namespaceSelector, [...path, 'namespaceSelector'], namespaceKey)]
    : [equals(NAMESPACE_KEY, namespace)]
  const pods = requirementsOf(source, podSelector ?? {}, [...path, 'podSelector'], podKey)
  return { selector: { requirements: [...namespaces, ...pods] } }
}

/** Kubernetes wants exceptions that leave something of the block (validation of NetworkPolicy: a strict subset). */
function readBlock(source: Source, block: IpBlock, path: Path): Peer {
  const peer = cidrPeer(source, block, path, true)
  const { prefix, except = [] } = peer.cidr ?? {}
  except.forEach((exception, index) => {
    if (exception === prefix) source.report('INVALID', [...path, 'except', index], `${exception} is the whole of cidr`, `prefixes inside ${block.cidr}, longer than it`)
  })
  return peer
}

function readPort(source: Source, { protocol: protocolName = 'TCP', port, endPort }: PortValue, path: Path): PortMatch {
  const protocol = PROTOCOLS[protocolName]
  if (endPort !== undefined && (typeof port !== 'number' || endPort < port)) {
    const problem = typeof port === 'number' ? `is below port ${port}` : 'needs a port that is a number'
    source.report('INVALID', [...path, 'endPort'], problem, 'a number from port on')
  }
  if (port === undefined) return wholeProtocol(protocol)
  return typeof port === 'string' ? { protocol, name: port } : { protocol, first: port, last: endPort ?? port }
}
