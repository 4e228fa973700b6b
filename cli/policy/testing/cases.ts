// A small cluster, and tables of policies with what each allows and denies there.
import type { TestFn } from 'ava'
import { compile, parseDocuments, parseProbe, type Probe } from '../../../manifests/index.ts'
import { parseEnd } from '../inputs.ts'
import { Simulation, type Outcome } from '../../../whatif/index.ts'

export const WORLD = `
{apiVersion: v1, kind: Namespace, metadata: {name: demo, labels: {team: a}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: other, labels: {team: b}}}
---
apiVersion: sluice.io/v1
kind: Workload
metadata: {name: web, namespace: demo, labels: {app: web}}
spec: {addresses: [10.0.0.1, "fd00::1"], ports: [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP}]}
---
apiVersion: sluice.io/v1
kind: Workload
metadata: {name: client, namespace: demo, labels: {app: client}}
spec: {addresses: [10.0.0.2, "fd00::2"]}
---
apiVersion: sluice.io/v1
kind: Workload
metadata: {name: client, namespace: other, labels: {app: client, io.example/role: admin}}
spec: {addresses: [10.0.0.3], serviceAccount: robot}
---
`

export interface Case {
  readonly title: string
  /** Of the policy, as YAML. */
  readonly spec: string
  readonly kind?: keyof typeof HEADS
  /** Other documents beside it. */
  readonly beside?: string
  /** "FROM TO PORT". */
  readonly allowed?: readonly string[]
  readonly denied?: readonly string[]
}

/** Addresses of the world. */
export const OUT = '203.0.113.9'
export const OUT6 = '2001:db8::9'

const HEADS = {
  NetworkPolicy: 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: demo}\n',
  CiliumNetworkPolicy: 'apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: demo}\n',
  CiliumClusterwideNetworkPolicy: 'apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: p}\n',
  ClusterNetworkPolicy: 'apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: p}\n',
  AdminNetworkPolicy: 'apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: p}\n',
  BaselineAdminNetworkPolicy: 'apiVersion: policy.networking.k8s.io/v1alpha1\nkind: BaselineAdminNetworkPolicy\nmetadata: {name: default}\n',
}

/** The small cluster with one policy. Throws the first fault of the policy. */
export async function simulate({ spec, kind = 'CiliumNetworkPolicy', beside = '' }: Pick<Case, 'spec' | 'kind' | 'beside'>): Promise<Simulation> {
  const body = spec.split('\n').map((line) => `  ${line}`).join('\n')
  const { documents, errors } = parseDocuments(`${WORLD}${HEADS[kind]}spec:\n${body}\n---\n${beside}`, 'case.yaml')
  const cluster = compile(documents)
  const error = errors[0] ?? cluster.errors[0]
  if (error) throw error
  return Simulation.of(cluster)
}

/** Throws where `text` is none. */
export function probeOf(text: string): Probe {
  const probe = parseProbe(text)
  if (probe === undefined) throw new TypeError(`${text} is no port`)
  return probe
}

/** `connection`: "FROM TO PORT". */
export function decide(simulation: Simulation, connection: string): Outcome {
  const [from = '', to = '', port = ''] = connection.split(' ')
  const { cluster } = simulation
  return simulation.decide(parseEnd(cluster, from), parseEnd(cluster, to), probeOf(port))
}

export function declareCases(test: TestFn, cases: readonly Case[]): void {
  for (const example of cases) {
    test(example.title, async (t) => {
      const simulation = await simulate(example)
      const { allowed = [], denied = [] } = example
      const passes = (connection: string): boolean => decide(simulation, connection).decision !== 'denied'
      t.deepEqual(allowed.filter((connection) => !passes(connection)), [], 'denied, but ought to be allowed')
      t.deepEqual(denied.filter(passes), [], 'allowed, but ought to be denied')
    })
  }
}
