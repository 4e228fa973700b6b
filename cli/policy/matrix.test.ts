// The whole offline path (documents, compiler, engine) against an evaluation of the NetworkPolicy documents.
import test from 'ava'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { compile, parseDocuments } from '../../manifests/index.ts'
import { documentsOf, isAllowed, testCluster, type TestCluster } from '../../manifests/testing/network-policies.ts'
import { parseProbe } from './inputs.ts'
import { matrixOf } from './matrix.ts'
import { Simulation } from './simulation.ts'

const PORTS = [79, 80, 81, 82, 83, 84].flatMap((port) => ['TCP', 'UDP', 'SCTP'].map((protocol) => `${port}/${protocol}`))

async function matrixFrom(cluster: TestCluster) {
  const text = documentsOf(cluster).map((document) => stringify(document)).join('---\n')
  const { documents, errors } = parseDocuments(text, 'cluster.yaml')
  if (errors[0]) throw errors[0]
  return matrixOf(await Simulation.of(compile(documents)), PORTS.map(parseProbe))
}

function expectedMatrix(cluster: TestCluster) {
  const nameOf = ({ namespace, name }: TestCluster['pods'][number]) => `${namespace}/${name}`
  const of = (text: string) => {
    const [port = '', protocol = ''] = text.split('/')
    const probe = { protocol, port: Number(port) }
    return Object.fromEntries(
      cluster.pods.map((from) => [
        nameOf(from),
        Object.fromEntries(cluster.pods.map((to) => [nameOf(to), isAllowed(cluster, from, to, probe) ? 'allowed' : 'denied'])),
      ]),
    )
  }
  return Object.fromEntries(PORTS.map((text) => [text, of(text)]))
}

test('NetworkPolicies mean what the documentation says', async (t) => {
  const seen = { allowed: 0, denied: 0 }
  const property = fc.asyncProperty(testCluster, async (cluster) => {
    const expected = expectedMatrix(cluster)
    t.deepEqual(await matrixFrom(cluster), expected)
    for (const rows of Object.values(expected)) {
      for (const row of Object.values(rows)) for (const verdict of Object.values(row)) seen[verdict as keyof typeof seen]++
    }
  })
  await fc.assert(property, { numRuns: 400 })
  // A generator that only makes trivial clusters would prove nothing.
  t.true(seen.denied > 10_000 && seen.allowed > 10_000, JSON.stringify(seen))
})
