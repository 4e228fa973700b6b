// fromRequires and toRequires: conditions on every workload that the subject speaks with, whichever rule allows it.
// A peer that lacks one is denied, so that rules of other policies are bound too; nothing is allowed by them.
import type { Direction, Peer, Requirement } from '../../engine/index.ts'
import type { Path } from '../document/errors.ts'
import { NAMESPACE_KEY, exists } from '../labels.ts'
import type { RuleDraft } from '../model.ts'
import { requirementsOf, sourcedKey, withNamespace } from '../selectors.ts'
import { placeOf, type Context, type List, type RuleValue } from './rules.ts'

const OPPOSITE = { In: 'NotIn', NotIn: 'In', Exists: 'DoesNotExist', DoesNotExist: 'Exists' } as const

export const requiresOf = (rule: RuleValue) =>
  'fromRequires' in rule
    ? { field: 'fromRequires', selectors: rule.fromRequires ?? [] }
    : { field: 'toRequires', selectors: ('toRequires' in rule ? rule.toRequires : undefined) ?? [] }

export function readRequires(
  { source, reference }: Context,
  direction: Direction,
  rule: RuleValue,
  { list, index, path }: { list: List; index: number; path: Path },
): readonly RuleDraft[] {
  const { field, selectors } = requiresOf(rule)
  const requirements = selectors.flatMap((selector, at) =>
    withNamespace(requirementsOf(source, selector, [...path, field, at], sourcedKey), reference.namespace),
  )
  if (requirements.length === 0) return []
  const deny = { direction, action: 'deny', peers: requirements.map(lacking), ports: 'all' } as const
  return [{ ...deny, reference: { ...reference, direction, action: 'deny', ...placeOf(list, index, field) } }]
}

/** Workloads for which the requirement does not hold; what is no workload has no labels to require. */
function lacking({ key, operator, values }: Requirement): Peer {
  return { selector: { requirements: [exists(NAMESPACE_KEY), { key, operator: OPPOSITE[operator], values }] } }
}
