// What is probably wrong with policies, beside what parsing refuses.
import type { Cluster } from '../../manifests/index.ts'
import { cidrsOverCluster } from './cidrs.ts'
import { missingDns } from './dns.ts'
import type { Finding } from './finding.ts'
import { unreachableRules } from './reachability.ts'
import { unresolvedReferences } from './references.ts'
import { unmatchedSelectors } from './selectors.ts'
import { LintWorld } from './world.ts'

export { LINT_CODES, type Finding, type LintCode, type Severity } from './finding.ts'

export async function lint(cluster: Cluster): Promise<readonly Finding[]> {
  const world = await LintWorld.of(cluster)
  return [
    ...(await unreachableRules(cluster, world)),
    ...unmatchedSelectors(cluster),
    ...unresolvedReferences(cluster),
    ...cidrsOverCluster(cluster),
    ...missingDns(cluster, world),
  ]
}
