import test from 'ava'
import type { Verdict } from '../engine/index.ts'
import { compile, parseDocuments } from '../manifests/index.ts'
import type { Address } from './api/types.ts'
import { explain, type ExplainSources } from './explain.ts'
import type { VerdictQuery } from './reconcilers/ports.ts'
import { Table } from './table.ts'

const TEXT = `
apiVersion: sluice.io/v1
kind: Workload
metadata: {name: web, namespace: demo, labels: {app: web}}
spec: {addresses: [10.77.1.11, "fd77:1::11"]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: demo}
spec: {podSelector: {matchLabels: {app: web}}, ingress: []}
`
const DEFAULT_DENY = 1

function sources(verdict: Verdict): ExplainSources & { asked: VerdictQuery[] } {
  const cluster = compile(parseDocuments(TEXT, 'a.yaml').documents)
  const addresses = new Table<Address>('addresses', ({ prefix }) => prefix)
  addresses.set({ prefix: '10.77.1.11/32', identity: 300, labels: ['k8s:app=web'], workload: 'demo/web', flags: ['workload'] })
  const asked: VerdictQuery[] = []
  return { cluster, addresses, asked, allowHost: true, verdict: (query) => (asked.push(query), verdict) }
}

const side = { subject: 1, peerClass: 1 }
const denied: Verdict = { decision: 'denied', ingress: { ...side, decision: 'denied', rule: DEFAULT_DENY } }

test('names both ends and the rule that decided', (t) => {
  const explained = explain(sources(denied), '192.0.2.1', 'demo/web', '80/tcp')
  t.like(explained.from, { address: '192.0.2.1', identity: 9, labels: ['reserved:world=', 'reserved:world-ipv4='] })
  t.like(explained.to, { address: '10.77.1.11', workload: 'demo/web', identity: 300 })
  t.is(explained.verdict, 'denied')
  t.is(explained.egress, undefined)
  t.like(explained.ingress, { verdict: 'denied', policy: 'NetworkPolicy demo/web ingress (default deny)' })
  t.regex(explained.ingress?.reason ?? '', /no rule allows it/)
})

test('the ends meet in the family that both have', (t) => {
  const asked = sources(denied)
  const explained = explain(asked, '2001:db8::1', 'demo/web', '53/UDP')
  t.is(explained.to.address, 'fd77:1::11')
  t.like(asked.asked[0], { protocol: 17, port: 53 })
})

test('where both ends have both families, the first address of the destination counts', (t) => {
  const asked = sources(denied)
  const both = 'apiVersion: sluice.io/v1\nkind: Workload\nmetadata: {name: six, namespace: demo}\nspec: {addresses: ["fd77:1::12", 10.77.1.12]}\n'
  const cluster = compile(parseDocuments(`${TEXT}---\n${both}`, 'a.yaml').documents)
  const explained = explain({ ...asked, cluster }, 'demo/web', 'demo/six', '80')
  t.deepEqual([explained.from.address, explained.to.address], ['fd77:1::11', 'fd77:1::12'])
})

test('a port alone is TCP, and an ICMP type has the number that rules have', (t) => {
  const asked = sources(denied)
  for (const port of ['80', '8/ICMP']) explain(asked, '192.0.2.1', 'demo/web', port)
  t.deepEqual(asked.asked.map(({ protocol, port }) => [protocol, port]), [[6, 80], [1, 8 << 8]])
})

test('no policy is a reason too', (t) => {
  const open: Verdict = { decision: 'allowed', egress: { ...side, decision: 'allowed', rule: 0 } }
  const explained = explain(sources(open), 'demo/web', '192.0.2.1', '80/TCP')
  t.is(explained.egress?.reason, 'no policy selects it for egress')
})

for (const [from, to, port, code] of [
  ['demo/nobody', 'demo/web', '80/TCP', 'NOT_FOUND'],
  ['demo/web', '10.0.0.1', '0/TCP', 'BAD_REQUEST'],
  ['demo/web', '10.0.0.1', '70000/TCP', 'BAD_REQUEST'],
  ['demo/web', '10.0.0.1', '80/QUIC', 'BAD_REQUEST'],
  ['10.0.0.1', '2001:db8::1', '80/TCP', 'BAD_REQUEST'],
] as const) {
  test(`refuses ${from} ${to} ${port}`, (t) => {
    t.throws(() => explain(sources(denied), from, to, port), { code })
  })
}

