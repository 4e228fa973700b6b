// fromRequires and toRequires: conditions on every workload that the subject speaks with, whichever rule allows it.
// A peer that lacks one is denied, so that rules of other policies are bound too; nothing is allowed by them.
// In deny rules they are conditions on the workloads that the denials mean, whichever of these rules has them. Those of
// other policies stay as wide as they are: no policy opens what another one closes.
import type { Direction, Peer, Requirement } from '../../engine/index.ts'
import type { Path } from '../document/errors.ts'
import { NAMESPACE_KEY, exists } from '../labels.ts'
import type { RuleDraft } from '../model.ts'
import { requirementsOf, sourcedKey, withNamespace } from '../selectors.ts'
import { placeOf, type Context, type List, type RuleValue, type Spec } from './rules.ts'

const OPPOSITE = { In: 'NotIn', NotIn: 'In', Exists: 'DoesNotExist', DoesNotExist: 'Exists' } as const

export const requiresOf = (rule: RuleValue) =>
  'fromRequires' in rule
    ? { field: 'fromRequires', selectors: rule.fromRequires ?? [] }
    : { field: 'toRequires', selectors: ('toRequires' in rule ? rule.toRequires : undefined) ?? [] }

export function readRequires(
  context: Context,
  direction: Direction,
  rule: RuleValue,
  { list, index, path }: { list: List; index: number; path: Path },
): readonly RuleDraft[] {
  const { reference } = context
  const { field } = requiresOf(rule)
  const requirements = readSelectors(context, rule, path)
  if (requirements.length === 0) return []
  const deny = { direction, action: 'deny', peers: requirements.map(lacking), ports: 'all' } as const
  return [{ ...deny, reference: { ...reference, direction, action: 'deny', ...placeOf(list, index, field) } }]
}

/** Each of them is a part of each denial of its list. */
const MOST_CONDITIONS = 40

/** What the workloads of all denials of a list have to fulfil. */
export function conditionsOfDenials(context: Context, spec: Spec, list: List): readonly Requirement[] {
  const at = [...context.path, list]
  const conditions = (spec[list] ?? []).flatMap((rule, index) => readSelectors(context, rule, [...at, index]))
  if (conditions.length <= MOST_CONDITIONS) return conditions
  context.source.report('LIMIT', at, `has ${conditions.length} conditions on the peers of its denials`, `at most ${MOST_CONDITIONS}`)
  return []
}

/** Only workloads have labels to require. */
export function narrowed(rule: RuleValue, peers: RuleDraft['peers'], conditions: readonly Requirement[]): RuleDraft['peers'] {
  const ofWorkloads = 'fromEndpoints' in rule || 'toEndpoints' in rule
  if (peers === 'any' || conditions.length === 0 || !ofWorkloads) return peers
  return peers.map((peer) => ('selector' in peer ? { ...peer, selector: { requirements: [...(peer.selector?.requirements ?? []), ...conditions] } } : peer))
}

function readSelectors({ source, reference }: Context, rule: RuleValue, path: Path): readonly Requirement[] {
  const { field, selectors } = requiresOf(rule)
  return selectors.flatMap((selector, at) =>
    withNamespace(requirementsOf(source, selector, [...path, field, at], sourcedKey), reference.namespace),
  )
}

/** Workloads for which the requirement does not hold; what is no workload has no labels to require. */
function lacking({ key, operator, values }: Requirement): Peer {
  return { selector: { requirements: [exists(NAMESPACE_KEY), { key, operator: OPPOSITE[operator], values }] } }
}
