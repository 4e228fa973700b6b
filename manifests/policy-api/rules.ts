// What the kinds of policy.networking.k8s.io have alike: a subject, and ordered rules with an action, peers and ports.
// Semantics: the API definitions of the Network Policy API, https://network-policy-api.sigs.k8s.io/reference/spec/.
import type { Direction, Peer, PortMatch, Requirement } from '../../engine/index.ts'
import { cidrPeer } from '../cidr.ts'
import type { Path } from '../document/errors.ts'
import type { Value } from '../document/schema.ts'
import type { Source } from '../document/source.ts'
import { NAMESPACE_KEY, exists } from '../labels.ts'
import { readAudit, type clusterwide } from '../metadata.ts'
import { BEFORE_BASELINE, type PolicyDraft, type RuleDraft } from '../model.ts'
import { nodePeers } from '../nodes.ts'
import type { PolicyResource } from '../resources.ts'
import { namespaceKey, nodeKey, podKey, requirementsOf } from '../selectors.ts'
import type { egressPeer, subject } from './schemas.ts'

type Subject = Value<typeof subject>
/** Those of ingress are the same with fewer fields. */
type PeerValue = Value<typeof egressPeer>

export const ACTIONS = { Accept: 'allow', Allow: 'allow', Deny: 'deny', Pass: 'pass' } as const

/** A rule of any of the kinds; `ports` and what field they stand in differ between versions. */
export interface TieredRule {
  readonly name: string | undefined
  readonly action: keyof typeof ACTIONS
  readonly peers: readonly PeerValue[]
  readonly ports: 'all' | readonly PortMatch[]
}

export interface TieredPolicy {
  readonly kind: PolicyResource['kind']
  readonly metadata: Value<typeof clusterwide>
  readonly tier: 'admin' | 'baseline'
  readonly priority: number
  readonly subject: Subject
  readonly rules: { readonly [D in Direction]: readonly TieredRule[] }
}

const FIELD = { ingress: 'from', egress: 'to' } as const

export function readTieredPolicy(source: Source, policy: TieredPolicy): PolicyResource {
  const { kind, metadata, tier, priority, rules } = policy
  const draft: PolicyDraft = {
    subject: { requirements: readSubject(source, policy.subject) },
    tier,
    priority: tier === 'baseline' ? priority + BEFORE_BASELINE + 1 : priority,
    isolates: {},
    rules: (['ingress', 'egress'] as const).flatMap((direction) =>
      rules[direction].map((rule, index) => readRule(source, policy, direction, rule, index)),
    ),
    audit: readAudit(source, metadata.annotations),
  }
  return { kind, namespace: '', name: metadata.name, drafts: [draft] }
}

/** Reports anything but one field; gives that one's name. */
export function exactlyOne<const F extends string>(
  source: Source,
  value: { readonly [K in F]?: unknown },
  path: Path,
  names: readonly F[],
): F | undefined {
  const given = names.filter((name) => value[name] !== undefined)
  if (given.length === 1) return given[0]
  source.report('INVALID', path, given.length === 0 ? 'has no field' : `has ${given.join(' and ')}`, `exactly one of ${names.join(', ')}`)
  return undefined
}

function readSubject(source: Source, value: Subject): readonly Requirement[] {
  const path = ['spec', 'subject']
  exactlyOne(source, value, path, ['namespaces', 'pods'])
  return podRequirements(source, value, path)
}

function readRule(source: Source, policy: TieredPolicy, direction: Direction, rule: TieredRule, index: number): RuleDraft {
  const action = ACTIONS[rule.action]
  const field = FIELD[direction]
  checkNamedPorts(source, rule, ['spec', direction, index])
  return {
    reference: {
      kind: policy.kind,
      namespace: '',
      name: policy.metadata.name,
      direction,
      action,
      index,
      ...(rule.name !== undefined && { description: rule.name }),
    },
    direction,
    action,
    peers: rule.peers.flatMap((peer, at) => readPeer(source, action, peer, ['spec', direction, index, field, at])),
    ports: rule.ports,
  }
}

/** Nothing but a workload has named ports. */
function checkNamedPorts(source: Source, { peers, ports }: TieredRule, path: Path): void {
  const named = ports !== 'all' && ports.some((port) => 'name' in port)
  const nameless = peers.some(({ nodes, networks, domainNames }) => nodes ?? networks ?? domainNames)
  if (named && nameless) {
    source.report('INVALID', path, 'has a named port beside nodes, networks or domainNames', 'port numbers, which these peers have')
  }
}

function readPeer(source: Source, action: RuleDraft['action'], peer: PeerValue, path: Path): readonly Peer[] {
  switch (exactlyOne(source, peer, path, ['namespaces', 'pods', 'nodes', 'networks', 'domainNames'])) {
    case 'nodes':
      return nodePeers(requirementsOf(source, peer.nodes ?? {}, [...path, 'nodes'], nodeKey))
    case 'networks':
      // By address, workloads included: so the definition says.
      return (peer.networks ?? []).map((cidr, index) => cidrPeer(source, { cidr }, [...path, 'networks', index], true))
    case 'domainNames':
      return readDomainNames(source, action, [...path, 'domainNames'])
    default:
      return [{ selector: { requirements: podRequirements(source, peer, path) } }]
  }
}

function podRequirements(source: Source, { namespaces, pods }: Subject, path: Path): readonly Requirement[] {
  const namespaceSelector = namespaces ?? pods?.namespaceSelector ?? {}
  const namespacePath = namespaces ? [...path, 'namespaces'] : [...path, 'pods', 'namespaceSelector']
  return [
    exists(NAMESPACE_KEY),
    ...requirementsOf(source, namespaceSelector, namespacePath, namespaceKey),
    ...requirementsOf(source, pods?.podSelector ?? {}, [...path, 'pods', 'podSelector'], podKey),
  ]
}

function readDomainNames(source: Source, action: RuleDraft['action'], path: Path): readonly Peer[] {
  if (action !== 'allow') source.report('INVALID', path, `stands in a rule that does not accept`, 'networks, or domainNames in an accepting rule')
  source.warn('NO_DNS_POLICY', path, 'domain names are not resolved yet', 'the peer selects nobody')
  return []
}
