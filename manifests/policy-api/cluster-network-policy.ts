// policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy: the tiers around NetworkPolicies.
import type { PortMatch } from '../../engine/index.ts'
import type { Path } from '../document/errors.ts'
import type { Value } from '../document/schema.ts'
import type { Source } from '../document/source.ts'
import { PROTOCOLS, portRange, singlePort } from '../ports.ts'
import type { PolicyResource } from '../resources.ts'
import { exactlyOne, readTieredPolicy, type TieredRule } from './rules.ts'
import type { clusterNetworkPolicy, protocol } from './schemas.ts'

type Document = Value<typeof clusterNetworkPolicy>
type IngressRule = NonNullable<Document['spec']['ingress']>[number]
type EgressRule = NonNullable<Document['spec']['egress']>[number]
type ProtocolValue = Value<typeof protocol>

export function readClusterNetworkPolicy({ metadata, spec }: Document, source: Source): PolicyResource {
  return readTieredPolicy(source, {
    kind: 'ClusterNetworkPolicy',
    metadata,
    tier: spec.tier === 'Admin' ? 'admin' : 'baseline',
    priority: spec.priority,
    subject: spec.subject,
    rules: {
      ingress: (spec.ingress ?? []).map((rule, index) => readRule(source, rule, rule.from, ['spec', 'ingress', index])),
      egress: (spec.egress ?? []).map((rule, index) => readRule(source, rule, rule.to, ['spec', 'egress', index])),
    },
  })
}

function readRule(source: Source, { name, action, protocols }: IngressRule | EgressRule, peers: TieredRule['peers'], path: Path): TieredRule {
  const ports = protocols?.map((value, index) => readProtocol(source, value, [...path, 'protocols', index]))
  return { name, action, peers, ports: ports ?? 'all' }
}

const TRANSPORTS = { tcp: PROTOCOLS.TCP, udp: PROTOCOLS.UDP, sctp: PROTOCOLS.SCTP } as const

function readProtocol(source: Source, value: ProtocolValue, path: Path): PortMatch {
  const field = exactlyOne(source, value, path, ['tcp', 'udp', 'sctp', 'destinationNamedPort'])
  if (field === undefined || field === 'destinationNamedPort') return { protocol: 'any', name: value.destinationNamedPort ?? '' }
  const at = [...path, field, 'destinationPort']
  const { number, range } = value[field]?.destinationPort ?? {}
  exactlyOne(source, { number, range }, at, ['number', 'range'])
  return range === undefined ? singlePort(TRANSPORTS[field], number ?? 0) : portRange(source, TRANSPORTS[field], range, [...at, 'range'])
}
