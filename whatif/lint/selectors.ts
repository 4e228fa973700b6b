// Selectors that select nobody: a typing error, or a workload that is gone.
import type { Policy, Requirement, Selector } from '../../engine/index.ts'
import { formatSelector, pathOfRule, type Cluster, type CompiledPolicy, type Path } from '../../manifests/index.ts'
import { matchesSelector } from '../trace.ts'
import type { Finding } from './finding.ts'

export function unmatchedSelectors(cluster: Cluster): readonly Finding[] {
  const isUnmatched = unmatched(cluster)
  return [...cluster.policies.values()].flatMap((document) =>
    document.policies.flatMap((policy): readonly Finding[] => {
      const { subject, rules } = policy
      if (isUnmatched(subject)) return [finding(document, pathOfPart(document, policy), subject, 'the policy protects nobody')]
      return rules.flatMap((rule) => {
        const reference = document.rules.get(rule.number)
        const peers = rule.peers === 'any' || reference === undefined ? [] : rule.peers
        const selectors = peers.flatMap((peer) => (peer.selector !== undefined && isUnmatched(peer.selector) ? [peer.selector] : []))
        return reference === undefined ? [] : selectors.map((selector) =>
          finding(document, pathOfRule(reference), selector, 'as a peer it is nobody'))
      })
    }),
  )
}

/** Reserved labels belong to peers that no manifest describes; nothing can be said about them. */
export function unmatched({ workloads, nodes }: Pick<Cluster, 'workloads' | 'nodes'>): (selector: Selector) => boolean {
  const labelSets = new Map([...workloads, ...nodes].map(({ labels }) => [labels.join('\n'), labels]))
  return (selector) => {
    if (selector.requirements.some(({ key }: Requirement) => key.startsWith('reserved:'))) return false
    return ![...labelSets.values()].some((labels) => matchesSelector(selector, labels))
  }
}

/** A part of a document is known by the rules that it has, the default deny among them. */
function pathOfPart(document: CompiledPolicy, { rules, isolates }: Policy): Path {
  const number = rules[0]?.number ?? isolates.ingress ?? isolates.egress ?? 0
  const spec = document.rules.get(number)?.spec
  return spec === undefined ? ['spec'] : ['specs', spec]
}

function finding(policy: CompiledPolicy, path: Path, selector: Selector, effect: string): Finding {
  return {
    code: 'selector-matches-nothing',
    severity: 'warning',
    policy,
    path,
    problem: `no workload or node matches ${formatSelector(selector)}: ${effect}`,
    advice: 'correct the labels; if the workloads are to come, silence this',
  }
}
