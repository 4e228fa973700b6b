// What a NetworkPolicy means towards the world and in the examples of
// https://kubernetes.io/docs/concepts/services-networking/network-policies/. Between pods, matrix.test.ts says more.
import test from 'ava'
import { declareCases, OUT, OUT6, type Case } from './testing/cases.ts'

const CASES: readonly Omit<Case, 'kind'>[] = [
  {
    title: 'default deny all ingress',
    spec: 'podSelector: {}\npolicyTypes: [Ingress]',
    allowed: ['demo/web other/client 80/TCP', `demo/web ${OUT} 80/TCP`],
    denied: ['demo/client demo/web 80/TCP', 'other/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`, 'demo/client demo/web 8/ICMP'],
  },
  {
    title: 'allow all ingress: an empty rule is everybody',
    spec: 'podSelector: {}\ningress: [{}]\npolicyTypes: [Ingress]',
    allowed: ['demo/client demo/web 80/TCP', `${OUT6} demo/web 80/TCP`, 'demo/client demo/web 8/ICMP'],
  },
  {
    title: 'default deny all egress',
    spec: 'podSelector: {}\npolicyTypes: [Egress]',
    allowed: ['other/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`],
    denied: ['demo/client demo/web 80/TCP', `demo/web ${OUT} 80/TCP`],
  },
  {
    title: 'default deny both directions',
    spec: 'podSelector: {}\npolicyTypes: [Ingress, Egress]',
    denied: ['demo/client demo/web 80/TCP', `demo/web ${OUT} 80/TCP`, `${OUT} demo/web 80/TCP`],
  },
  {
    title: 'rules of a direction that policyTypes leaves out have no effect',
    spec: 'podSelector: {}\npolicyTypes: [Egress]\ningress: [{from: [{podSelector: {}}]}]\negress: [{}]',
    allowed: [`${OUT} demo/web 80/TCP`, `demo/web ${OUT} 80/TCP`],
  },
  {
    title: 'the example of the concept page: block, namespace or pod, on one port',
    spec: `podSelector: {matchLabels: {app: web}}
policyTypes: [Ingress, Egress]
ingress:
- from:
  - ipBlock: {cidr: 203.0.0.0/16, except: [203.0.114.0/24]}
  - namespaceSelector: {matchLabels: {team: b}}
  - podSelector: {matchLabels: {app: client}}
  ports: [{protocol: TCP, port: 80}]
egress:
- to: [{ipBlock: {cidr: 203.0.113.0/24}}]
  ports: [{protocol: TCP, port: 5978}]`,
    allowed: [`${OUT} demo/web 80/TCP`, 'other/client demo/web 80/TCP', 'demo/client demo/web 80/TCP', `demo/web ${OUT} 5978/TCP`],
    denied: ['203.0.114.1 demo/web 80/TCP', `${OUT6} demo/web 80/TCP`, 'demo/client demo/web 81/TCP', `demo/web ${OUT} 5979/TCP`],
  },
  {
    title: 'one item with both selectors is both at once, two items are either',
    spec: `podSelector: {matchLabels: {app: web}}
ingress:
- from: [{namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchLabels: {app: none}}}]`,
    denied: ['other/client demo/web 80/TCP', 'demo/client demo/web 80/TCP'],
  },
  {
    title: 'every namespace is no part of the world',
    spec: `podSelector: {matchLabels: {app: web}}
ingress:
- from: [{namespaceSelector: {}}]`,
    allowed: ['other/client demo/web 80/TCP', 'demo/client demo/web 80/TCP'],
    denied: [`${OUT} demo/web 80/TCP`],
  },
  {
    title: 'the world is in no namespace, not even in one without a label',
    spec: `podSelector: {matchLabels: {app: web}}
ingress:
- from: [{namespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: [a]}]}}]`,
    allowed: ['other/client demo/web 80/TCP'],
    denied: ['demo/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`],
  },
  {
    title: 'a namespace by its name',
    spec: `podSelector: {}
egress:
- to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: other}}}]`,
    allowed: ['demo/client other/client 80/TCP'],
    denied: ['demo/web demo/client 80/TCP', `demo/client ${OUT} 80/TCP`],
  },
  {
    title: 'a block matches pods by their address',
    spec: `podSelector: {matchLabels: {app: web}}
ingress:
- from: [{ipBlock: {cidr: 10.0.0.2/32}}]`,
    allowed: ['demo/client demo/web 80/TCP'],
    denied: ['other/client demo/web 80/TCP', 'fd00::2 fd00::1 80/TCP'],
  },
  {
    title: 'exceptions of a block are by address too, pods included',
    spec: `podSelector: {}
policyTypes: [Egress]
egress:
- to: [{ipBlock: {cidr: 10.0.0.0/24, except: [10.0.0.2/31]}}]`,
    allowed: ['demo/client demo/web 80/TCP'],
    denied: ['demo/web demo/client 80/TCP', 'demo/web other/client 80/TCP', 'fd00::1 fd00::2 80/TCP'],
  },
  {
    title: 'empty lists of peers and ports are everybody and every port',
    spec: `podSelector: {matchLabels: {app: web}}
ingress:
- {from: [], ports: []}`,
    allowed: ['demo/client demo/web 80/TCP', `${OUT} demo/web 9/UDP`, 'demo/client demo/web 8/ICMP'],
  },
  {
    title: 'an empty list of rules is nobody, and isolates its own direction alone',
    spec: 'podSelector: {matchLabels: {app: web}}\ningress: []\negress: []',
    allowed: ['demo/web demo/client 80/TCP'],
    denied: ['demo/client demo/web 80/TCP'],
  },
  {
    title: 'without policyTypes egress rules isolate both directions',
    spec: 'podSelector: {matchLabels: {app: web}}\negress: [{ports: [{port: 53, protocol: UDP}]}]',
    allowed: [`demo/web ${OUT} 53/UDP`],
    denied: [`demo/web ${OUT} 53/TCP`, 'demo/client demo/web 80/TCP'],
  },
  {
    title: 'a named port is what each destination calls so, on ingress and egress, in its protocol',
    spec: `podSelector: {}
policyTypes: [Ingress, Egress]
ingress: [{ports: [{port: http}, {port: dns, protocol: UDP}]}]
egress: [{ports: [{port: http}, {port: dns}]}]`,
    allowed: ['demo/client demo/web 80/TCP'],
    denied: ['demo/client demo/web 81/TCP', 'demo/client demo/web 53/UDP', 'demo/client other/client 80/TCP', `demo/client ${OUT} 80/TCP`],
  },
  {
    title: 'a protocol without port is each of its ports',
    spec: 'podSelector: {matchLabels: {app: web}}\ningress: [{ports: [{protocol: SCTP}]}]',
    allowed: ['demo/client demo/web 1/SCTP', 'demo/client demo/web 65535/SCTP'],
    denied: ['demo/client demo/web 1/TCP', 'demo/client demo/web 8/ICMP'],
  },
  {
    title: 'a range of ports, and SCTP',
    spec: `podSelector: {matchLabels: {app: web}}
ingress:
- ports: [{protocol: UDP, port: 32000, endPort: 32768}, {protocol: SCTP, port: 7777}]`,
    allowed: ['demo/client demo/web 32000/UDP', 'demo/client demo/web 32768/UDP', 'demo/client demo/web 7777/SCTP'],
    denied: ['demo/client demo/web 31999/UDP', 'demo/client demo/web 32769/UDP', 'demo/client demo/web 7777/TCP'],
  },
]

declareCases(test, CASES.map((example) => ({ ...example, kind: 'NetworkPolicy' })))
