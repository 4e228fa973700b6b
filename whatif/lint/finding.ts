// What lint finds, and of what weight.
import type { CompiledPolicy, Path, ValuePlace } from '../../manifests/index.ts'

export const LINT_CODES = {
  'shadowed-policy': 'nothing that the policy allows ever gets through: a deny, or a higher tier, decides all of it',
  'unreachable-rule': 'the rule never decides, for no workload and no peer that it could be about: other rules come first',
  'redundant-rule': 'other rules of the same effect decide all that this one is about',
  'selector-matches-nothing': 'no workload or node has these labels',
  'unresolved-reference': 'there is no Service, or CiliumCIDRGroup, of the name or labels that the rule gives',
  'cidr-covers-workloads': 'addresses of the prefix belong to workloads',
  'cidr-covers-nodes': 'addresses of the prefix belong to nodes',
  'cidr-covers-services': 'addresses of the prefix belong to services, and are translated before policies are asked',
  'missing-dns-egress': 'default deny for egress, and no rule lets names be looked up (53/UDP)',
  'malformed-annotation': 'the annotation that silences findings names one that there is not',
} as const

export type LintCode = keyof typeof LINT_CODES

/** `error`: the policy does not do what it says; `warning`: probably not; `info`: worth knowing. */
export type Severity = 'error' | 'warning' | 'info'

export interface Finding {
  readonly code: LintCode
  readonly severity: Severity
  readonly policy: CompiledPolicy
  /** Of the rule, or the part, in the policy's document. */
  readonly path: Path
  /** Where that stands, of what is known from reading the document. */
  readonly at?: ValuePlace
  readonly problem: string
  /** What to do. */
  readonly advice: string
}

const SHOWN = 3

/** `a, b, c and 4 more` */
export function several(names: readonly string[]): string {
  const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : ''
  return `${names.slice(0, SHOWN).join(', ')}${more}`
}
