// A comparison has every change and no other: against a question for each pair and port.
import test from 'ava'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { compile, parseDocuments, type Cluster } from '../manifests/index.ts'
import { tieredCluster, tieredDocuments, type TieredCluster } from '../manifests/testing/tiers.ts'
import { compare, type Change } from './diff.ts'
import { nameOf } from './ends.ts'
import { entityStandIns, membersOf } from './members.ts'
import { outsideRegions } from './regions.ts'
import { Simulation } from './simulation.ts'

const KEYS = [0, 1 << 16, ...[79, 80, 81, 82, 8080].flatMap((port) => [(6 << 16) | port, (17 << 16) | port]), 0xff_ffff]

const clusterOf = (cluster: TieredCluster): Cluster =>
  compile(parseDocuments(tieredDocuments(cluster).map((document) => stringify(document)).join('---\n'), 'cluster.yaml').documents)

/** The same cluster with some of its policies gone. */
const versions = tieredCluster.chain((whole) =>
  fc.record({ policies: fc.subarray([...whole.cluster.policies]), tiers: fc.subarray([...whole.tiers]) })
    .map(({ policies, tiers }) => ({ whole, part: { cluster: { ...whole.cluster, policies }, tiers } })),
)

const has = ({ from, to, ports }: Change, source: string, destination: string, key: number): boolean =>
  from.includes(source) && to.includes(destination) && ports.some(({ first, last }) => first <= key && key <= last)

test('an entity has no family: it is compared at both of a workload', async (t) => {
  const policy = (ports: string): string => `
{apiVersion: sluice.io/v1, kind: Workload, metadata: {name: w, namespace: demo}, spec: {addresses: [10.0.0.1, "fd00::1"]}}
---
{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p, namespace: demo}, spec: {endpointSelector: {}, ingress: [{fromEntities: [host], toPorts: [{ports: [{port: "${ports}", protocol: TCP}]}]}]}}
`
  const [before, after] = [policy('80'), policy('81')].map((text) => compile(parseDocuments(text, 'p.yaml').documents)) as [Cluster, Cluster]
  const entities = entityStandIns(after)
  const simulations = [await Simulation.of(before, entities), await Simulation.of(after, entities)] as const
  const { changes } = compare(...simulations, membersOf(after, entities))
  t.deepEqual(changes.map(({ from, families, new: now }) => [from, families, now]), [[['entity host'], ['IPv4', 'IPv6'], 'denied'], [['entity host'], ['IPv4', 'IPv6'], 'allowed']])
})

test('every change of every pair and port is found, and nothing else', async (t) => {
  let changed = 0
  const property = fc.asyncProperty(versions, async ({ whole, part }) => {
    const [before, after] = [await Simulation.of(clusterOf(whole)), await Simulation.of(clusterOf(part))]
    const members = membersOf(after.cluster, [], outsideRegions([before.cluster, after.cluster]))
    const { changes } = compare(before, after, members)
    for (const from of members) {
      for (const to of members.filter(({ end, kind }) => end !== from.end && (kind === 'workload' || from.kind === 'workload'))) {
        for (const key of KEYS) {
          const probe = { text: '', protocol: key >>> 16, port: key & 0xffff }
          const [was, is] = [before, after].map((simulation) => {
            const own = (member: typeof from) => simulation.cluster.workloads.find((workload) => nameOf(workload) === member.name)
            const end = (member: typeof from) => (member.kind === 'workload' ? { ...member.end, workload: own(member) ?? member.end.workload } : member.end)
            return simulation.decide(end(from) as typeof from.end, end(to) as typeof from.end, probe).decision
          })
          const found = changes.find((change) => has(change, from.name, to.name, key))
          t.is(found === undefined ? was : `${found.old} ${found.new}`, was === is ? was : `${was} ${is}`, `${from.name} ${to.name} ${key}`)
          if (was !== is) changed++
        }
      }
    }
  })
  await fc.assert(property, { numRuns: 40 })
  t.true(changed > 100, `${changed}`)
})
