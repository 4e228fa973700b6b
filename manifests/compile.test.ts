import test from 'ava'
import { compile, parseDocuments, type Cluster } from './index.ts'

function cluster(...texts: string[]): Cluster {
  const files = texts.map((text, index) => parseDocuments(text, `${index}.yaml`))
  const error = files.flatMap(({ errors }) => errors)[0]
  if (error) throw error
  return compile(files.flatMap(({ documents }) => documents))
}

const workload = (name: string, addresses: string, more = ''): string => `
apiVersion: sluice.io/v1
kind: Workload
metadata: {name: ${name}, namespace: demo, labels: {app: ${name.split('-')[0]}}}
spec: {addresses: [${addresses}]${more}}
---
`

test('labels of a workload: its own, its namespace and the namespace\'s labels, its service account', (t) => {
  const { workloads } = cluster(
    'apiVersion: v1\nkind: Namespace\nmetadata: {name: demo, labels: {team: a, kubernetes.io/metadata.name: forged}}\n',
    workload('web', '10.0.0.1, "FD00::0:1"', ', serviceAccount: robot'),
  )
  t.deepEqual(workloads[0]?.labels, [
    'k8s:app=web',
    'k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=demo',
    'k8s:io.cilium.k8s.namespace.labels.team=a',
    'k8s:io.cilium.k8s.policy.cluster=default',
    'k8s:io.cilium.k8s.policy.serviceaccount=robot',
    'k8s:io.kubernetes.pod.namespace=demo',
  ])
  t.deepEqual(workloads[0]?.addresses, ['10.0.0.1', 'fd00::1'])
})

test('pods on the host network and pods that have ended are no workloads', (t) => {
  const pod = (name: string, rest: string) => `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}}\n${rest}\n---\n`
  const { workloads } = cluster(
    pod('host', 'spec: {hostNetwork: true}\nstatus: {podIPs: [{ip: 10.0.0.1}]}') +
      pod('ended', 'status: {phase: Succeeded, podIPs: [{ip: 10.0.0.1}]}') +
      pod('runs', 'status: {phase: Running, podIP: 10.0.0.1}'),
  )
  t.deepEqual(workloads.map(({ namespace, name, addresses }) => [namespace, name, addresses]), [['default', 'runs', ['10.0.0.1']]])
})

test('backends of a Service: selected workloads of its namespace, by family, named ports each their own', (t) => {
  const { services } = cluster(
    workload('web-1', '10.0.0.1', ', ports: [{name: http, port: 8080}]'),
    workload('web-2', '10.0.0.2, "fd00::2"', ', ports: [{name: http, port: 8081}]'),
    workload('web-3', '10.0.0.3'),
    workload('other', '10.0.0.4', ', ports: [{name: http, port: 80}]'),
    `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: demo}
spec:
  selector: {app: web}
  clusterIPs: [10.96.0.1, "fd96::1"]
  ports: [{port: 80, targetPort: http}]
`,
  )
  t.deepEqual(services[0]?.frontends, [
    {
      address: '10.96.0.1',
      protocol: 6,
      port: 80,
      idleSeconds: 900,
      backends: [
        { name: 'demo/web-1', address: '10.0.0.1', port: 8080, weight: 1, state: 'active' },
        { name: 'demo/web-2', address: '10.0.0.2', port: 8081, weight: 1, state: 'active' },
      ],
    },
    { address: 'fd96::1', protocol: 6, port: 80, idleSeconds: 900, backends: [{ name: 'demo/web-2', address: 'fd00::2', port: 8081, weight: 1, state: 'active' }] },
  ])
  t.like(services[0], { kind: 'Service', forwarding: 'nat', tableSize: 509 })
})

test('a LoadBalancer: a frontend for each address and port, weights kept', (t) => {
  const { loadBalancers } = cluster(
    `
apiVersion: sluice.io/v1
kind: LoadBalancer
metadata: {name: shop, namespace: demo}
spec:
  addresses: [10.77.9.1, "fd77:9::1"]
  tableSize: 65537
  ports: [{port: 80}]
  backends: [{addresses: [10.77.0.21, "fd77::21"], weight: 2, name: b1}, {addresses: [10.77.0.22]}]
`,
  )
  t.like(loadBalancers[0], { forwarding: 'ipip', algorithm: 'maglev', tableSize: 65_537 })
  t.deepEqual(loadBalancers[0]?.frontends.map(({ address, backends }) => [address, backends.map(({ name, weight }) => [name, weight])]), [
    ['10.77.9.1', [['b1', 2], ['10.77.0.22', 1]]],
    ['fd77:9::1', [['b1', 2], ['10.77.0.22', 1]]],
  ])
})

