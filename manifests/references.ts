// The text of a rule, as flows, verdicts and errors show it.
import type { CompiledPolicy, RuleReference } from './model.ts'

/** `CiliumNetworkPolicy demo/web ingress[0]`, `... specs[1].egressDeny[2]`, `... ingress (default deny)`. */
export function formatRule(reference: RuleReference): string {
  const { kind, namespace, name, direction, action, index, list = direction, field, spec } = reference
  const part = spec === undefined ? '' : `specs[${spec}].`
  const rule = action === 'default-deny' ? `${direction} (default deny)` : `${list}[${index}]${field === undefined ? '' : `.${field}`}`
  return `${kind} ${namespace === '' ? name : `${namespace}/${name}`} ${part}${rule}`
}

/** The texts of all rules of a policy: what numbers are given for. */
export const rulesOf = ({ rules }: Pick<CompiledPolicy, 'rules'>): readonly string[] => [...rules.values()].map(formatRule)
