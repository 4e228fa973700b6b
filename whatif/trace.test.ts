// What `explain` shows beside a decision has to agree with it.
import test from 'ava'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { compile, formatRule, parseDocuments } from '../manifests/index.ts'
import { documentsOf, testCluster } from '../manifests/testing/network-policies.ts'
import { Simulation, type Side } from './simulation.ts'
import { trace, type TracedRule } from './trace.ts'
import { decide, probeOf, simulate } from '../cli/policy/testing/cases.ts'

const matching = (rules: readonly TracedRule[]): readonly string[] =>
  rules.filter(({ peerMatches, portMatches }) => peerMatches && portMatches).map(({ rule }) => rule)

test('an allowing rule is among those that match, and at a default deny none does', async (t) => {
  const seen = { allow: 0, 'default-deny': 0 }
  const check = ({ reference }: Side, rules: readonly TracedRule[]): void => {
    if (reference?.action !== 'allow' && reference?.action !== 'default-deny') return
    seen[reference.action]++
    if (reference.action === 'allow') t.true(matching(rules).includes(formatRule(reference)))
    else t.deepEqual(matching(rules), [])
  }
  const property = fc.asyncProperty(testCluster, async (cluster) => {
    const text = documentsOf(cluster).map((document) => stringify(document)).join('---\n')
    const simulation = await Simulation.of(compile(parseDocuments(text, 'cluster.yaml').documents))
    for (const from of simulation.cluster.workloads) {
      for (const to of simulation.cluster.workloads) {
        for (const probe of ['80/TCP', '82/UDP'].map(probeOf)) {
          const outcome = simulation.decide({ workload: from }, { workload: to }, probe)
          const [source, destination] = [simulation.facts({ workload: from }, outcome.from), simulation.facts({ workload: to }, outcome.to)]
          check(outcome.egress, trace(simulation.cluster, 'egress', source, destination, probe))
          check(outcome.ingress, trace(simulation.cluster, 'ingress', destination, source, probe))
        }
      }
    }
  })
  await fc.assert(property, { numRuns: 100 })
  t.true(seen.allow > 100 && seen['default-deny'] > 100, JSON.stringify(seen))
})

test('deny rules, CIDR rules and entities are traced as they decide', async (t) => {
  const simulation = await simulate({
    spec: `endpointSelector: {matchLabels: {app: web}}
ingress:
- fromCIDRSet: [{cidr: 203.0.113.0/24, except: [203.0.113.8/32]}]
- fromEntities: [cluster]
ingressDeny:
- fromEndpoints: [{matchLabels: {app: client}}]`,
  })
  const traced = (from: string): readonly string[] => {
    const outcome = decide(simulation, `${from} demo/web 80/TCP`)
    const ends = simulation.cluster.workloads
    const [source, web] = [ends.find(({ addresses }) => addresses.includes(outcome.from)), ends.find(({ name }) => name === 'web')]
    const subject = simulation.facts({ ...(web && { workload: web }) }, outcome.to)
    const peer = simulation.facts({ ...(source && { workload: source }) }, outcome.from)
    return matching(trace(simulation.cluster, 'ingress', subject, peer, probeOf('80/TCP'))).map((rule) => rule.split(' ').at(-1) ?? '')
  }
  t.deepEqual(traced('203.0.113.9'), ['ingress[0]'])
  t.deepEqual(traced('203.0.113.8'), [])
  t.deepEqual(traced('demo/client'), ['ingressDeny[0]', 'ingress[1]'])
  t.deepEqual(traced('other/client'), ['ingress[1]'])
})