test('a LoadBalancer: states of backends, what is tracked, and for how long', (t) => {
  const { loadBalancers } = cluster(
    `
apiVersion: sluice.io/v1
kind: LoadBalancer
metadata: {name: shop}
spec:
  addresses: [10.77.9.1]
  tracking: always
  idleSeconds: {UDP: 30}
  drainSeconds: 600
  ports: [{port: 80}, {port: 53, protocol: UDP}, {port: 9, protocol: SCTP}]
  backends: [{addresses: [10.77.0.21], state: draining}, {addresses: [10.77.0.22], state: down}, {addresses: [10.77.0.23]}]
`,
  )
  t.like(loadBalancers[0], { tracking: 'always', drainSeconds: 600 })
  t.deepEqual(loadBalancers[0]?.frontends.map(({ idleSeconds }) => idleSeconds), [900, 30, 900])
  t.deepEqual(loadBalancers[0]?.frontends[0]?.backends.map(({ state }) => state), ['draining', 'down', 'active'])
})

test('a LoadBalancer: who may send, and how much', (t) => {
  const { loadBalancers } = cluster(
    `
apiVersion: sluice.io/v1
kind: LoadBalancer
metadata: {name: shop}
spec:
  addresses: [10.77.9.1]
  sourceRanges: {allow: [192.0.2.7, 10.0.0.0/8], deny: ["2001:DB8::/32"]}
  rateLimits: {packets: {perSecond: 1000}, newConnections: {perSecond: 5, burst: 1}}
  ports: [{port: 80}]
  backends: [{addresses: [10.77.0.21]}]
`,
  )
  t.deepEqual(loadBalancers[0]?.sourceRanges, { allow: ['192.0.2.7/32', '10.0.0.0/8'], deny: ['2001:db8::/32'] })
  t.deepEqual(loadBalancers[0]?.rateLimits, { packets: { perSecond: 1000, burst: 100 }, newConnections: { perSecond: 5, burst: 1 } })
})

const prefilter = (name: string, spec: string): string => `{apiVersion: sluice.io/v1, kind: Prefilter, metadata: {name: ${name}}, spec: ${spec}}`

test('Prefilters add up; what one denies no other may allow', (t) => {
  const deny = prefilter('a', '{deny: [192.0.2.0/24]}')
  t.deepEqual(cluster(deny, prefilter('b', '{deny: [198.51.100.0/24], allow: [198.51.100.7]}')).prefilters.map(({ name, ranges }) => [name, ranges]), [
    ['a', { allow: [], deny: ['192.0.2.0/24'] }],
    ['b', { allow: ['198.51.100.7/32'], deny: ['198.51.100.0/24'] }],
  ])
  const { prefilters, errors } = cluster(deny, prefilter('b', '{deny: [192.0.0.0/16], allow: [192.0.2.0/24]}'))
  t.deepEqual(prefilters.map(({ name }) => name), ['a'])
  t.regex(errors[0]?.message ?? '', /spec\.allow.*192\.0\.2\.0\/24 is denied by Prefilter a/)
})

/** Addresses of the backends by frontend: of the frontend's family where they have one. */
const MIXED = { '10.77.9.1': ['10.77.0.21', 'fd77::22'], 'fd77:9::1': ['fd77::21', 'fd77::22'] }
const FORWARDING = [
  { fields: 'forwarding: geneve, vni: 16777215', forwarding: 'geneve', vni: 0xff_ffff, backends: MIXED },
  { fields: 'forwarding: gue', forwarding: 'gue', vni: 0, backends: MIXED },
  { fields: 'forwarding: l2', forwarding: 'l2', vni: 0, backends: MIXED },
  { fields: 'forwarding: nat', forwarding: 'nat', vni: 0, backends: { '10.77.9.1': ['10.77.0.21'], 'fd77:9::1': ['fd77::21', 'fd77::22'] } },
] as const

for (const { fields, forwarding, vni, backends } of FORWARDING)
  test(`a LoadBalancer with ${fields}`, (t) => {
    const { loadBalancers } = cluster(`
apiVersion: sluice.io/v1
kind: LoadBalancer
metadata: {name: shop, namespace: demo}
spec: {${fields}, addresses: [10.77.9.1, "fd77:9::1"], ports: [{port: 80}], backends: [{addresses: [10.77.0.21, "fd77::21"]}, {addresses: ["fd77::22"]}]}
`)
    t.like(loadBalancers[0], { forwarding, vni })
    t.deepEqual(Object.fromEntries(loadBalancers[0]?.frontends.map((frontend) => [frontend.address, frontend.backends.map(({ address }) => address)]) ?? []), backends)
  })

const service = (name: string, address: string, port = 80): string => `
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {clusterIP: ${address}, ports: [{port: ${port}}]}
`

const pod = '\napiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: demo}\n'

/** Of the field at `path`; of the document where it is written in another form. */
const lineOf = (text: string, path: string): number =>
  text.split('\n').findIndex((line) => line.includes(`${path.split('.').at(-1)}:`)) + 1 || 2

