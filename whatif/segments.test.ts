// Segments say for every port at once what `decide` says for one.
import test from 'ava'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { compile, parseDocuments } from '../manifests/index.ts'
import { tieredCluster, tieredDocuments } from '../manifests/testing/tiers.ts'
import { LAST_KEY, within, zip, type Segments } from './segments.ts'
import { Simulation } from './simulation.ts'

const KEYS = [0, 1 << 16, ...[79, 80, 81, 82, 8080].flatMap((port) => [(6 << 16) | port, (17 << 16) | port]), LAST_KEY]

function isWhole(segments: Segments<unknown>): boolean {
  return segments[0]?.first === 0 && segments.at(-1)?.last === LAST_KEY
    && segments.every(({ first, last }, index) => first <= last && first === (segments[index - 1]?.last ?? -1) + 1)
}

test('segments, and the rows that are told, agree with the engine at every port, in tiers and with named ports', async (t) => {
  const seen = { allowed: 0, denied: 0, audited: 0 }
  const property = fc.asyncProperty(tieredCluster, async (cluster) => {
    const text = tieredDocuments(cluster).map((document) => stringify(document)).join('---\n')
    const simulation = await Simulation.of(compile(parseDocuments(text, 'cluster.yaml').documents))
    const points = simulation.cluster.workloads.flatMap((workload) => simulation.pointsOf({ workload }))
    for (const from of points) {
      for (const to of points.filter(({ workload }) => workload !== from.workload)) {
        const egress = simulation.segments('egress', from, to)
        const ingress = simulation.segments('ingress', to, from)
        t.true(isWhole(egress) && isWhole(ingress))
        for (const key of KEYS) {
          const outcome = simulation.explain(from, to, { text: '', protocol: key >>> 16, port: key & 0xffff })
          const at = (segments: typeof egress) => within(segments, key, key)[0]?.value
          t.like(at(egress), { decision: outcome.egress.decision, rule: outcome.egress.rule })
          t.like(at(ingress), { decision: outcome.ingress.decision, rule: outcome.ingress.rule })
          for (const { decision, rule, entries } of [outcome.egress, outcome.ingress]) {
            t.deepEqual(entries?.map(({ decides }) => decides), [true, false].slice(0, entries?.length))
            t.like(entries?.[0], { verdict: decision, rule })
          }
          seen[outcome.decision]++
        }
      }
    }
  })
  await fc.assert(property, { numRuns: 40 })
  t.true(seen.allowed > 100 && seen.denied > 100, JSON.stringify(seen))
})

test('two lists together have the boundaries of both, and none between equal values', (t) => {
  const list = (...starts: readonly (readonly [number, string])[]): Segments<string> =>
    starts.map(([first, value], index) => ({ first, last: (starts[index + 1]?.[0] ?? LAST_KEY + 1) - 1, value }))
  const joined = zip(list([0, 'a'], [10, 'b']), list([0, 'x'], [5, 'y'], [20, 'x']), (a, b) => (a === 'a' ? '-' : b))
  t.deepEqual(joined, list([0, '-'], [10, 'y'], [20, 'x']))
})
