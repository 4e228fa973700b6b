// The whole offline path (documents, compiler, engine) against an evaluation of the documents themselves.
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { compile, parseDocuments } from '../../manifests/index.ts'
import { documentsOf, isAllowed, testCluster, type TestPod, type TestProbe } from '../../manifests/testing/network-policies.ts'
import { isAllowedByTiers, tieredCluster, tieredDocuments } from '../../manifests/testing/tiers.ts'
import { matrixOf } from './matrix.ts'
import { Simulation } from '../../whatif/index.ts'
import { probeOf } from './testing/cases.ts'

const PORTS = [79, 80, 81, 82, 83, 84].flatMap((port) => ['TCP', 'UDP', 'SCTP'].map((protocol) => `${port}/${protocol}`))

type Allowed = (from: TestPod, to: TestPod, probe: TestProbe) => boolean

async function matrixFrom(objects: readonly object[]) {
  const text = objects.map((document) => stringify(document)).join('---\n')
  const { documents, errors } = parseDocuments(text, 'cluster.yaml')
  if (errors[0]) throw errors[0]
  return matrixOf(await Simulation.of(compile(documents)), PORTS.map(probeOf))
}

function expectedMatrix(pods: readonly TestPod[], isAllowed: Allowed) {
  const nameOf = ({ namespace, name }: TestPod) => `${namespace}/${name}`
  const of = (text: string) => {
    const [port = '', protocol = ''] = text.split('/')
    const probe = { protocol, port: Number(port) }
    const verdict = (from: TestPod, to: TestPod) => (isAllowed(from, to, probe) ? 'allowed' : 'denied')
    return Object.fromEntries(pods.map((from) => [nameOf(from), Object.fromEntries(pods.map((to) => [nameOf(to), verdict(from, to)]))]))
  }
  return Object.fromEntries(PORTS.map((text) => [text, of(text)]))
}

/** Compares every cell; a generator that only makes trivial clusters would prove nothing. */
class Comparison {
  readonly seen = { allowed: 0, denied: 0 }

  async check(t: ExecutionContext, objects: readonly object[], pods: readonly TestPod[], isAllowed: Allowed): Promise<void> {
    const expected = expectedMatrix(pods, isAllowed)
    t.deepEqual(await matrixFrom(objects), expected)
    for (const rows of Object.values(expected)) {
      for (const row of Object.values(rows)) for (const verdict of Object.values(row)) this.seen[verdict as keyof typeof this.seen]++
    }
  }

  confirm(t: ExecutionContext): void {
    t.true(this.seen.denied > 10_000 && this.seen.allowed > 10_000, JSON.stringify(this.seen))
  }
}

test('NetworkPolicies mean what the documentation says', async (t) => {
  const comparison = new Comparison()
  const property = fc.asyncProperty(testCluster, (cluster) =>
    comparison.check(t, documentsOf(cluster), cluster.pods, (from, to, probe) => isAllowed(cluster, from, to, probe)),
  )
  await fc.assert(property, { numRuns: 400 })
  comparison.confirm(t)
})

test('ClusterNetworkPolicies stand around NetworkPolicies as their definition says', async (t) => {
  const comparison = new Comparison()
  const property = fc.asyncProperty(tieredCluster, (all) =>
    comparison.check(t, tieredDocuments(all), all.cluster.pods, (from, to, probe) => isAllowedByTiers(all, from, to, probe)),
  )
  await fc.assert(property, { numRuns: 400 })
  comparison.confirm(t)
})
