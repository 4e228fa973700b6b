// policy.networking.k8s.io/v1alpha1 AdminNetworkPolicy and BaselineAdminNetworkPolicy: the older form of the tiers.
import type { PortMatch } from '../../engine/index.ts'
import type { Path } from '../document/errors.ts'
import type { Value } from '../document/schema.ts'
import type { Source } from '../document/source.ts'
import { PROTOCOLS, portRange, singlePort } from '../ports.ts'
import type { PolicyResource } from '../resources.ts'
import { exactlyOne, readTieredPolicy, type TieredPolicy, type TieredRule } from './rules.ts'
import type { adminNetworkPolicy, adminPort, baselineAdminNetworkPolicy } from './schemas.ts'

type AdminDocument = Value<typeof adminNetworkPolicy>
type BaselineDocument = Value<typeof baselineAdminNetworkPolicy>
type Spec = Omit<AdminDocument['spec'], 'priority'> | BaselineDocument['spec']
type IngressRule = NonNullable<Spec['ingress']>[number]
type EgressRule = NonNullable<Spec['egress']>[number]
type PortValue = Value<typeof adminPort>

/** After every ClusterNetworkPolicy of the tier, whose priorities end at 1000. */
const BASELINE_PRIORITY = 1001

export function readAdminNetworkPolicy({ metadata, spec }: AdminDocument, source: Source): PolicyResource {
  const { priority, subject } = spec
  const policy = { kind: 'AdminNetworkPolicy', metadata, tier: 'admin', priority, subject } as const
  return readTieredPolicy(source, { ...policy, rules: readRules(source, spec) })
}

export function readBaselineAdminNetworkPolicy({ metadata, spec }: BaselineDocument, source: Source): PolicyResource {
  const policy = { kind: 'BaselineAdminNetworkPolicy', metadata, tier: 'baseline', subject: spec.subject } as const
  return readTieredPolicy(source, { ...policy, priority: BASELINE_PRIORITY, rules: readRules(source, spec) })
}

function readRules(source: Source, { ingress = [], egress = [] }: Spec): TieredPolicy['rules'] {
  return {
    ingress: ingress.map((rule, index) => readRule(source, rule, rule.from, ['spec', 'ingress', index])),
    egress: egress.map((rule, index) => readRule(source, rule, rule.to, ['spec', 'egress', index])),
  }
}

function readRule(source: Source, { name, action, ports }: IngressRule | EgressRule, peers: TieredRule['peers'], path: Path): TieredRule {
  return { name, action, peers, ports: ports?.map((port, index) => readPort(source, port, [...path, 'ports', index])) ?? 'all' }
}

function readPort(source: Source, value: PortValue, path: Path): PortMatch {
  const { portNumber, portRange: range, namedPort } = value
  const field = exactlyOne(source, value, path, ['portNumber', 'portRange', 'namedPort'])
  if (field === undefined || field === 'namedPort') return { protocol: 'any', name: namedPort ?? '' }
  const protocol = PROTOCOLS[portNumber?.protocol ?? range?.protocol ?? 'TCP']
  return range === undefined ? singlePort(protocol, portNumber?.port ?? 0) : portRange(source, protocol, range, [...path, field])
}