test('ICMP is asked about at IPv4 addresses, ICMPv6 at IPv6 ones, and where there is none it is refused', (t) => {
  const asked = sources(denied)
  t.is(explain(asked, '2001:db8::1', 'demo/web', '128/ICMPv6').to.address, 'fd77:1::11')
  t.throws(() => explain(asked, 'demo/web', '192.0.2.1', '128/ICMPv6'), { code: 'BAD_REQUEST', message: /^192\.0\.2\.1 has no IPv6 address/ })
  t.throws(() => explain(asked, '2001:db8::1', 'demo/web', '8/ICMP'), { code: 'BAD_REQUEST', message: /^2001:db8::1 has no IPv4 address/ })
})

test('a name that no workload has is refused with those that there are', (t) => {
  t.throws(() => explain(sources(denied), 'demo/wep', 'demo/web', '80'), { code: 'NOT_FOUND', message: /"demo\/wep" is neither.*there are demo\/web$/ })
})

test('a Service is no end: policy compares its backends, which the refusal names', (t) => {
  const asked = sources(denied)
  const service = 'apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: demo}\nspec: {selector: {app: web}, clusterIPs: [10.77.8.1], ports: [{port: 80, targetPort: 8080}]}\n'
  const cluster = compile(parseDocuments(`${TEXT}---\n${service}`, 'a.yaml').documents)
  t.throws(() => explain({ ...asked, cluster }, 'demo/web', '10.77.8.1', '80/TCP'), { code: 'BAD_REQUEST', message: /Service demo\/web.*ask about demo\/web with its port 8080/ })
  t.deepEqual(asked.asked, [])
})

test('the rows that were compared stand with the rules that they are of', (t) => {
  const row = { first: 0, last: 0xff_ffff, decision: 'denied' } as const
  const compared = [{ ...row, peers: 'class', precedence: 0xc000_0000, rule: 99 }, { ...row, peers: 'every', precedence: 0x8000_0001, rule: DEFAULT_DENY }] as const
  const ingress = { ...side, decision: 'denied', rule: 99, compared } as const
  t.deepEqual(explain(sources({ decision: 'denied', ingress }), '192.0.2.1', 'demo/web', '80').ingress?.entries, [
    { peers: 'class 1', ports: 'all', tier: 'admin', precedence: 0xc000_0000, verdict: 'denied', rule: 99, decides: true },
    {
      peers: 'every peer', ports: 'all', tier: 'normal', precedence: 0x8000_0001, verdict: 'denied', rule: DEFAULT_DENY,
      policy: 'NetworkPolicy demo/web ingress (default deny)', decides: false,
    },
  ])
})

test('a rule that would allow it through a proxy is told with what it needs', (t) => {
  const http = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: http, namespace: demo}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET}]}}]}]
`
  const asked = { ...sources(denied), cluster: compile(parseDocuments(`${TEXT}---\n${http}`, 'a.yaml').documents) }
  asked.addresses.set({ prefix: '10.77.1.11/32', identity: 300, labels: ['k8s:app=web', 'k8s:io.kubernetes.pod.namespace=demo'], workload: 'demo/web', flags: ['workload'] })
  const lacking = (port: string) => explain(asked, '192.0.2.1', 'demo/web', port).ingress?.lacking
  t.deepEqual(lacking('80'), ['CiliumNetworkPolicy demo/http ingress[0] needs the HTTP proxy, which is not there: denied'])
  t.is(lacking('81'), undefined)
})

test('what the node sends to its workloads is not asked about, unless the daemon is told to', (t) => {
  const asked = sources({ decision: 'denied', egress: { ...side, decision: 'allowed', rule: 0 }, ingress: { ...side, decision: 'denied', rule: DEFAULT_DENY } })
  asked.addresses.set({ prefix: '10.77.1.1/32', identity: 1, labels: ['reserved:host='], flags: ['host'] })
  for (const from of ['10.77.1.1', 'host', 'reserved:host']) {
    const explained = explain(asked, from, 'demo/web', '80')
    t.like(explained, { verdict: 'allowed', from: { address: '10.77.1.1' }, ingress: { verdict: 'allowed', rule: 0 } })
    t.regex(explained.ingress?.reason ?? '', /--allow-host/)
  }
  t.like(explain({ ...asked, allowHost: false }, 'host', 'demo/web', '80'), { verdict: 'denied', ingress: { rule: DEFAULT_DENY } })
})
