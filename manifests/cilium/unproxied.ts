// Ports that need a proxy, in a direction that their policy leaves open (`enableDefaultDeny: false`). Nothing of it would be
// denied by default, and so these ports would pass without the judgement that the policy asks for. They are denied where
// no other rule of this tier allows them: after the tier, and before those of the baseline.
import type { Direction } from '../../engine/index.ts'
import { BEFORE_BASELINE, type PolicyDraft, type RuleDraft } from '../model.ts'
import { together } from './ports.ts'

export function unproxied(draft: Omit<PolicyDraft, 'audit'>): readonly Omit<PolicyDraft, 'audit'>[] {
  const rules = draft.rules.filter(({ direction, proxied }) => proxied !== undefined && !isClosed(draft, direction)).map(denied)
  return rules.length === 0 ? [] : [{ ...draft, tier: 'baseline', priority: BEFORE_BASELINE, isolates: {}, rules }]
}

const isClosed = ({ isolates }: Pick<PolicyDraft, 'isolates'>, direction: Direction): boolean => isolates[direction] !== undefined

function denied({ proxied = [], reference, direction, peers }: RuleDraft): RuleDraft {
  return {
    reference: { ...reference, action: 'deny', field: 'toPorts' },
    direction,
    action: 'deny',
    peers,
    ports: together(proxied.map(({ ports }) => ports)),
  }
}
