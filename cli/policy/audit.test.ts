// Audit of a policy, a namespace and a workload: what would be dropped passes and names the rule. And workloads whose
// labels are not known yet: closed.
import test from 'ava'
import { compile, parseDocuments } from '../../manifests/index.ts'
import { Simulation } from '../../whatif/index.ts'
import { decide } from './testing/cases.ts'

const AUDIT = 'annotations: {sluice.io/audit: "true"}'

const workload = (namespace: string, name: string, address: string, more = ''): string => `
{apiVersion: sluice.io/v1, kind: Workload, metadata: {name: ${name}, namespace: ${namespace}, ${more} labels: {app: ${name}}}, spec: {addresses: [${address}]}}
---`

const policy = (kind: string, spec: string, more = ''): string => {
  const [group, namespace] = { NetworkPolicy: ['networking.k8s.io/v1', 'namespace: a,'], CiliumNetworkPolicy: ['cilium.io/v2', 'namespace: a,'] }[kind] ?? ['policy.networking.k8s.io/v1alpha2', '']
  return `
apiVersion: ${group}
kind: ${kind}
metadata: {name: p, ${namespace} ${more}}
spec: ${spec}
---`
}

async function simulationOf(...texts: readonly string[]): Promise<Simulation> {
  const { documents, errors } = parseDocuments(texts.join('\n'), 'audit.yaml')
  const cluster = compile(documents)
  const error = errors[0] ?? cluster.errors[0]
  if (error) throw error
  return Simulation.of(cluster)
}

const DENY_ALL = '{podSelector: {}, policyTypes: [Ingress]}'
const ENDS = [workload('a', 'one', '10.0.0.1'), workload('a', 'two', '10.0.0.2'), workload('b', 'three', '10.0.0.3')]

const POLICIES = {
  NetworkPolicy: DENY_ALL,
  CiliumNetworkPolicy: '{endpointSelector: {}, ingress: [{}]}',
  ClusterNetworkPolicy: '{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}',
}

for (const [kind, spec] of Object.entries(POLICIES)) {
  test(`the annotation puts a ${kind} into audit mode`, async (t) => {
    const ingress = async (more: string) => decide(await simulationOf(...ENDS, policy(kind, spec, more)), 'a/one a/two 80/TCP').ingress
    const enforced = await ingress('')
    t.is(enforced.decision, 'denied')
    t.deepEqual(await ingress(AUDIT), { ...enforced, decision: 'audited' })
  })
}

test('a policy in audit mode takes nothing from what others enforce', async (t) => {
  const allowing = policy('CiliumNetworkPolicy', '{endpointSelector: {matchLabels: {app: one}}, ingress: [{fromEntities: [all]}]}', AUDIT)
  const simulation = await simulationOf(...ENDS, policy('NetworkPolicy', DENY_ALL), allowing)
  t.is(decide(simulation, 'a/two a/one 80/TCP').decision, 'denied')
})

test('a namespace in audit mode: each of its workloads, as subject alone', async (t) => {
  const home = `{apiVersion: v1, kind: Namespace, metadata: {name: a, ${AUDIT}}}\n---`
  const everywhere = policy('ClusterNetworkPolicy', POLICIES.ClusterNetworkPolicy)
  const simulation = await simulationOf(home, ...ENDS, everywhere)
  t.like(decide(simulation, 'b/three a/one 80/TCP').ingress, { decision: 'audited', reference: { name: 'p' } })
  t.is(decide(simulation, 'a/one a/two 80/TCP').decision, 'audited')
  t.is(decide(simulation, 'a/one b/three 80/TCP').decision, 'denied')
})

test('a workload in audit mode', async (t) => {
  const simulation = await simulationOf(...ENDS.slice(0, 1), workload('a', 'two', '10.0.0.2', `${AUDIT},`), policy('NetworkPolicy', DENY_ALL))
  t.is(decide(simulation, 'a/one a/two 80/TCP').decision, 'audited')
  t.is(decide(simulation, 'a/two a/one 80/TCP').decision, 'denied')
})

test('a value that is neither true nor false is a fault', (t) => {
  const { errors } = parseDocuments(policy('NetworkPolicy', DENY_ALL, 'annotations: {sluice.io/audit: "yes"}'), 'f.yaml')
  t.like(errors[0], { code: 'INVALID', path: 'metadata.annotations["sluice.io/audit"]', allowed: '"true", "false"' })
})

const INIT = `
{apiVersion: sluice.io/v1, kind: Workload, metadata: {name: new, namespace: a}, spec: {addresses: [10.0.0.9], init: true}}
---`
const OPENING = `
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: init}
spec: {endpointSelector: {matchLabels: {"reserved:init": ""}}, egress: [{toEntities: [all], toPorts: [{ports: [{port: "53", protocol: UDP}]}]}]}
---`

test('a workload without labels yet is closed, by a rule that says so', async (t) => {
  const simulation = await simulationOf(INIT, ...ENDS)
  const outcome = decide(simulation, 'a/one a/new 80/TCP')
  t.is(outcome.decision, 'denied')
  t.is(outcome.ingress.reason, 'a/new is default-deny for ingress and no rule allows this: Default init ingress (default deny)')
  t.is(decide(simulation, 'a/new a/one 80/TCP').decision, 'denied')
  t.is(decide(simulation, 'a/two a/one 80/TCP').decision, 'allowed')
})

test('policies that select reserved:init open it, others do not select it', async (t) => {
  const all = policy('CiliumNetworkPolicy', '{endpointSelector: {}, egress: [{toEntities: [all]}]}')
  const simulation = await simulationOf(INIT, ...ENDS, OPENING, all)
  t.is(decide(simulation, 'a/new a/one 53/UDP').decision, 'allowed')
  t.is(decide(simulation, 'a/new a/one 80/TCP').decision, 'denied')
})

test('a policy of one namespace may select it too', async (t) => {
  const opening = policy('CiliumNetworkPolicy', '{endpointSelector: {matchLabels: {"reserved:init": ""}}, egress: [{toEntities: [all]}]}')
  t.is(decide(await simulationOf(INIT, ...ENDS, opening), 'a/new a/one 80/TCP').decision, 'allowed')
})

test('it is entity init to others, and in no namespace', async (t) => {
  const rules = (entity: string) => policy('CiliumNetworkPolicy', `{endpointSelector: {matchLabels: {app: one}}, ingress: [${entity}]}`)
  const opening = OPENING.replace(', toPorts: [{ports: [{port: "53", protocol: UDP}]}]', '')
  const decision = async (entity: string) => decide(await simulationOf(INIT, ...ENDS, opening, rules(entity)), 'a/new a/one 80/TCP').decision
  t.is(await decision('{fromEntities: [init]}'), 'allowed')
  t.is(await decision('{fromEntities: [cluster]}'), 'allowed')
  t.is(await decision('{fromEndpoints: [{}]}'), 'denied')
})

test('labels beside init are a fault', (t) => {
  const { errors } = parseDocuments(INIT.replace('namespace: a}', 'namespace: a, labels: {app: new}}'), 'f.yaml')
  t.like(errors[0], { code: 'INVALID', path: 'spec.init' })
})
