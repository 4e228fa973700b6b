import test from 'ava'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { compile, formatPath, parseDocuments, type Cluster } from '../../manifests/index.ts'
import { tieredCluster, tieredDocuments } from '../../manifests/testing/tiers.ts'
import { compare } from '../diff.ts'
import { membersOf } from '../members.ts'
import { Simulation } from '../simulation.ts'
import { lint, type Finding } from './index.ts'

const WORKLOADS = `
{apiVersion: sluice.io/v1, kind: Workload, metadata: {name: web, namespace: demo, labels: {app: web}}, spec: {addresses: [10.0.0.1], ports: [{name: http, port: 80}]}}
---
{apiVersion: sluice.io/v1, kind: Workload, metadata: {name: guest, namespace: demo, labels: {app: guest}}, spec: {addresses: [10.0.0.2]}}
---
`
const networkPolicy = (name: string, spec: string): string =>
  `---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: ${name}, namespace: demo}, spec: ${spec}}\n`
const cilium = (name: string, spec: string): string =>
  `---\n{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: ${name}, namespace: demo}, spec: ${spec}}\n`
const tier = (name: string, tierName: string, rules: string): string =>
  `---\n{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: ${name}}, spec: {tier: ${tierName}, priority: 1, subject: {namespaces: {}}, ${rules}}}\n`

const NODE = '---\n{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 10.9.0.1}]}}\n'
const APP = (app: string): string => `{matchLabels: {app: ${app}}}`
const ALL = '[{namespaces: {}}]'

interface Case {
  readonly title: string
  readonly policies: string
  /** Code, severity, name and path of each, and a part of the problem. */
  readonly finds: readonly (readonly [place: string, problem: RegExp])[]
}