const CONFLICTS = [
  {
    title: 'the same name twice',
    texts: [workload('web', '10.0.0.1'), workload('web', '10.0.0.2')],
    says: '0.yaml:2',
    path: 'metadata.name',
  },
  {
    title: 'a Pod and a Workload of one name',
    texts: [workload('web', '10.0.0.1'), pod],
    says: 'Workload demo/web stands twice',
    path: 'metadata.name',
  },
  {
    title: 'one address twice',
    texts: [workload('web', '10.0.0.1'), workload('db', '10.0.0.2, 10.0.0.1')],
    says: '10.0.0.1 is that of Workload demo/web',
    path: 'spec.addresses',
  },
  {
    title: 'one interface twice',
    texts: [workload('web', '10.0.0.1', ', interface: eth1'), workload('db', '10.0.0.2', ', interface: eth1')],
    says: 'interface eth1 is that of Workload demo/web',
    path: 'spec.interface',
  },
  {
    title: 'overlapping VIPs',
    texts: [service('a', '10.96.0.1'), service('b', '10.96.0.1')],
    says: '10.96.0.1 80/TCP is taken by Service default/a',
    path: 'spec.clusterIPs',
  },
  {
    title: "a VIP that is a workload's address",
    texts: [workload('web', '10.0.0.1'), service('a', '10.0.0.1')],
    says: 'Workload demo/web',
    path: 'spec.clusterIPs',
  },
]

for (const { title, texts, says, path } of CONFLICTS) {
  test(`${title} is a conflict, and the first document holds`, (t) => {
    const result = cluster(...texts)
    const [error, ...others] = result.errors
    const line = lineOf(texts[1] ?? '', path)
    t.like(error, { code: 'CONFLICT', file: '1.yaml', line })
    t.regex(error?.message ?? '', new RegExp(`^1\\.yaml:${line}:\\d+: ${path}: `))
    t.true(error?.message.includes(says), error?.message)
    t.deepEqual(error?.detail.other, { file: '0.yaml', line: 2, column: 1 })
    t.deepEqual(others, [])
    t.deepEqual([...result.workloads, ...result.services].map(({ location }) => location.file), ['0.yaml'])
  })
}

test('one VIP may serve several ports of several services', (t) => {
  t.deepEqual(cluster(service('a', '10.96.0.1', 80), service('b', '10.96.0.1', 81)).errors, [])
})

test('rules are numbered by their text, and numbers lead back to it', (t) => {
  const { policies } = cluster(
    `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: demo}
specs:
- endpointSelector: {}
  description: why
  ingress: [{fromEntities: [all]}]
  egressDeny: [{toEntities: [world]}]
`,
  )
  const policy = policies.get('CiliumNetworkPolicy/demo/web')
  const [only] = policy?.policies ?? []
  const references = [...(policy?.rules ?? [])].map(([number, { spec, direction, action, description }]) => {
    return [number, spec, direction, action, description]
  })
  t.deepEqual(references, [
    [1, 0, 'ingress', 'default-deny', 'why'],
    [2, 0, 'egress', 'default-deny', 'why'],
    [3, 0, 'ingress', 'allow', 'why'],
    [4, 0, 'egress', 'deny', 'why'],
  ])
  t.deepEqual(only?.isolates, { ingress: 1, egress: 2 })
  t.like(only?.rules[0], { number: 3, direction: 'ingress', action: 'allow' })
  t.like(only?.rules[1], { number: 4, direction: 'egress', action: 'deny' })
})

test('a key without source is of any source, in a CiliumNetworkPolicy only', (t) => {
  const { policies } = cluster(
    'apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p}\nspec: {endpointSelector: {matchLabels: {app: web}}, ingress: [{}]}\n',
    'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {podSelector: {matchLabels: {app: web}}}\n',
  )
  const keys = (kind: string): readonly string[] =>
    policies.get(`${kind}/default/p`)?.policies[0]?.subject.requirements.map(({ key }) => key).sort() ?? []
  t.deepEqual(keys('CiliumNetworkPolicy'), ['any:app', 'k8s:io.kubernetes.pod.namespace'])
  t.deepEqual(keys('NetworkPolicy'), ['k8s:app', 'k8s:io.kubernetes.pod.namespace'])
})

test('the node itself is the subject of nodeSelector alone', (t) => {
  const policy = (selector: string) => `
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: p}
spec: {${selector}: {matchLabels: {zone: a}}, ingress: [{}]}
`
  const subjectOf = (selector: string) => [...cluster(policy(selector)).policies.values()][0]?.policies[0]?.subject.requirements
  t.deepEqual(subjectOf('nodeSelector'), [
    { key: 'reserved:host', operator: 'Exists', values: [] },
    { key: 'node:zone', operator: 'In', values: ['a'] },
  ])
  t.deepEqual(subjectOf('endpointSelector'), [
    { key: 'any:zone', operator: 'In', values: ['a'] },
    { key: 'reserved:host', operator: 'DoesNotExist', values: [] },
  ])
})
