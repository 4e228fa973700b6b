// The text of a rule, as flows, verdicts and errors show it.
import type { RuleReference } from './model.ts'

/** `CiliumNetworkPolicy demo/web ingress[0]`, `... specs[1].egressDeny[2]`, `... ingress (default deny)`. */
export function formatRule(reference: RuleReference): string {
  const { kind, namespace, name, direction, action, index, spec } = reference
  const part = spec === undefined ? '' : `specs[${spec}].`
  const rule = {
    allow: `${direction}[${index}]`,
    pass: `${direction}[${index}]`,
    deny: kind.startsWith('Cilium') ? `${direction}Deny[${index}]` : `${direction}[${index}]`,
    'default-deny': `${direction} (default deny)`,
  }[action]
  return `${kind} ${namespace === '' ? name : `${namespace}/${name}`} ${part}${rule}`
}
