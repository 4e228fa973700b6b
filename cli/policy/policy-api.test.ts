// What the kinds of policy.networking.k8s.io mean, construct by construct, after their API definitions:
// https://network-policy-api.sigs.k8s.io/reference/spec/. Between pods and tiers, tiers.test.ts says more.
import test from 'ava'
import { decide, declareCases, OUT, OUT6, simulate, type Case } from './testing/cases.ts'

const WEB = 'subject: {pods: {podSelector: {matchLabels: {app: web}}}}'
const ADMIN = `tier: Admin\npriority: 10\n${WEB}`
const BASELINE = `tier: Baseline\npriority: 10\n${WEB}`
const ALL = '[{namespaces: {}}]'

/** Of namespace demo: lets nobody but its own pods in, and out to them alone. */
const OWN_PODS_ONLY = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: own, namespace: demo}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {}}]}]
  egress: [{to: [{podSelector: {}}]}]
`

const CASES: readonly Case[] = [
  {
    title: 'an accepting admin rule wins over the default deny of a NetworkPolicy',
    spec: `${ADMIN}\ningress: [{action: Accept, from: [{namespaces: {matchLabels: {team: b}}}]}]`,
    beside: OWN_PODS_ONLY,
    allowed: ['other/client demo/web 80/TCP', 'demo/client demo/web 80/TCP'],
    denied: ['other/client demo/client 80/TCP', `${OUT} demo/web 80/TCP`],
  },
  {
    title: 'a denying admin rule wins over a NetworkPolicy that allows',
    spec: `${ADMIN}\ningress: [{action: Deny, from: [{pods: {podSelector: {matchLabels: {app: client}}}}]}]`,
    beside: OWN_PODS_ONLY,
    allowed: ['demo/web demo/client 80/TCP'],
    denied: ['demo/client demo/web 80/TCP', 'other/client demo/web 80/TCP'],
  },
  {
    title: 'pass skips the rest of the tier, and the NetworkPolicy decides',
    spec: `${ADMIN}\ningress: [{action: Pass, from: [{pods: {podSelector: {}, namespaceSelector: {matchLabels: {team: a}}}}]}, {action: Deny, from: ${ALL}}]`,
    beside: OWN_PODS_ONLY,
    allowed: ['demo/client demo/web 80/TCP'],
    denied: ['other/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`],
  },
  {
    title: 'without a NetworkPolicy a passed connection comes to the baseline',
    spec: `${ADMIN}\ningress: [{action: Pass, from: ${ALL}}]`,
    beside: `
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: baseline}
spec: {tier: Baseline, priority: 0, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {matchLabels: {team: b}}}]}]}
`,
    allowed: ['demo/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`],
    denied: ['other/client demo/web 80/TCP'],
  },
  {
    title: 'the baseline decides only where no NetworkPolicy selects the subject',
    spec: `${BASELINE}\ningress: [{action: Accept, from: ${ALL}}]`,
    beside: OWN_PODS_ONLY,
    allowed: ['demo/client demo/web 80/TCP'],
    denied: ['other/client demo/web 80/TCP'],
  },
  {
    title: 'a policy isolates nobody: what no rule matches is open, and so is the other direction',
    spec: `${BASELINE}\ningress: [{action: Deny, from: [{namespaces: {matchLabels: {team: b}}}]}]`,
    allowed: ['demo/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`, 'demo/web other/client 80/TCP'],
    denied: ['other/client demo/web 80/TCP'],
  },
  {
    title: 'the first rule in the list decides',
    spec: `${ADMIN}
ingress:
- {name: clients, action: Accept, from: [{pods: {podSelector: {matchLabels: {app: client}}}}], protocols: [{tcp: {destinationPort: {number: 80}}}]}
- {action: Deny, from: ${ALL}}`,
    allowed: ['demo/client demo/web 80/TCP', 'other/client demo/web 80/TCP', `${OUT} demo/web 80/TCP`],
    denied: ['demo/client demo/web 81/TCP', 'demo/client demo/web 80/UDP', 'demo/client demo/web 8/ICMP'],
  },
  {
    title: 'the lower priority decides before the higher one, whatever the order of documents',
    spec: `tier: Admin\npriority: 1000\n${WEB}\ningress: [{action: Accept, from: ${ALL}}]`,
    beside: `
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: first}
spec: {tier: Admin, priority: 0, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {matchLabels: {team: b}}}]}]}
`,
    allowed: ['demo/client demo/web 80/TCP'],
    denied: ['other/client demo/web 80/TCP'],
  },
  {
    title: 'ranges include both ends; UDP, SCTP and named ports of the destination',
    spec: `${ADMIN}
ingress:
- action: Accept
  from: ${ALL}
  protocols:
  - {tcp: {destinationPort: {range: {start: 8000, end: 8002}}}}
  - {udp: {destinationPort: {number: 9}}}
  - {sctp: {destinationPort: {number: 7}}}
  - {destinationNamedPort: http}
  - {destinationNamedPort: dns}
- {action: Deny, from: ${ALL}}`,
    allowed: ['demo/client demo/web 8000/TCP', 'demo/client demo/web 8002/TCP', 'demo/client demo/web 9/UDP', 'demo/client demo/web 7/SCTP', 'demo/client demo/web 80/TCP', 'demo/client demo/web 53/UDP'],
    denied: ['demo/client demo/web 7999/TCP', 'demo/client demo/web 8003/TCP', 'demo/client demo/web 9/TCP', 'demo/client demo/web 80/UDP', 'demo/client demo/web 53/TCP'],
  },
  {
    title: 'networks match addresses, those of pods too',
    spec: `${ADMIN}\negress: [{action: Deny, to: [{networks: [203.0.113.0/24, 10.0.0.2/32]}]}]`,
    allowed: ['demo/web 203.0.114.1 80/TCP', 'demo/web other/client 80/TCP', `demo/web ${OUT6} 80/TCP`],
    denied: [`demo/web ${OUT} 80/TCP`, 'demo/web demo/client 80/TCP', `demo/web ${OUT} 8/ICMP`],
  },
  {
    title: 'a subject by namespace is each of its pods and nobody else',
    spec: `tier: Admin\npriority: 1\nsubject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: demo}}}\ningress: [{action: Deny, from: ${ALL}}]`,
    allowed: ['demo/web other/client 80/TCP', `${OUT} demo/client 80/TCP`],
    denied: ['demo/web demo/client 80/TCP', 'other/client demo/web 80/TCP'],
  },
  {
    title: 'domain names that are not resolved accept nobody, and the rule below decides',
    spec: `${ADMIN}\negress: [{action: Accept, to: [{domainNames: ['*.example.com']}]}, {action: Deny, to: [{networks: [0.0.0.0/0]}]}]`,
    denied: [`demo/web ${OUT} 443/TCP`, 'demo/web demo/client 80/TCP'],
  },
  {
    title: 'AdminNetworkPolicy: allow, deny and pass by port number, range and name',
    kind: 'AdminNetworkPolicy',
    spec: `
priority: 5
${WEB}
ingress:
- {action: Allow, from: ${ALL}, ports: [{portNumber: {protocol: UDP, port: 53}}, {portRange: {start: 80, end: 81}}, {namedPort: dns}]}
- {action: Pass, from: ${ALL}, ports: [{portNumber: {protocol: TCP, port: 90}}]}
- {action: Deny, from: ${ALL}}`,
    allowed: ['other/client demo/web 53/UDP', 'other/client demo/web 80/TCP', 'other/client demo/web 81/TCP', 'other/client demo/web 90/TCP'],
    denied: ['other/client demo/web 82/TCP', 'other/client demo/web 90/UDP', 'other/client demo/web 8/ICMP'],
  },
  {
    title: 'BaselineAdminNetworkPolicy stands behind every ClusterNetworkPolicy of the baseline',
    kind: 'BaselineAdminNetworkPolicy',
    spec: `subject: {namespaces: {}}\ningress: [{action: Deny, from: ${ALL}}]\negress: [{action: Deny, to: [{networks: [203.0.113.0/24]}]}]`,
    beside: `
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: baseline}
spec: {tier: Baseline, priority: 1000, ${WEB}, ingress: [{action: Accept, from: [{namespaces: {matchLabels: {team: a}}}]}]}
`,
    allowed: ['demo/client demo/web 80/TCP', `${OUT} demo/client 80/TCP`],
    denied: ['other/client demo/web 80/TCP', 'demo/web demo/client 80/TCP', `demo/web ${OUT} 80/TCP`],
  },
]

declareCases(test, CASES.map((example) => ({ kind: 'ClusterNetworkPolicy', ...example })))

test('the deciding rule is named by its place, and its own name describes it', async (t) => {
  const simulation = await simulate({
    kind: 'ClusterNetworkPolicy',
    spec: `${ADMIN}\ningress: [{action: Pass, from: ${ALL}, protocols: [{udp: {destinationPort: {number: 1}}}]}, {name: nobody, action: Deny, from: ${ALL}}]`,
  })
  const { ingress } = decide(simulation, 'demo/client demo/web 80/TCP')
  t.like(ingress, { decision: 'denied', reference: { action: 'deny', index: 1, description: 'nobody' } })
  t.is(ingress.reason, 'denied by a rule: ClusterNetworkPolicy p ingress[1]')
})

test('the next version of the kind is the same', async (t) => {
  const beside = `
apiVersion: policy.networking.k8s.io/v1beta1
kind: ClusterNetworkPolicy
metadata: {name: next}
spec: {tier: Admin, priority: 2, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {matchLabels: {team: b}}}]}]}
`
  const simulation = await simulate({ kind: 'NetworkPolicy', spec: 'podSelector: {matchLabels: {app: none}}', beside })
  t.is(decide(simulation, 'other/client demo/web 80/TCP').decision, 'denied')
  t.is(decide(simulation, 'demo/client demo/web 80/TCP').decision, 'allowed')
})

test('domain names are told about', async (t) => {
  const spec = `${ADMIN}\negress: [{action: Accept, to: [{domainNames: [example.com]}]}]`
  const { cluster } = await simulate({ kind: 'ClusterNetworkPolicy', spec })
  t.like(cluster.warnings[0], { code: 'NO_DNS_POLICY', path: 'spec.egress[0].to[0].domainNames', file: 'case.yaml' })
  t.is(cluster.warnings.length, 1)
})
