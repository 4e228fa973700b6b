// Peers of a CiliumNetworkPolicy that other documents know, and rules that need what is not there yet.
import test from 'ava'
import { decide, declareCases, OUT, OUT6, simulate, type Case } from './testing/cases.ts'

const WEB = 'endpointSelector: {matchLabels: {app: web}}'
const CLIENT = 'endpointSelector: {matchLabels: {app: client}}'

const GROUPS = `
apiVersion: cilium.io/v2
kind: CiliumCIDRGroup
metadata: {name: partners, labels: {zone: outside}}
spec: {externalCIDRs: [203.0.113.0/24, 10.0.0.0/8]}
---
apiVersion: cilium.io/v2alpha1
kind: CiliumCIDRGroup
metadata: {name: six, labels: {zone: outside}}
spec: {externalCIDRs: ["2001:db8::/32"]}
---
apiVersion: cilium.io/v2
kind: CiliumCIDRGroup
metadata: {name: other}
spec: {externalCIDRs: [198.51.100.0/24, 192.168.0.0/16]}
`

const SERVICES = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: demo, labels: {tier: front}}
spec: {selector: {app: web}, clusterIP: 10.96.0.1, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: clients, namespace: other, labels: {tier: front}}
spec: {selector: {app: client}}
---
apiVersion: v1
kind: Service
metadata: {name: outside, namespace: demo}
spec: {ports: [{port: 80}]}
`

const SLICES = `
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: outside-1, namespace: demo, labels: {kubernetes.io/service-name: outside}}
addressType: IPv4
endpoints: [{addresses: [203.0.113.9], conditions: {ready: true}}]
ports: [{port: 80}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: outside-2, namespace: demo, labels: {kubernetes.io/service-name: outside}}
addressType: IPv6
endpoints: [{addresses: ["2001:db8::9"]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: others, namespace: other, labels: {kubernetes.io/service-name: outside}}
addressType: IPv4
endpoints: [{addresses: [203.0.113.10]}]
`

const API_SERVER = `
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}
addressType: IPv4
endpoints: [{addresses: [192.168.0.1]}, {addresses: [203.0.113.9]}]
`

const NODES = `
apiVersion: v1
kind: Node
metadata: {name: one, labels: {node-role.kubernetes.io/control-plane: ""}}
status: {addresses: [{type: InternalIP, address: 192.168.0.1}, {type: Hostname, address: one}]}
---
apiVersion: v1
kind: Node
metadata: {name: two}
status: {addresses: [{type: InternalIP, address: 192.168.0.2}, {type: InternalIP, address: "fd01::2"}]}
`

const CASES: readonly Case[] = [
  {
    title: 'a group by name is its prefixes, outside of the cluster',
    spec: `${WEB}\ningress: [{fromCIDRSet: [{cidrGroupRef: partners}]}]`,
    beside: GROUPS,
    allowed: [`${OUT} demo/web 80/TCP`],
    denied: ['demo/client demo/web 80/TCP', `${OUT6} demo/web 80/TCP`, '198.51.100.1 demo/web 80/TCP'],
  },
  {
    title: 'groups by their labels',
    spec: `${WEB}\ningress: [{fromCIDRSet: [{cidrGroupSelector: {matchLabels: {zone: outside}}}]}]`,
    beside: GROUPS,
    allowed: [`${OUT} demo/web 80/TCP`, `${OUT6} demo/web 80/TCP`],
    denied: ['198.51.100.1 demo/web 80/TCP', 'demo/client demo/web 80/TCP'],
  },
  {
    title: 'a group that is denied',
    spec: `${WEB}\negress: [{toEntities: [all]}]\negressDeny: [{toCIDRSet: [{cidrGroupRef: other}]}]`,
    beside: GROUPS,
    allowed: [`demo/web ${OUT} 80/TCP`],
    denied: ['demo/web 198.51.100.1 80/TCP'],
  },
  {
    title: 'a group selects no node, whatever its prefixes cover',
    spec: `${WEB}\ningress: [{fromCIDRSet: [{cidrGroupRef: other}]}]`,
    beside: `${GROUPS}---${NODES}`,
    allowed: ['192.168.0.3 demo/web 80/TCP'],
    denied: ['192.168.0.1 demo/web 80/TCP'],
  },
  {
    title: 'a service by name is its backends, and nobody else of its namespace',
    spec: `${CLIENT}\negress: [{toServices: [{k8sService: {serviceName: web, namespace: demo}}], toPorts: [{ports: [{port: "80"}]}]}]`,
    beside: SERVICES,
    allowed: ['demo/client demo/web 80/TCP'],
    denied: ['demo/client other/client 80/TCP', 'demo/client demo/web 81/TCP', `demo/client ${OUT} 80/TCP`],
  },
  {
    title: 'services by their labels, in every namespace or in one',
    spec: `${CLIENT}\negress: [{toServices: [{k8sServiceSelector: {selector: {matchLabels: {tier: front}}}}]}]`,
    beside: SERVICES,
    allowed: ['demo/client demo/web 80/TCP', 'demo/client other/client 80/TCP'],
    denied: [`demo/client ${OUT} 80/TCP`],
  },
  {
    title: 'services by their labels in one namespace',
    spec: `${CLIENT}\negress: [{toServices: [{k8sServiceSelector: {selector: {matchLabels: {tier: front}}, namespace: other}}]}]`,
    beside: SERVICES,
    allowed: ['demo/client other/client 80/TCP'],
    denied: ['demo/client demo/web 80/TCP'],
  },
  {
    title: 'the API server is what the slices of its Service tell, on a node or outside',
    spec: `${CLIENT}\negress: [{toEntities: [kube-apiserver]}]`,
    beside: `${NODES}${API_SERVER}`,
    allowed: ['demo/client 192.168.0.1 6443/TCP', `demo/client ${OUT} 6443/TCP`],
    denied: ['demo/client 192.168.0.2 6443/TCP', 'demo/client demo/web 80/TCP', `demo/client ${OUT6} 6443/TCP`],
  },
  {
    title: 'the API server belongs to the cluster',
    spec: `${CLIENT}\negress: [{toEntities: [cluster]}]`,
    beside: API_SERVER,
    allowed: [`demo/client ${OUT} 6443/TCP`, 'demo/client demo/web 80/TCP'],
    denied: ['demo/client 203.0.113.10 6443/TCP'],
  },
  {
    title: 'a service without selector is what its slices tell',
    spec: `${CLIENT}\negress: [{toServices: [{k8sService: {serviceName: outside, namespace: demo}}]}]`,
    beside: `${SERVICES}${SLICES}`,
    allowed: [`demo/client ${OUT} 80/TCP`, `demo/client ${OUT6} 80/TCP`],
    denied: ['demo/client 203.0.113.10 80/TCP', 'demo/client demo/web 80/TCP'],
  },
  {
    title: 'nodes by their labels',
    spec: `${WEB}\ningress: [{fromNodes: [{matchLabels: {node-role.kubernetes.io/control-plane: ""}}]}]`,
    beside: NODES,
    allowed: ['192.168.0.1 demo/web 80/TCP'],
    denied: ['192.168.0.2 demo/web 80/TCP', 'demo/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`],
  },
  {
    title: 'every node',
    spec: `${WEB}\negress: [{toNodes: [{}]}]`,
    beside: NODES,
    allowed: ['demo/web 192.168.0.1 80/TCP', 'demo/web fd01::2 80/TCP'],
    denied: ['demo/web demo/client 80/TCP', `demo/web ${OUT} 80/TCP`],
  },
  {
    title: 'entity remote-node is a node, and the world and CIDRs are none',
    spec: `${WEB}\ningress: [{fromEntities: [remote-node]}]\negress: [{toEntities: [world]}, {toCIDR: [192.168.0.0/16]}]`,
    beside: NODES,
    allowed: ['192.168.0.1 demo/web 80/TCP', 'demo/web 192.168.0.3 80/TCP'],
    denied: [`${OUT} demo/web 80/TCP`, 'demo/web 192.168.0.1 80/TCP'],
  },
  {
    title: 'ClusterNetworkPolicy: nodes by their labels',
    kind: 'ClusterNetworkPolicy',
    spec: `tier: Admin
priority: 1
subject: {namespaces: {}}
egress:
- {action: Accept, to: [{nodes: {matchExpressions: [{key: node-role.kubernetes.io/control-plane, operator: Exists}]}}]}
- {action: Deny, to: [{nodes: {}}]}`,
    beside: NODES,
    allowed: ['demo/web 192.168.0.1 80/TCP', 'demo/web demo/client 80/TCP', `demo/web ${OUT} 80/TCP`],
    denied: ['demo/web 192.168.0.2 80/TCP', 'demo/web fd01::2 80/TCP'],
  },
  {
    title: 'a requirement binds every workload, allows nobody, and leaves the world alone',
    spec: `${WEB}
ingress:
- fromEntities: [all]
- fromRequires: [{matchExpressions: [{key: io.example/role, operator: DoesNotExist}]}]`,
    allowed: ['demo/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`],
    denied: ['other/client demo/web 80/TCP'],
  },
  {
    title: 'a requirement binds what other policies allow',
    spec: `${WEB}\ningress: [{fromRequires: [{matchLabels: {app: web}}]}]`,
    beside: `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: all, namespace: demo}
spec: {podSelector: {}, ingress: [{}]}
`,
    allowed: [`${OUT} demo/web 80/TCP`, 'demo/web demo/client 80/TCP'],
    denied: ['demo/client demo/web 80/TCP'],
  },
  {
    title: 'a requirement of a clusterwide policy: all of its conditions at once, on egress',
    kind: 'CiliumClusterwideNetworkPolicy',
    spec: `${WEB}
egress:
- toEntities: [cluster]
- toRequires: [{matchLabels: {app: client}}, {matchExpressions: [{key: io.example/role, operator: Exists}]}]`,
    allowed: ['demo/web other/client 80/TCP'],
    denied: ['demo/web demo/client 80/TCP'],
  },
  {
    title: 'ports that need a proxy are allowed to nobody by their rule, others are',
    spec: `${WEB}
ingress:
- fromEndpoints: [{matchLabels: {app: client}}]
  toPorts:
  - {ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET, path: "/v1/.*"}]}}
  - {ports: [{port: "81", protocol: TCP}]}
  - {ports: [{port: "82", protocol: TCP}], serverNames: [a.example]}`,
    allowed: ['demo/client demo/web 81/TCP'],
    denied: ['demo/client demo/web 80/TCP', 'demo/client demo/web 82/TCP'],
  },
  {
    title: 'what another rule allows on the same port stays allowed',
    spec: `${WEB}
ingress:
- toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET}]}}]
- fromEndpoints: [{}]`,
    allowed: ['demo/client demo/web 80/TCP'],
    denied: ['other/client demo/web 80/TCP'],
  },
  {
    title: 'what has to be authenticated is denied, whoever else allows it',
    spec: `${WEB}
ingress:
- {fromEndpoints: [{}], authentication: {mode: required}, toPorts: [{ports: [{port: "80"}]}]}
- {fromEndpoints: [{}]}
- {fromEntities: [world], authentication: {mode: disabled}}`,
    allowed: ['demo/client demo/web 81/TCP', `${OUT} demo/web 80/TCP`],
    denied: ['demo/client demo/web 80/TCP'],
  },
  {
    title: 'domain names and groups of a cloud provider select nobody, and isolate',
    spec: `${WEB}\negress: [{toFQDNs: [{matchPattern: "*.example"}]}]\ningress: [{fromGroups: [{aws: {region: a, securityGroupsIds: [sg-1]}}, {gcp: {networkTags: [web]}}]}]`,
    denied: [`demo/web ${OUT} 443/TCP`, 'demo/web demo/client 80/TCP', `${OUT} demo/web 80/TCP`],
  },
  {
    title: 'what deny rules require is required of the workloads that they deny',
    spec: `${WEB}
ingress: [{fromEntities: [all]}]
ingressDeny:
- fromEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": demo}}, {matchLabels: {"k8s:io.kubernetes.pod.namespace": other}}]
- fromRequires: [{matchExpressions: [{key: io.example/role, operator: Exists}, {key: "k8s:io.kubernetes.pod.namespace", operator: Exists}]}]`,
    allowed: ['demo/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`],
    denied: ['other/client demo/web 80/TCP'],
  },
  {
    title: 'what needs a proxy is denied in an open direction too, unless another rule allows it',
    spec: `${WEB}
enableDefaultDeny: {ingress: false}
ingress:
- fromEndpoints: [{matchLabels: {app: client, "k8s:io.kubernetes.pod.namespace": demo}}]
  toPorts: [{ports: [{port: "80", protocol: TCP}, {port: "81", protocol: TCP}], rules: {http: [{method: GET}]}}]
- toPorts: [{ports: [{port: "81", protocol: TCP}]}]`,
    allowed: ['demo/client demo/web 81/TCP', 'demo/client demo/web 82/TCP', 'demo/client demo/web 80/UDP', 'other/client demo/web 80/TCP'],
    denied: ['demo/client demo/web 80/TCP'],
  },
  {
    title: 'no baseline opens what needs a proxy',
    spec: `${WEB}\nenableDefaultDeny: {ingress: false}\ningress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{}]}}]}]`,
    beside: `apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: base}
spec: {tier: Baseline, priority: 0, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {}}]}]}`,
    allowed: ['demo/client demo/web 81/TCP'],
    denied: ['demo/client demo/web 80/TCP'],
  },
  {
    title: 'a policy of nodes selects no workload, and neither does one of everything select nodes',
    kind: 'CiliumClusterwideNetworkPolicy',
    spec: 'nodeSelector: {}\ningress: [{}]\negress: [{}]',
    allowed: ['demo/client demo/web 80/TCP', `demo/web ${OUT} 80/TCP`],
  },
]

declareCases(test, CASES)

const warningsOf = async (spec: string, kind: Case['kind'] = 'CiliumNetworkPolicy'): Promise<readonly string[]> => {
  const { cluster } = await simulate({ spec, kind })
  return cluster.warnings.map(({ code, path }) => `${code} ${path}`)
}

test('what is not enforced yet is told about, with its place', async (t) => {
  t.deepEqual(await warningsOf(`${WEB}\negress:
- toFQDNs: [{matchName: a.example}]
- toGroups: [{aws: {}}]
- {authentication: {mode: required}}
- toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchPattern: "*"}]}}]
- toServices: [{k8sService: {serviceName: none, namespace: demo}}]
- toCIDRSet: [{cidrGroupRef: none}]
- toEntities: [cluster, kube-apiserver]`), [
    'NO_DNS_POLICY spec.egress[0].toFQDNs[0]',
    'NO_CLOUD_SOURCE spec.egress[1].toGroups[0]',
    'NO_AUTHENTICATION spec.egress[2].authentication',
    'NO_PROXY spec.egress[3].toPorts[0].rules',
    'UNRESOLVED spec.egress[4].toServices[0]',
    'UNRESOLVED spec.egress[5].toCIDRSet[0]',
    'UNRESOLVED spec.egress[6].toEntities[1]',
  ])
  t.deepEqual(await warningsOf(`${WEB}\ningress: [{}]`), [])
})

test('a service with neither selector nor slice has backends that nobody knows', async (t) => {
  const { cluster } = await simulate({ spec: `${CLIENT}\negress: [{toServices: [{k8sService: {serviceName: outside}}]}]`, beside: SERVICES })
  t.like(cluster.warnings[0], { code: 'UNRESOLVED', problem: 'Service demo/outside has neither selector nor EndpointSlice' })
})

test('a denial says whether a requirement or authentication caused it', async (t) => {
  const reason = async (spec: string) => decide(await simulate({ spec }), 'demo/client demo/web 80/TCP').ingress.reason
  t.is(await reason(`${WEB}\ningress: [{}, {fromRequires: [{matchLabels: {app: web}}]}]`), 'denied by a rule: CiliumNetworkPolicy demo/p ingress[1].fromRequires')
  t.is(await reason(`${WEB}\ningress: [{fromEndpoints: [{}], authentication: {mode: test-always-fail}}]`), 'denied by a rule: CiliumNetworkPolicy demo/p ingress[0].authentication')
})

test('description and log stay with the rules', async (t) => {
  const { cluster } = await simulate({ spec: `${WEB}\ndescription: why\nlog: {value: noted}\ningress: [{}]` })
  const [policy] = cluster.policies.values()
  t.true([...(policy?.rules.values() ?? [])].every(({ description, log }) => description === 'why' && log === 'noted'))
})
