// Policies in the forms in which the well-known collections have them: recipes for NetworkPolicies, examples of Cilium's
// documentation, the conformance tests of the Network Policy API. With fields that are there and empty, as people leave them.
import test from 'ava'
import { declareCases, OUT, OUT6, simulate, type Case } from './testing/cases.ts'

const DNS = `apiVersion: sluice.io/v1
kind: Workload
metadata: {name: dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {addresses: [10.0.9.1]}
`
const toDns = (port: string): readonly string[] => [`demo/web kube-system/dns ${port}`]

const CASES: readonly Case[] = [
  {
    title: 'recipe: nobody reaches an application',
    kind: 'NetworkPolicy',
    spec: 'podSelector:\n  matchLabels:\n    app: web\ningress: []',
    allowed: ['demo/web demo/client 80/TCP'],
    denied: ['demo/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`],
  },
  {
    title: 'recipe: an empty rule, an empty list and no list open to all',
    kind: 'NetworkPolicy',
    spec: 'podSelector:\ningress:\n- {}\n- from: []\n- from:\n  ports:',
    allowed: ['demo/client demo/web 80/TCP', 'other/client demo/web 53/UDP', `${OUT} demo/web 80/TCP`],
  },
  {
    title: 'recipe: everything is denied in both directions',
    kind: 'NetworkPolicy',
    spec: 'podSelector: {}\npolicyTypes:\n- Ingress\n- Egress',
    denied: ['demo/client demo/web 80/TCP', `demo/web ${OUT} 443/TCP`, `${OUT6} demo/web 80/TCP`],
  },
  {
    title: 'recipe: only within the namespace',
    kind: 'NetworkPolicy',
    spec: 'podSelector:\n  matchLabels:\ningress:\n- from:\n  - podSelector: {}',
    allowed: ['demo/client demo/web 80/TCP'],
    denied: ['other/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`],
  },
  {
    title: 'recipe: pods of another namespace, by both selectors',
    kind: 'NetworkPolicy',
    spec: 'podSelector: {matchLabels: {app: web}}\ningress:\n- from:\n  - namespaceSelector:\n      matchLabels:\n        team: b\n    podSelector:\n      matchLabels:\n        io.example/role: admin',
    allowed: ['other/client demo/web 80/TCP'],
    denied: ['demo/client demo/web 80/TCP'],
  },
  {
    title: 'recipe: no egress but DNS',
    kind: 'NetworkPolicy',
    spec: 'podSelector: {matchLabels: {app: web}}\npolicyTypes: [Egress]\negress:\n- to:\n  ports:\n  - port: 53\n    protocol: UDP\n  - port: 53\n    protocol: TCP',
    beside: DNS,
    allowed: [...toDns('53/UDP'), ...toDns('53/TCP'), 'demo/client demo/web 80/TCP'],
    denied: ['demo/web demo/client 80/TCP', `demo/web ${OUT} 443/TCP`],
  },
  {
    title: 'recipe: no egress out of the cluster',
    kind: 'NetworkPolicy',
    spec: 'podSelector: {matchLabels: {app: web}}\npolicyTypes: [Egress]\negress:\n- ports:\n  - {port: 53, protocol: UDP}\n- to:\n  - namespaceSelector: {}',
    allowed: ['demo/web other/client 80/TCP', `demo/web ${OUT} 53/UDP`],
    denied: [`demo/web ${OUT} 443/TCP`, `demo/web ${OUT6} 443/TCP`],
  },
  {
    title: 'Cilium: names of the cluster through kube-dns',
    spec: `endpointSelector: {}
egress:
- toEndpoints:
  - matchLabels:
      "k8s:io.kubernetes.pod.namespace": kube-system
      "k8s:k8s-app": kube-dns
  toPorts:
  - ports:
    - port: "53"
      protocol: ANY`,
    beside: DNS,
    allowed: [...toDns('53/UDP'), ...toDns('53/TCP')],
    denied: [...toDns('54/UDP'), 'demo/web demo/client 53/UDP'],
  },
  {
    title: 'Cilium: everybody managed may ask kube-dns',
    kind: 'CiliumClusterwideNetworkPolicy',
    spec: `endpointSelector: {matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system, k8s-app: kube-dns}}
ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: "53", protocol: UDP}]}]}]`,
    beside: DNS,
    allowed: [...toDns('53/UDP'), 'other/client kube-system/dns 53/UDP'],
    denied: [...toDns('53/TCP'), `${OUT} kube-system/dns 53/UDP`],
  },
  {
    title: 'Cilium: a namespace or a service account, one selector each',
    spec: `endpointSelector: {matchLabels: {app: web}}
ingress:
- fromEndpoints:
  - matchExpressions: [{key: "k8s:io.kubernetes.pod.namespace", operator: In, values: [production]}]
  - matchLabels: {io.cilium.k8s.policy.serviceaccount: robot, "k8s:io.kubernetes.pod.namespace": other}`,
    allowed: ['other/client demo/web 80/TCP'],
    denied: ['demo/client demo/web 80/TCP'],
  },
  {
    title: 'Cilium: ping of both families, by number and by name',
    spec: 'endpointSelector: {matchLabels: {app: web}}\negress: [{icmps: [{fields: [{type: 8, family: IPv4}, {type: EchoRequest, family: IPv6}]}]}]',
    allowed: [`demo/web ${OUT} 8/ICMP`, `demo/web ${OUT6} 128/ICMPv6`],
    denied: [`demo/web ${OUT} 0/ICMP`, `demo/web ${OUT} 80/TCP`],
  },
  {
    title: 'Cilium: all of a protocol through a listener, which is not there',
    spec: `endpointSelector: {matchLabels: {app: web}}
egress:
- toCIDRSet: [{cidr: 0.0.0.0/0, except: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]}]
  toPorts: [{ports: [{port: "0", protocol: TCP}], listener: {name: forward, envoyConfig: {kind: CiliumClusterwideEnvoyConfig, name: forward}}}]`,
    denied: [`demo/web ${OUT} 443/TCP`, `demo/web ${OUT} 53/UDP`],
  },
  {
    title: 'Network Policy API: ranges of three protocols, then a denial of all',
    kind: 'ClusterNetworkPolicy',
    spec: `tier: Admin
priority: 9
subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: demo}}}
ingress:
- name: ranges
  action: Accept
  from: [{namespaces: {matchLabels: {kubernetes.io/metadata.name: other}}}]
  protocols:
  - {tcp: {destinationPort: {range: {start: 80, end: 8080}}}}
  - {udp: {destinationPort: {range: {start: 53, end: 5353}}}}
  - {sctp: {destinationPort: {range: {start: 9003, end: 9005}}}}
- name: deny-all
  action: Deny
  from: [{namespaces: {matchExpressions: [{key: team, operator: Exists}]}}]`,
    allowed: ['other/client demo/web 80/TCP', 'other/client demo/web 8080/TCP', 'other/client demo/web 5353/UDP', 'other/client demo/web 9004/SCTP', `${OUT} demo/web 22/TCP`],
    denied: ['other/client demo/web 79/TCP', 'other/client demo/web 9006/SCTP', 'demo/client demo/web 80/TCP'],
  },
  {
    title: 'Network Policy API: what is denied within a namespace is open to a pod itself',
    kind: 'ClusterNetworkPolicy',
    spec: `tier: Admin
priority: 15
subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: demo}}}
ingress: [{name: deny, action: Deny, from: [{namespaces: {matchLabels: {kubernetes.io/metadata.name: demo}}}]}]`,
    allowed: ['demo/web demo/web 80/TCP', 'other/client demo/web 80/TCP'],
    denied: ['demo/client demo/web 80/TCP'],
  },
]

declareCases(test, CASES)

test('Cilium: protocols without ports are opened as a whole', async (t) => {
  const { cluster } = await simulate({
    kind: 'CiliumClusterwideNetworkPolicy',
    spec: 'nodeSelector: {}\negress: [{toPorts: [{ports: [{port: "443", protocol: TCP}, {protocol: VRRP}, {port: "0", protocol: GRE}]}]}]',
  })
  const rules = [...cluster.policies.values()].flatMap(({ policies }) => policies).flatMap((policy) => policy.rules)
  t.deepEqual(rules.map(({ ports }) => ports), [[
    { protocol: 6, first: 443, last: 443 },
    { protocol: 112, first: 0, last: 65_535 },
    { protocol: 47, first: 0, last: 65_535 },
  ]])
})