const CASES: readonly Case[] = [
  {
    title: 'an allow below a deny for the same peer',
    policies: cilium('web', `{endpointSelector: ${APP('web')}, ingress: [{fromEndpoints: [${APP('guest')}]}, {fromEntities: [host]}], ingressDeny: [{fromEndpoints: [{}]}]}`),
    finds: [['unreachable-rule warning web spec.ingress[0]', /it never decides: CiliumNetworkPolicy demo\/web ingressDeny\[0\] comes first/]],
  },
  {
    title: 'a deny that covers some ports of the rule leaves it alone',
    policies: cilium('web', `{endpointSelector: ${APP('web')}, ingress: [{fromEndpoints: [${APP('guest')}]}], ingressDeny: [{fromEndpoints: [{}], toPorts: [{ports: [{port: "80"}]}]}]}`),
    finds: [],
  },
  {
    title: 'a policy whose only peers a higher tier denies',
    policies: networkPolicy('web', `{podSelector: ${APP('web')}, ingress: [{from: [{podSelector: ${APP('guest')}}]}]}`)
      + tier('deny', 'Admin', `ingress: [{action: Deny, from: ${ALL}}]`),
    finds: [['shadowed-policy error web ', /nothing that it allows gets through: ClusterNetworkPolicy deny ingress\[0\] decides/]],
  },
  {
    title: 'a pass that the rule before it decides, and one that has a say',
    policies: tier('a', 'Admin', `ingress: [{action: Pass, from: [{pods: {podSelector: ${APP('web')}}}]}, {action: Deny, from: ${ALL}}, {action: Pass, from: ${ALL}}]`),
    finds: [['unreachable-rule warning a spec.ingress[2]', /ingress\[1\] comes first/]],
  },
  {
    title: 'the same rule twice',
    policies: networkPolicy('web', `{podSelector: ${APP('web')}, ingress: [{ports: [{port: 80}]}, {ports: [{port: 80}], from: [{podSelector: {}}]}]}`),
    finds: [['redundant-rule info web spec.ingress[1]', /decided alike by NetworkPolicy demo\/web ingress\[0\]/]],
  },
  {
    title: 'a rule for a peer that may come is not unreachable, only early',
    policies: networkPolicy('web', `{podSelector: ${APP('web')}, ingress: [{from: [{podSelector: ${APP('later')}}]}]}`),
    finds: [['selector-matches-nothing warning web spec.ingress[0]', /no workload or node matches namespace=demo, app=later: as a peer it is nobody/]],
  },
  {
    title: 'a subject that is nobody',
    policies: networkPolicy('gone', `{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web, guest]}]}, ingress: [{from: [{podSelector: ${APP('later')}}]}]}`),
    finds: [['selector-matches-nothing warning gone spec', /namespace=demo, app not in \(web, guest\): the policy protects nobody/]],
  },
  {
    title: 'a named port that nobody has',
    policies: networkPolicy('web', `{podSelector: ${APP('web')}, ingress: [{ports: [{port: https}]}, {ports: [{port: http}]}]}`),
    finds: [['unreachable-rule warning web spec.ingress[0]', /no workload that the policy selects has a port named https/]],
  },
  {
    title: 'prefixes over workloads, by what the kind makes of them',
    policies: networkPolicy('block', `{podSelector: ${APP('web')}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/30}}]}]}`)
      + networkPolicy('except', `{podSelector: ${APP('web')}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/30]}}]}]}`)
      + cilium('cidr', `{endpointSelector: ${APP('web')}, ingress: [{fromCIDR: [10.0.0.2/32]}, {fromCIDR: [0.0.0.0/0]}]}`),
    finds: [
      ['cidr-covers-workloads warning block spec.ingress[0]', /10\.0\.0\.0\/30 matches workloads by their addresses, whatever their labels: demo\/web, demo\/guest$/],
      ['cidr-covers-workloads warning cidr spec.ingress[0]', /10\.0\.0\.2\/32 covers workloads, which CIDR rules of this kind never match: demo\/guest$/],
    ],
  },
  {
    title: 'the address of a service, which policies never see',
    policies: '---\n{apiVersion: v1, kind: Service, metadata: {name: web, namespace: demo}, spec: {selector: {app: web}, clusterIP: 10.96.0.5, ports: [{port: 80}]}}\n'
      + networkPolicy('vip', `{podSelector: ${APP('web')}, ingress: [{from: [{ipBlock: {cidr: 10.96.0.5/32}}]}]}`),
    finds: [['cidr-covers-services warning vip spec.ingress[0]', /10\.96\.0\.5\/32 covers addresses of services, .* asked: demo\/web$/]],
  },
  {
    title: 'a prefix over workloads, nodes and services: each is told',
    policies: NODE + '---\n{apiVersion: v1, kind: Service, metadata: {name: web, namespace: demo}, spec: {selector: {app: web}, clusterIP: 10.96.0.5, ports: [{port: 80}]}}\n'
      + networkPolicy('block', `{podSelector: ${APP('web')}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}`)
      + cilium('cidr', `{endpointSelector: ${APP('guest')}, ingress: [{fromCIDRSet: [{cidr: 10.0.0.0/8, except: [10.96.0.0/16]}]}]}`),
    finds: [
      ['cidr-covers-workloads warning block spec.ingress[0]', /: demo\/web, demo\/guest$/],
      ['cidr-covers-nodes warning block spec.ingress[0]', /10\.0\.0\.0\/8 matches nodes, with all that is on their network .*: n1$/],
      ['cidr-covers-services warning block spec.ingress[0]', /: demo\/web$/],
      ['cidr-covers-workloads warning cidr spec.ingress[0]', /never match: demo\/web, demo\/guest$/],
      ['cidr-covers-nodes warning cidr spec.ingress[0]', /10\.0\.0\.0\/8 covers nodes, which CIDR rules of this kind never match: n1$/],
    ],
  },
  {
    title: 'the API server on a node is named by its entity, not by a prefix',
    policies: NODE + '---\n{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}, addressType: IPv4, endpoints: [{addresses: [10.9.0.1]}]}\n'
      + cilium('api', `{endpointSelector: ${APP('web')}, ingress: [{fromEntities: [kube-apiserver]}]}`),
    finds: [],
  },
  {
    title: 'a Service, a CiliumCIDRGroup and an API server that are not there',
    policies: cilium('refs', `{endpointSelector: ${APP('web')}, egress: [{toServices: [{k8sService: {serviceName: gone, namespace: demo}}]}, {toCIDRSet: [{cidrGroupRef: partners}]}, {toEntities: [kube-apiserver]}, {toPorts: [{ports: [{port: "53"}]}]}]}`),
    finds: [
      ['unresolved-reference warning refs spec.egress[0].toServices[0]', /there is no Service demo\/gone: the peer selects nobody/],
      ['unresolved-reference warning refs spec.egress[1].toCIDRSet[0]', /there is no CiliumCIDRGroup partners/],
      ['unresolved-reference warning refs spec.egress[2].toEntities[0]', /the addresses of the API server are not known/],
    ],
  },
  {
    title: 'egress without names',
    policies: networkPolicy('out', `{podSelector: ${APP('web')}, policyTypes: [Egress], egress: [{ports: [{port: 443}]}]}`),
    finds: [['missing-dns-egress warning out spec.egress', /look up no names \(53\/UDP\): demo\/web$/]],
  },
  {
    title: 'every port of a workload is no egress with names where another serves them',
    policies: '---\n{apiVersion: sluice.io/v1, kind: Workload, metadata: {name: dns, namespace: demo, labels: {app: dns}}, spec: {addresses: [10.0.0.3], ports: [{name: dns, port: 53, protocol: UDP}]}}\n'
      + networkPolicy('out', `{podSelector: ${APP('web')}, policyTypes: [Egress], egress: [{to: [{podSelector: ${APP('guest')}}]}]}`)
      + networkPolicy('all', `{podSelector: ${APP('guest')}, policyTypes: [Egress], egress: [{to: [{podSelector: ${APP('dns')}}]}]}`),
    finds: [['missing-dns-egress warning out spec.egress', /look up no names \(53\/UDP\): demo\/web$/]],
  },
  {
    title: 'egress with names, of whichever policy and to whomever',
    policies: networkPolicy('out', `{podSelector: ${APP('web')}, policyTypes: [Egress], egress: [{ports: [{port: 443}]}]}`)
      + networkPolicy('dns', `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: 53, protocol: UDP}]}]}`),
    finds: [],
  },
  {
    title: 'no egress at all',
    policies: networkPolicy('out', `{podSelector: ${APP('web')}, policyTypes: [Egress]}`),
    finds: [['missing-dns-egress info out spec.egress', /may open no connection at all/]],
  },
]

