// What is in force and not enforced as it is written is a degraded condition, never silent.
import test from 'ava'
import { Compiler, counter, parseDocuments } from '../manifests/index.ts'
import { type Flow, FlowHistory } from '../observe/index.ts'
import { Desired } from './desired/index.ts'
import { Retired } from './retired.ts'
import { buildStatus, flowsSummary, partsOf, type PartSources } from './status.ts'
import { TableFiller } from './table-filler.ts'
import { Tables } from './tables.ts'

function statusOf(text: string, problems: readonly object[] = [], file = 'policies.yaml', flows?: PartSources['flows']) {
  const { documents } = parseDocuments(text, file)
  const numbers = { number: () => 1 }
  const desired = new Desired({ workloadRanges: [], denyAnswer: 'drop', hostPolicy: 'audit' }, numbers, new Retired())
  desired.change(new Compiler(counter(), []).change({ removed: [], added: documents }))
  const tables = new Tables()
  const convergence = {
    desired, isDesired: true, sources: { problems, effectiveCount: 0, unreadableFolders: new Map() }, reconcilers: [], enforced: true,
    kernelStart: { maps: [], refused: [], takenOver: 0 }, programReport: { attached: [], failures: [] }, guardedInterfaces: new Set(), programmedServices: { frontends: [], shares: [] },
  }
  // Of the convergence only what the status reads.
  const sources = { options: { manifests: [], workloadRanges: [] }, convergence, tables, conntrackEntries: 0, flows } as unknown as PartSources
  new TableFiller(tables, sources.convergence, numbers).show()
  return { status: buildStatus(sources.options, new Date(0), partsOf(sources)), tables }
}

const POLICY = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: names, namespace: demo}
spec:
  endpointSelector: {}
  egress: [{toFQDNs: [{matchName: a.example}]}]
`

test('a policy that is not enforced as written degrades the status and says why', (t) => {
  const { status, tables } = statusOf(POLICY)
  t.is(status.parts['policy']?.state, 'degraded')
  t.deepEqual(status.degraded, [
    {
      what: 'policy CiliumNetworkPolicy demo/names',
      why: 'policies.yaml:6: spec.egress[0].toFQDNs[0]: domain names are not resolved yet',
      hint: 'the peer selects nobody',
    },
  ])
  t.like(tables.policies.list().items[0], { state: 'degraded', warnings: ['policies.yaml:6:23: spec.egress[0].toFQDNs[0]: domain names are not resolved yet; the peer selects nobody'] })
})

test('of a policy that was applied the place in the document is told, and no file', (t) => {
  const { status, tables } = statusOf(POLICY, [], 'api:CiliumNetworkPolicy/demo/names')
  const told = 'spec.egress[0].toFQDNs[0]: domain names are not resolved yet'
  t.deepEqual(status.degraded.map(({ why }) => why), [told])
  t.deepEqual(tables.policies.list().items[0]?.warnings, [`${told}; the peer selects nobody`])
})

test('many places of one kind are one condition', (t) => {
  const { status } = statusOf(POLICY.replace('[{matchName: a.example}]', '[{matchName: a.example}, {matchName: b.example}, {matchName: c.example}]'))
  t.deepEqual(status.degraded.map(({ why }) => why), ['policies.yaml:6: spec.egress[0].toFQDNs[0]: domain names are not resolved yet (and 2 more places)'])
})

test('policies of nodes that only report are told', (t) => {
  const { status } = statusOf('{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: nodes}, spec: {nodeSelector: {}, ingress: [{}]}}')
  t.deepEqual(status.degraded.map(({ what }) => what), ['policies of nodes'])
})

test('one that is does not', (t) => {
  const { status, tables } = statusOf(POLICY.replace('toFQDNs: [{matchName: a.example}]', 'toEntities: [world]'))
  t.is(status.parts['policy']?.state, 'ok')
  t.is(tables.policies.list().items[0]?.state, 'enforced')
})

test('a file with several faults is degraded once, and each fault is told once, with its place', (t) => {
  const clash = { file: '/m/a.yaml', line: 3, column: 1, path: 'metadata.name', message: 'stands twice', other: { file: '/m/b.yaml', line: 1 } }
  const typo = { file: '/m/a.yaml', line: 7, column: 5, path: 'spec.form', message: 'unknown field' }
  const { status } = statusOf('', [{ name: '/m/a.yaml', details: [clash, typo, clash], lastGood: true }])
  t.deepEqual(status.degraded, [
    {
      what: 'manifest /m/a.yaml',
      why: '/m/a.yaml:3:1: metadata.name: stands twice; the other: /m/b.yaml:1\n/m/a.yaml:7:5: spec.form: unknown field',
      hint: 'correct the file; its last good version is enforced',
    },
  ])
})

test('what was applied is told by its name: its file is not known any more', (t) => {
  const clash = { file: 'api:Service/demo/web', line: 1, column: 1, path: 'spec.clusterIPs', message: '10.0.0.1 is taken', other: { file: '/m/b.yaml', line: 1 } }
  const { status } = statusOf('', [{ name: 'api:Service/demo/web', details: [clash], lastGood: false }])
  t.like(status.degraded[0], {
    what: 'Service demo/web, applied through the API',
    why: 'applied earlier: spec.clusterIPs: 10.0.0.1 is taken; the other: /m/b.yaml:1',
  })
})

test('what only audit has let pass is told by policy, the most frequent first', (t) => {
  const history = new FlowHistory(100)
  const push = (count: number, verdict: Flow['verdict'], policy: string) => {
    for (let i = 0; i < count; i++) history.push({ verdict, policy, rule: 1 } as Flow)
  }
  push(5, 'forwarded', 'a')
  push(5, 'dropped', 'b')
  t.is(flowsSummary(history), '10 flows kept')
  for (const [count, policy] of [[1, 'c'], [3, 'd'], [2, 'e'], [4, 'f']] as const) push(count, 'audited', policy)
  t.is(flowsSummary(history), '20 flows kept; would be dropped but for audit: 4 by f, 3 by d, 2 by e and 1 more')
})

test('flows that the balancer cannot remember degrade it while they come, and not for ever', (t) => {
  const report = { established: 5, halfOpen: 1, byBackend: new Map(), refused: 7, refusedLately: 2, changing: { slots: 3, tables: 0 } }
  const { status } = statusOf('', [], 'policies.yaml', report)
  t.deepEqual(status.degraded.map(({ what, why }) => [what, why]), [['flows of the balancer', '2 flows found no room lately']])
  t.is(status.parts['balancer']?.summary, '3 slots change hands, 5 flows remembered')
  t.deepEqual(statusOf('', [], 'policies.yaml', { ...report, refusedLately: 0 }).status.degraded, [])
})
