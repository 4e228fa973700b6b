// What a CiliumNetworkPolicy means, construct by construct, after https://docs.cilium.io/en/stable/security/policy/.
import test from 'ava'
import { decide, declareCases, OUT, OUT6, simulate, type Case } from './testing/cases.ts'

const WEB = 'endpointSelector: {matchLabels: {app: web}}'

const CASES: readonly Case[] = [
  {
    title: 'an empty ingress rule turns default deny on and allows nobody',
    spec: `${WEB}\ningress: [{}]`,
    allowed: ['demo/web demo/client 80/TCP', 'demo/client other/client 80/TCP'],
    denied: ['demo/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`, 'demo/client demo/web 8/ICMP'],
  },
  {
    title: 'an empty selector is every workload of the own namespace',
    spec: `${WEB}\ningress: [{fromEndpoints: [{}]}]`,
    allowed: ['demo/client demo/web 80/TCP', 'demo/client demo/web 8/ICMP'],
    denied: ['other/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`],
  },
  {
    title: 'an empty list of endpoints is nobody',
    spec: `${WEB}\ningress: [{fromEndpoints: []}]`,
    denied: ['demo/client demo/web 80/TCP', 'other/client demo/web 80/TCP'],
  },
  {
    title: 'also where entities stand beside it',
    spec: `${WEB}\ningress: [{fromEndpoints: [], fromEntities: [world]}]`,
    denied: ['demo/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`],
  },
  {
    title: 'ports without peers are open to all',
    spec: `${WEB}\ningress: [{toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]`,
    allowed: ['demo/client demo/web 80/TCP', 'other/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`, `${OUT6} demo/web 80/TCP`],
    denied: ['demo/client demo/web 80/UDP', 'demo/client demo/web 81/TCP'],
  },
  {
    title: 'a namespace that is named takes the place of the own one',
    spec: `${WEB}\ningress: [{fromEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": other, app: client}}]}]`,
    allowed: ['other/client demo/web 80/TCP'],
    denied: ['demo/client demo/web 80/TCP'],
  },
  {
    title: 'a namespace that is only excluded leaves workloads, and not the world',
    spec: `${WEB}\ningress: [{fromEndpoints: [{matchExpressions: [{key: "k8s:io.kubernetes.pod.namespace", operator: NotIn, values: [demo]}]}]}]`,
    allowed: ['other/client demo/web 80/TCP'],
    denied: ['demo/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`],
  },
  {
    title: 'so do labels of the namespace, and a key without source matches any source',
    spec: `${WEB}\ningress: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.namespace.labels.team: b}}]}]`,
    allowed: ['other/client demo/web 80/TCP'],
    denied: ['demo/client demo/web 80/TCP'],
  },
  {
    title: 'any: and k8s: match labels of Kubernetes, container: does not',
    spec: `${WEB}
ingress:
- fromEndpoints:
  - matchLabels: {"any:app": client}
    matchExpressions: [{key: "k8s:app", operator: Exists}, {key: "container:app", operator: DoesNotExist}]`,
    allowed: ['demo/client demo/web 80/TCP'],
    denied: ['other/client demo/web 80/TCP'],
  },
  {
    title: 'service accounts are labels',
    spec: `${WEB}\ningress: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.serviceaccount: robot, io.kubernetes.pod.namespace: other}}]}]`,
    allowed: ['other/client demo/web 80/TCP'],
    denied: ['demo/client demo/web 80/TCP'],
  },
  {
    title: 'every workload has the name of its cluster, with and without a source before the key',
    spec: `{endpointSelector: {matchLabels: {"k8s:io.cilium.k8s.policy.cluster": default, app: web}}, ingress: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.cluster: default, "k8s:io.kubernetes.pod.namespace": other}}]}]}`,
    allowed: ['other/client demo/web 80/TCP'],
    denied: ['demo/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`],
  },
  {
    title: 'another cluster is nobody here, and naming one says nothing about namespaces',
    spec: `${WEB}\ningress: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.cluster: far}}], toPorts: [{ports: [{port: "80"}]}]}, {fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.cluster: default}}], toPorts: [{ports: [{port: "81"}]}]}]`,
    allowed: ['demo/client demo/web 81/TCP'],
    denied: ['demo/client demo/web 80/TCP', 'other/client demo/web 81/TCP'],
  },
  {
    title: 'entity world is what is no workload',
    spec: `${WEB}\ningress: [{fromEntities: [world]}]`,
    allowed: [`${OUT} demo/web 80/TCP`, `${OUT6} demo/web 80/TCP`],
    denied: ['demo/client demo/web 80/TCP'],
  },
  {
    title: 'entity world-ipv4 is one family of it',
    spec: `${WEB}\ningress: [{fromEntities: [world-ipv4]}]`,
    allowed: [`${OUT} demo/web 80/TCP`],
    denied: [`${OUT6} demo/web 80/TCP`, 'demo/client demo/web 80/TCP'],
  },
  {
    title: 'entity cluster is every workload and not the world',
    spec: `${WEB}\ningress: [{fromEntities: [cluster]}]`,
    allowed: ['demo/client demo/web 80/TCP', 'other/client demo/web 80/TCP'],
    denied: [`${OUT} demo/web 80/TCP`],
  },
  {
    title: 'entity all is everybody',
    spec: `${WEB}\ningress: [{fromEntities: [all]}]`,
    allowed: ['demo/client demo/web 80/TCP', 'other/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`],
  },
  {
    title: 'entity none is nobody',
    spec: `${WEB}\ningress: [{fromEntities: [none]}]`,
    denied: ['demo/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`],
  },
  {
    title: 'CIDR rules match addresses outside, never workloads',
    spec: `${WEB}\ningress: [{fromCIDR: [0.0.0.0/0]}]`,
    allowed: [`${OUT} demo/web 80/TCP`],
    denied: ['demo/client demo/web 80/TCP', `${OUT6} demo/web 80/TCP`],
  },
  {
    title: 'a single address is a CIDR too',
    spec: `${WEB}\negress: [{toCIDR: [${OUT}]}]`,
    allowed: [`demo/web ${OUT} 80/TCP`],
    denied: ['demo/web 203.0.113.8 80/TCP', 'demo/web 203.0.113.10 80/TCP'],
  },
  {
    title: 'CIDR sets have exceptions',
    spec: `${WEB}\negress: [{toCIDRSet: [{cidr: 203.0.113.0/24, except: [203.0.113.8/31]}, {cidr: "2001:db8::/32"}]}]`,
    allowed: ['demo/web 203.0.113.7 80/TCP', 'demo/web 203.0.113.10 80/TCP', `demo/web ${OUT6} 80/TCP`],
    denied: ['demo/web 203.0.113.8 80/TCP', `demo/web ${OUT} 80/TCP`, 'demo/web 203.0.114.0 80/TCP'],
  },
  {
    title: 'ANY is TCP, UDP and SCTP; ranges include both ends',
    spec: `${WEB}\ningress: [{toPorts: [{ports: [{port: "80", endPort: 82}]}]}]`,
    allowed: ['demo/client demo/web 80/TCP', 'demo/client demo/web 82/UDP', 'demo/client demo/web 81/SCTP'],
    denied: ['demo/client demo/web 79/TCP', 'demo/client demo/web 83/TCP', 'demo/client demo/web 8/ICMP'],
  },
  {
    title: 'port 0 is every port of the protocol',
    spec: `${WEB}\ningress: [{toPorts: [{ports: [{port: "0", protocol: UDP}]}]}]`,
    allowed: ['demo/client demo/web 1/UDP', 'demo/client demo/web 65535/UDP'],
    denied: ['demo/client demo/web 80/TCP'],
  },
  {
    title: 'named ports are the destination\'s, of the protocol asked for',
    spec: `${WEB}\ningress: [{toPorts: [{ports: [{port: HTTP, protocol: TCP}, {port: dns}]}]}]`,
    allowed: ['demo/client demo/web 80/TCP', 'demo/client demo/web 53/UDP'],
    denied: ['demo/client demo/web 53/TCP', 'demo/client demo/web 80/UDP', 'demo/client demo/web 81/TCP'],
  },
  {
    title: 'ICMP types by name and number, IPv4 unless IPv6 is said',
    spec: `${WEB}\ningress: [{icmps: [{fields: [{type: EchoRequest}, {family: IPv6, type: 128}]}]}]`,
    allowed: ['demo/client demo/web 8/ICMP', 'fd00::2 fd00::1 128/ICMPv6'],
    denied: ['demo/client demo/web 0/ICMP', 'fd00::2 fd00::1 129/ICMPv6', 'demo/client demo/web 80/TCP'],
  },
  {
    title: 'deny wins over allow',
    spec: `${WEB}
ingress: [{fromEntities: [all]}]
ingressDeny:
- fromEndpoints: [{matchLabels: {app: client}}]
  toPorts: [{ports: [{port: "80", protocol: TCP}]}]`,
    allowed: ['demo/client demo/web 81/TCP', 'other/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`],
    denied: ['demo/client demo/web 80/TCP'],
  },
  {
    title: 'without default deny the rules only add',
    spec: `${WEB}\nenableDefaultDeny: {ingress: false}\ningressDeny: [{fromEndpoints: [{matchLabels: {app: client}}]}]`,
    allowed: ['other/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`],
    denied: ['demo/client demo/web 80/TCP'],
  },
  {
    title: 'egress rules leave ingress alone',
    spec: `
endpointSelector: {matchLabels: {app: client}}
egress:
- toEndpoints: [{matchLabels: {app: web}}]
  toPorts: [{ports: [{port: "80"}]}]`,
    allowed: ['demo/client demo/web 80/TCP', 'demo/web demo/client 80/TCP', 'other/client demo/web 81/TCP'],
    denied: ['demo/client demo/web 81/TCP', `demo/client ${OUT} 80/TCP`, 'demo/client other/client 80/TCP'],
  },
  {
    title: 'an empty endpointSelector selects the own namespace only',
    spec: 'endpointSelector: {}\ningress: [{}]',
    allowed: ['demo/client other/client 80/TCP', `${OUT} other/client 80/TCP`],
    denied: ['other/client demo/client 80/TCP', 'demo/client demo/web 80/TCP'],
  },
  {
    title: 'clusterwide: subjects in every namespace, an empty peer selector is every workload',
    kind: 'CiliumClusterwideNetworkPolicy',
    spec: 'endpointSelector: {matchLabels: {app: client}}\ningress: [{fromEndpoints: [{}]}]',
    allowed: ['demo/web demo/client 80/TCP', 'demo/web other/client 80/TCP', `${OUT} demo/web 80/TCP`],
    denied: [`${OUT} demo/client 80/TCP`, `${OUT} other/client 80/TCP`],
  },
  {
    title: 'audit lets pass what it would deny',
    spec: `${WEB}\naudit: true\ningress: [{}]`,
    allowed: ['demo/client demo/web 80/TCP'],
  },
]

declareCases(test, CASES)

test('the rule that decided has its name', async (t) => {
  const rules = 'ingress: [{fromEntities: [world]}]\ningressDeny: [{fromEndpoints: [{matchLabels: {app: client}}]}]'
  const simulation = await simulate({ spec: `${WEB}\n${rules}` })
  const ingress = (from: string) => decide(simulation, `${from} demo/web 80/TCP`).ingress
  t.like(ingress(OUT), { decision: 'allowed', reference: { action: 'allow', index: 0 } })
  t.like(ingress('demo/client'), { decision: 'denied', reference: { action: 'deny', index: 0 } })
  t.like(ingress('other/client'), { decision: 'denied', reference: { action: 'default-deny', direction: 'ingress' } })
})