const compileText = (text: string): Cluster => {
  const { documents, errors } = parseDocuments(text, 'case.yaml')
  if (errors[0]) throw errors[0]
  return compile(documents)
}

const placeOf = ({ code, severity, policy, path, at }: Finding): string => `${code} ${severity} ${policy.name} ${at?.path ?? formatPath(path)}`

for (const { title, policies, finds } of CASES) {
  test(title, async (t) => {
    const findings = await lint(compileText(`${WORKLOADS}${policies}`))
    t.deepEqual(findings.map(placeOf), finds.map(([place]) => place))
    findings.forEach(({ problem }, index) => t.regex(problem, finds[index]?.[1] ?? /^$/))
  })
}

test('what is said to never decide can go without any change of a decision', async (t) => {
  let idle = 0
  const property = fc.asyncProperty(tieredCluster, async (generated) => {
    const cluster = compileText(tieredDocuments(generated).map((document) => stringify(document)).join('---\n'))
    const findings = await lint(cluster)
    const paths = new Set(findings.filter(({ code }) => code === 'unreachable-rule').map((finding) => `${finding.policy.key} ${formatPath(finding.path)}`))
    const policies = new Map([...cluster.policies].map(([key, document]) => [key, {
      ...document,
      policies: document.policies.map((policy) => ({
        ...policy,
        // Emptied, and not taken out: between policies of one priority the places of rules decide.
        rules: policy.rules.map((rule) => {
          const { direction = '', index = 0 } = document.rules.get(rule.number) ?? {}
          return paths.has(`${key} spec.${direction}[${index}]`) ? { ...rule, ports: [] } : rule
        }),
      })),
    }]))
    idle += paths.size
    const [before, after] = [await Simulation.of(cluster), await Simulation.of({ ...cluster, policies })]
    t.deepEqual(compare(before, after, membersOf(cluster, [])).changes, [])
  })
  await fc.assert(property, { numRuns: 60 })
  t.true(idle > 20, `${idle}`)
})
