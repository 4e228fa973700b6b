// What holds for the node itself where policies select it: the ways in that no policy closes, so that a mistake locks
// nobody out. No document says so; it is there as soon as there is a host policy.
import type { PortMatch } from '../engine/index.ts'
import type { NumberOf } from './compiler.ts'
import { exists } from './labels.ts'
import type { CompiledPolicy, RuleReference } from './model.ts'
import { formatRule } from './references.ts'

const HOST_KEY = 'reserved:host'
const subject = { requirements: [exists(HOST_KEY)] }

/** Whether the policy is about nodes, this one or others. */
export function isHostPolicy({ policies }: Pick<CompiledPolicy, 'policies'>): boolean {
  return policies.some(({ subject: { requirements } }) => requirements.some(({ key, operator }) => key === HOST_KEY && operator === 'Exists'))
}

/** Admin policies select workloads alone, so nothing stands above this one. */
export function hostPolicies(written: readonly CompiledPolicy[], ports: readonly PortMatch[], numberOf: NumberOf): readonly CompiledPolicy[] {
  const first = written.find(isHostPolicy)
  if (first === undefined || ports.length === 0) return []
  const reference: RuleReference = { kind: 'Default', namespace: '', name: 'host', direction: 'ingress', action: 'allow', index: 0 }
  const number = numberOf(formatRule(reference))
  return [
    {
      key: 'Default//host',
      kind: 'Default',
      namespace: '',
      name: 'host',
      location: first.location,
      policies: [{ subject, tier: 'admin', priority: 0, isolates: {}, rules: [{ number, direction: 'ingress', action: 'allow', peers: 'any', ports }], audit: false }],
      warnings: [],
      rules: new Map([[number, reference]]),
      proxied: new Map(),
    },
  ]
}
