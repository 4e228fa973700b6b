// What holds for workloads whose labels are not known yet: closed in both directions until a policy that selects
// `reserved:init` opens something. No document says so; it is there as soon as there is such a workload.
import type { CompiledPolicy, RuleReference, Workload } from './model.ts'
import type { NumberOf } from './compiler.ts'
import { exists } from './labels.ts'
import { formatRule } from './references.ts'

export function initPolicies(workloads: readonly Workload[], numberOf: NumberOf): readonly CompiledPolicy[] {
  const first = workloads.find(({ init }) => init)
  if (first === undefined) return []
  const reference = { kind: 'Default', namespace: '', name: 'init', action: 'default-deny', index: 0 } as const
  const ingress: RuleReference = { ...reference, direction: 'ingress' }
  const egress: RuleReference = { ...reference, direction: 'egress' }
  const isolates = { ingress: numberOf(formatRule(ingress)), egress: numberOf(formatRule(egress)) }
  const subject = { requirements: [exists('reserved:init')] }
  return [
    {
      key: 'Default//init',
      kind: 'Default',
      namespace: '',
      name: 'init',
      location: first.location,
      policies: [{ subject, tier: 'normal', priority: 0, isolates, rules: [], audit: false }],
      warnings: [],
      rules: new Map([[isolates.ingress, ingress], [isolates.egress, egress]]),
      proxied: new Map(),
    },
  ]
}
