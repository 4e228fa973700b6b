// CiliumNetworkPolicies through documents, compiler and engine against an evaluation of the documents themselves,
// between pods, nodes and the world.
import test from 'ava'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { compile, parseDocuments } from '../../manifests/index.ts'
import { ciliumAllows, ciliumCluster, ciliumDocuments, OTHERS, type CiliumCluster } from '../../manifests/testing/cilium-policies.ts'
import { parseEnd } from './inputs.ts'
import { Simulation } from '../../whatif/index.ts'
import { probeOf } from './testing/cases.ts'

const PORTS = ['79/TCP', '80/TCP', '81/TCP', '82/TCP', '80/UDP', '82/UDP', '80/SCTP']

async function simulationOf(cluster: CiliumCluster): Promise<Simulation> {
  const { documents, errors } = parseDocuments(ciliumDocuments(cluster).map((document) => stringify(document)).join('---\n'), 'cluster.yaml')
  const compiled = compile(documents)
  const error = errors[0] ?? compiled.errors[0]
  if (error) throw error
  return Simulation.of(compiled)
}

test('CiliumNetworkPolicies mean what the documentation says', async (t) => {
  const seen = { allowed: 0, denied: 0 }
  const property = fc.asyncProperty(ciliumCluster, async (cluster) => {
    const simulation = await simulationOf(cluster)
    const ends = [...cluster.pods, ...OTHERS]
    for (const from of ends) for (const to of ends) {
      if (from.kind !== 'pod' && to.kind !== 'pod') continue
      for (const text of PORTS) {
        const [port = '', protocol = ''] = text.split('/')
        const expected = ciliumAllows(cluster, from, to, { protocol, port: Number(port) }) ? 'allowed' : 'denied'
        const [source, destination] = [parseEnd(simulation.cluster, from.address), parseEnd(simulation.cluster, to.address)]
        const outcome = simulation.decide(source, destination, probeOf(text))
        if (outcome.decision !== expected) throw new Error(`${from.address} -> ${to.address} ${text}: ${expected}, not ${JSON.stringify(outcome)}`)
        seen[expected]++
      }
    }
  })
  await fc.assert(property, { numRuns: 400 })
  t.true(seen.denied > 10_000 && seen.allowed > 10_000, JSON.stringify(seen))
  t.log(JSON.stringify(seen))
})
