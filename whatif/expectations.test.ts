// Who and what a case is about.
import test from 'ava'
import { compile, parseDocuments } from '../manifests/index.ts'
import { Expectations } from './expectations.ts'

const CLUSTER = `
{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 10.9.0.1}]}}
---
{apiVersion: sluice.io/v1, kind: Workload, metadata: {name: web, namespace: demo, labels: {app: web}}, spec: {addresses: [10.0.0.1, "fd00::1"]}}
---
{apiVersion: sluice.io/v1, kind: Workload, metadata: {name: db, namespace: demo, labels: {app: db}}, spec: {addresses: [10.0.0.2]}}
---
{apiVersion: sluice.io/v1, kind: Workload, metadata: {name: late, namespace: other, labels: {app: late}}, spec: {addresses: ["fd00::3"]}}
---
`

const policy = (spec: string, annotations = '{}'): string =>
  `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p, namespace: demo, annotations: ${annotations}}, spec: ${spec}}\n`

async function verify(spec: string, entry: string, annotations?: string) {
  const { documents, errors } = parseDocuments(`${CLUSTER}${policy(spec, annotations)}`, 'c.yaml')
  if (errors[0]) throw errors[0]
  const expectations = await Expectations.about(compile(documents))
  const { value = [], errors: faults } = expectations.read(`cases: [{${entry}}]`, 'cases.yaml')
  if (faults[0]) throw faults[0]
  const [expectation] = value
  return expectation && expectations.verify(expectation)
}

const ENTITIES = '{endpointSelector: {matchLabels: {app: web}}, ingress: [{fromEntities: [host, remote-node, kube-apiserver]}]}'

for (const [from, expect] of [
  ['host', 'allowed'], ['remote-node', 'allowed'], ['kube-apiserver', 'allowed'], ['10.9.0.1', 'allowed'], ['ingress', 'denied'],
  ['health', 'denied'], ['unmanaged', 'denied'], ['world', 'denied'], ['world-ipv6', 'denied'], ['demo/db', 'denied'], ['*/late', 'denied'],
] as const) {
  test(`${from} as a peer is ${expect}`, async (t) => {
    t.like(await verify(ENTITIES, `from: "${from}", to: demo/web, port: 80, expect: ${expect}`), { passed: true })
  })
}

test('all is everybody: one that is not as expected is enough, and is named', async (t) => {
  const result = await verify(ENTITIES, 'from: all, to: demo/web, port: 80, expect: denied')
  t.false(result?.passed)
  t.regex(result?.problem ?? '', /node n1 \(10\.9\.0\.1\) to demo\/web \(10\.0\.0\.1\), 80\/TCP: expected denied, is allowed \(by CiliumNetworkPolicy demo\/p ingress\[0\]\)/)
})

test('a region that some prefix tells apart is part of the world', async (t) => {
  const spec = '{endpointSelector: {matchLabels: {app: web}}, ingress: [{fromCIDRSet: [{cidr: 192.0.2.0/24, except: [192.0.2.128/25]}]}]}'
  t.regex((await verify(spec, 'from: world, to: demo/web, port: 80, expect: denied'))?.problem ?? '', /^192\.0\.2\.0\/24 \(192\.0\.2\.1\) to demo\/web .* is allowed/)
  t.true((await verify(spec, 'from: 192.0.2.200, to: demo/web, port: 80, expect: denied'))?.passed)
})

test('both families have to be as expected, unless one is asked for', async (t) => {
  const spec = '{endpointSelector: {matchLabels: {app: web}}, egress: [{toCIDR: ["::/0"]}]}'
  const to = (family: string, expect: string) => verify(spec, `from: demo/web, to: world, port: 443, expect: ${expect}${family}`)
  t.regex((await to('', 'allowed'))?.problem ?? '', /0\.0\.0\.0\/0 .* is denied/)
  t.true((await to(', family: IPv6', 'allowed'))?.passed)
  t.true((await to(', family: IPv4', 'denied'))?.passed)
})

test('what only an audit lets pass is audited, not allowed', async (t) => {
  const spec = '{endpointSelector: {matchLabels: {app: web}}, ingress: [{}]}'
  const audit = '{sluice.io/audit: "true"}'
  t.true((await verify(spec, 'from: demo/db, to: demo/web, port: all, expect: audited', audit))?.passed)
  t.regex((await verify(spec, 'from: demo/db, to: demo/web, port: all, expect: allowed', audit))?.problem ?? '', /expected allowed, is audited/)
})

test('a range is compared as a whole', async (t) => {
  const spec = '{endpointSelector: {matchLabels: {app: web}}, ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: "80", endPort: 89, protocol: TCP}]}]}]}'
  const at = (port: string) => verify(spec, `from: demo/db, to: demo/web, port: ${port}, expect: allowed`)
  t.true((await at('80-89/TCP'))?.passed)
  t.regex((await at('80-90/TCP'))?.problem ?? '', /, 90\/TCP: expected allowed, is denied/)
  t.regex((await at('TCP'))?.problem ?? '', /, 0-79\/TCP: expected allowed, is denied/)
})

test('a workload and itself are no case of a pattern, and always allowed by name', async (t) => {
  const spec = '{endpointSelector: {}, ingress: [{}], egress: [{}]}'
  t.like(await verify(spec, 'from: demo/*, to: demo/*, port: all, expect: denied'), { passed: true, connections: 2 })
  t.like(await verify(spec, 'from: demo/web, to: demo/web, port: all, expect: allowed'), { passed: true })
})
