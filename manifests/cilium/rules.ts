// The four lists of rules of a CiliumNetworkPolicy.
import type { Direction, Requirement } from '../../engine/index.ts'
import type { Path } from '../document/errors.ts'
import type { Value } from '../document/schema.ts'
import type { Source } from '../document/source.ts'
import type { RuleDraft, RuleReference } from '../model.ts'
import { readPeers } from './peers.ts'
import { readPorts } from './ports.ts'
import { conditionsOfDenials, narrowed, readRequires } from './requires.ts'
import type { ciliumRule } from './schemas.ts'

export type Spec = Value<typeof ciliumRule>

/** Denies first: they win, and whoever explains a decision shows rules in this order. */
export const LISTS = ['ingressDeny', 'ingress', 'egressDeny', 'egress'] as const
export type List = (typeof LISTS)[number]
export type RuleValue = NonNullable<Spec[List]>[number]

/** One part of a document: its `spec`, or an item of `specs`. */
export interface Context {
  readonly source: Source
  readonly reference: Omit<RuleReference, 'direction' | 'action' | 'index' | 'list'>
  readonly path: Path
}

export function readRules(context: Context, spec: Spec): readonly RuleDraft[] {
  return LISTS.flatMap((list) => {
    const conditions = list.endsWith('Deny') ? conditionsOfDenials(context, spec, list) : []
    return (spec[list] ?? []).flatMap((rule, index) => readRule(context, spec, { list, index, conditions }, rule))
  })
}

interface Place {
  readonly list: List
  readonly index: number
  /** Of the denials of the list. */
  readonly conditions: readonly Requirement[]
}

function readRule(context: Context, spec: Spec, { list, index, conditions }: Place, rule: RuleValue): readonly RuleDraft[] {
  const path = [...context.path, list, index]
  const direction: Direction = list.startsWith('ingress') ? 'ingress' : 'egress'
  const authentication = readAuthentication(context, rule, path)
  const denies = list !== direction
  const action = !denies && authentication !== 'denied' ? 'allow' : 'deny'
  const spoken = readPorts(context.source, spec, direction, rule, path)
  const peers = readPeers(context, direction, rule, path, spoken !== undefined)
  const own: RuleDraft = {
    reference: { ...context.reference, direction, action, ...placeOf(list, index, authentication === 'denied' ? 'authentication' : undefined) },
    direction,
    action,
    peers: narrowed(rule, peers, conditions),
    ...(spoken ?? { ports: 'all' }),
  }
  return denies ? [own] : [...readRequires(context, direction, rule, { list, index, path }), own]
}

/** Where in a document a rule, or one of its fields, decides. */
export function placeOf(list: List, index: number, field?: string): Pick<RuleReference, 'index' | 'list' | 'field'> {
  return { index, ...(list.endsWith('Deny') && { list }), ...(field !== undefined && { field }) }
}

/**
 * What has to be authenticated is not let through without: also where another rule allows it, since a rule that
 * demands authentication does so for every rule that matches the same traffic.
 */
function readAuthentication({ source }: Context, rule: RuleValue, path: Path): 'not asked' | 'denied' {
  const mode = 'authentication' in rule ? rule.authentication?.mode : undefined
  if (mode === undefined || mode === 'disabled') return 'not asked'
  if (mode === 'required') {
    source.warn('NO_AUTHENTICATION', [...path, 'authentication'], 'there is no mutual authentication yet', 'the rule denies what it would allow')
  }
  return 'denied'
}
