// The least policies that allow what was seen: one for each group of like workloads, closed in both directions but for it.
import { nameOf } from '../ends.ts'
import type { SeenConnection } from '../flows.ts'
import type { RecordedEnds } from '../recorded.ts'
import { ciliumLanguage, ciliumNetworkPolicy } from './cilium.ts'
import { groupsOf, type Group } from './groups.ts'
import { networkPolicy, networkPolicyLanguage } from './kubernetes.ts'
import { draft } from './rules.ts'

export { entityOf } from './rules.ts'

export const SUGGESTED_KINDS = ['NetworkPolicy', 'CiliumNetworkPolicy'] as const
export type SuggestedKind = (typeof SUGGESTED_KINDS)[number]

export interface SuggestOptions {
  readonly kind: SuggestedKind
  /** How addresses outside are named; entities are words of CiliumNetworkPolicies alone. */
  readonly world: 'cidr' | 'entity'
}

export interface Suggestion {
  readonly policies: readonly SuggestedDocument[]
  /** Connections that the kind has no words for. */
  readonly unsaid: readonly SeenConnection[]
  /** Workloads that no flow is about: they get no policy. */
  readonly unseen: readonly string[]
}

export interface SuggestedDocument {
  readonly document: object
  readonly workloads: readonly string[]
  readonly flows: number
}

export function suggest(connections: readonly SeenConnection[], ends: RecordedEnds, { kind, world }: SuggestOptions): Suggestion {
  const { cluster } = ends
  const groups = groupsOf(cluster.workloads)
  const isKubernetes = kind === 'NetworkPolicy'
  const { policies, unsaid } = draft(connections, ends, groups, isKubernetes ? networkPolicyLanguage : ciliumLanguage(cluster, world))
  const names = namesFor(policies.map(({ group }) => group))
  const write = isKubernetes ? networkPolicy : ciliumNetworkPolicy
  const documents = policies.map((policy): SuggestedDocument => ({
    document: write(policy, names.get(policy.group) ?? 'suggested'),
    workloads: policy.group.workloads.map(nameOf),
    flows: policy.flows,
  }))
  const seen = new Set(documents.flatMap(({ workloads }) => workloads))
  return { policies: documents, unsaid, unseen: cluster.workloads.map(nameOf).filter((name) => !seen.has(name)) }
}

/** After the group's most telling label; each once in its namespace. */
function namesFor(groups: readonly Group[]): ReadonlyMap<Group, string> {
  const taken = new Set<string>()
  return new Map(groups.map((group) => {
    const [value = 'workloads'] = Object.values(group.selector.matchLabels ?? {})
    const base = `suggested-${value.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '') || 'workloads'}`
    let name = base
    for (let number = 2; taken.has(`${group.namespace}/${name}`); number++) name = `${base}-${number}`
    taken.add(`${group.namespace}/${name}`)
    return [group, name]
  }))
}
