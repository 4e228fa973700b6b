// Peers that a policy names by another document which is not there.
import type { Cluster } from '../../manifests/index.ts'
import type { Finding } from './finding.ts'

export function unresolvedReferences({ policies }: Pick<Cluster, 'policies'>): readonly Finding[] {
  return [...policies.values()].flatMap((policy) =>
    policy.warnings.filter(({ code }) => code === 'UNRESOLVED').map(({ file, line, column, path, problem, effect }) => ({
      code: 'unresolved-reference',
      severity: 'warning',
      policy,
      path: [],
      at: { file, line, column, path },
      problem: `${problem}: ${effect}`,
      advice: 'correct the name or the labels, or give its manifest with -f too',
    })))
}
