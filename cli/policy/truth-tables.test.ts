// Truth tables of NetworkPolicies: every combination of peers, ports and directions, and of two that overlap, against an
// evaluation of the documents themselves. Each combination has a workload of its own, so that one's egress meets another's ingress.
import test, { type ExecutionContext } from 'ava'
import { addressOf, type Combination, inhabitants, namespaces, overlapping, single } from '../../manifests/testing/combinations.ts'
import { documentsOf, isAllowed, type TestCluster } from '../../manifests/testing/network-policies.ts'
import { Comparison } from './testing/matrix.ts'

const PORTS = ['80/TCP', '81/TCP', '83/TCP', '80/UDP', '81/UDP', '80/SCTP', '81/SCTP']
const AT_ONCE = 10

/** The inhabitants and, each in the namespace of another and with its labels, one subject a combination. */
function clusterOf(combinations: readonly Combination[], family: 'ipv4' | 'ipv6'): TestCluster {
  const subjects = combinations.map((_, index) => {
    const model = inhabitants[index % inhabitants.length] as (typeof inhabitants)[number]
    return { ...model, name: `subject-${index}`, labels: { ...model.labels, subject: `${index}` } }
  })
  const policies = combinations.flatMap(({ specs }, index) => specs.map((spec, number) => ({
    namespace: subjects[index]?.namespace ?? '',
    name: `policy-${index}-${number}`,
    spec: { ...spec, podSelector: { matchLabels: { subject: `${index}` } } },
  })))
  const pods = [...inhabitants, ...subjects].map((pod, index) => ({ ...pod, ip: addressOf(index, family) }))
  return { namespaces, pods, policies }
}

/** Combinations that stand far apart in the list share a cluster: neighbours are alike. */
function batches(combinations: readonly Combination[]): Combination[][] {
  const count = Math.ceil(combinations.length / AT_ONCE)
  return Array.from({ length: count }, (_, first) => combinations.filter((_, index) => index % count === first))
}

async function checkAll(t: ExecutionContext, combinations: readonly Combination[]): Promise<void> {
  t.timeout(170_000)
  const comparison = new Comparison(PORTS)
  for (const [index, batch] of batches(combinations).entries()) {
    const cluster = clusterOf(batch, index % 2 === 0 ? 'ipv4' : 'ipv6')
    const what = batch.map(({ title }, number) => `subject-${number}: ${title}`).join('\n')
    await comparison.check(t, documentsOf(cluster), cluster.pods, (from, to, probe) => isAllowed(cluster, from, to, probe), what)
  }
  comparison.confirm(t)
}

test('every rule in every direction', (t) => checkAll(t, single))

test('every two peers with the same ports, and every two ports with the same peers', (t) => checkAll(t, overlapping))
