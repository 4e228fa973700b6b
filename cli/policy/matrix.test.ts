// The whole offline path (documents, compiler, engine) against an evaluation of the documents themselves.
import test from 'ava'
import fc from 'fast-check'
import { documentsOf, isAllowed, testCluster } from '../../manifests/testing/network-policies.ts'
import { isAllowedByTiers, tieredCluster, tieredDocuments } from '../../manifests/testing/tiers.ts'
import { Comparison } from './testing/matrix.ts'

const PORTS = [79, 80, 81, 82, 83, 84].flatMap((port) => ['TCP', 'UDP', 'SCTP'].map((protocol) => `${port}/${protocol}`))

test('NetworkPolicies mean what the documentation says', async (t) => {
  const comparison = new Comparison(PORTS)
  const property = fc.asyncProperty(testCluster, (cluster) =>
    comparison.check(t, documentsOf(cluster), cluster.pods, (from, to, probe) => isAllowed(cluster, from, to, probe)),
  )
  await fc.assert(property, { numRuns: 400 })
  comparison.confirm(t)
})

test('ClusterNetworkPolicies stand around NetworkPolicies as their definition says', async (t) => {
  const comparison = new Comparison(PORTS)
  const property = fc.asyncProperty(tieredCluster, (all) =>
    comparison.check(t, tieredDocuments(all), all.cluster.pods, (from, to, probe) => isAllowedByTiers(all, from, to, probe)),
  )
  await fc.assert(property, { numRuns: 400 })
  comparison.confirm(t)
})
