// Faults of the kinds of policy.networking.k8s.io.
import test from 'ava'
import { declareFaults, head, type Fault } from '../testing/faults.ts'

const CLUSTER = head('policy.networking.k8s.io/v1alpha2', 'ClusterNetworkPolicy')
const ADMIN = head('policy.networking.k8s.io/v1alpha1', 'AdminNetworkPolicy')
const baseline = (name: string): string => head('policy.networking.k8s.io/v1alpha1', 'BaselineAdminNetworkPolicy', `{name: ${name}}`)

const SPEC = 'spec: {tier: Admin, priority: 1, subject: {namespaces: {}}}'
/** A first rule: it stands on line 9. */
const rule = (direction: string, text: string): string =>
  `${CLUSTER}spec:\n  tier: Admin\n  priority: 1\n  subject: {namespaces: {}}\n  ${direction}:\n  - ${text}\n`
const from = 'from: [{namespaces: {}}]'

const FAULTS: readonly Fault[] = [
  { title: 'no tier', text: `${CLUSTER}spec:\n  priority: 1\n  subject: {namespaces: {}}\n`, code: 'MISSING_FIELD', line: 4, path: 'spec.tier', allowed: 'Admin, Baseline' },
  { title: 'an unknown tier', text: `${CLUSTER}spec:\n  tier: Normal\n  priority: 1\n  subject: {namespaces: {}}\n`, code: 'INVALID', line: 5, path: 'spec.tier', allowed: 'Admin' },
  { title: 'a priority above 1000', text: `${CLUSTER}spec:\n  tier: Admin\n  priority: 1001\n  subject: {namespaces: {}}\n`, code: 'INVALID', line: 6, path: 'spec.priority', allowed: '0 to 1000' },
  { title: 'a namespace', text: `${CLUSTER.replace('{name: p}', '{name: p, namespace: a}')}${SPEC}\n`, code: 'INVALID', line: 3, path: 'metadata.namespace', allowed: 'no namespace' },
  { title: 'an empty subject', text: `${CLUSTER}spec:\n  tier: Admin\n  priority: 1\n  subject: {}\n`, code: 'INVALID', line: 7, path: 'spec.subject', allowed: 'exactly one of namespaces, pods' },
  {
    title: 'two subjects',
    text: `${CLUSTER}spec:\n  tier: Admin\n  priority: 1\n  subject: {namespaces: {}, pods: {podSelector: {}}}\n`,
    code: 'INVALID', line: 7, path: 'spec.subject', allowed: 'exactly one of',
  },
  { title: 'the action of the older form', text: rule('ingress', `{action: Allow, ${from}}`), code: 'INVALID', line: 9, path: 'spec.ingress[0].action', allowed: 'Accept, Deny, Pass' },
  { title: 'no action', text: rule('ingress', `{${from}}`), code: 'MISSING_FIELD', line: 9, path: 'spec.ingress[0].action', allowed: 'Accept' },
  { title: 'no peers', text: rule('ingress', '{action: Deny}'), code: 'MISSING_FIELD', line: 9, path: 'spec.ingress[0].from', allowed: 'a list' },
  { title: 'an empty list of peers', text: rule('ingress', '{action: Deny, from: []}'), code: 'INVALID', line: 9, path: 'spec.ingress[0].from', allowed: 'from 1 to 25' },
  { title: 'an empty peer', text: rule('ingress', '{action: Deny, from: [{}]}'), code: 'INVALID', line: 9, path: 'spec.ingress[0].from[0]', allowed: 'exactly one of' },
  { title: 'networks on ingress', text: rule('ingress', '{action: Deny, from: [{networks: [10.0.0.0/8]}]}'), code: 'UNKNOWN_FIELD', line: 9, path: 'spec.ingress[0].from[0].networks', allowed: 'namespaces, pods' },
  { title: 'a bad network', text: rule('egress', '{action: Deny, to: [{networks: [10.0.0.0/40]}]}'), code: 'INVALID', line: 9, path: 'spec.egress[0].to[0].networks[0]', allowed: 'prefix' },
  { title: 'a domain name that is denied', text: rule('egress', '{action: Deny, to: [{domainNames: [a.example]}]}'), code: 'INVALID', line: 9, path: 'spec.egress[0].to[0].domainNames', allowed: 'accepting' },
  { title: 'a wildcard inside a name', text: rule('egress', '{action: Accept, to: [{domainNames: ["a.*.example"]}]}'), code: 'INVALID', line: 9, path: 'spec.egress[0].to[0].domainNames[0]', allowed: '*.example.com' },
  { title: 'the older ports', text: rule('ingress', `{action: Deny, ${from}, ports: []}`), code: 'UNKNOWN_FIELD', line: 9, path: 'spec.ingress[0].ports', allowed: 'protocols' },
  { title: 'an empty protocol', text: rule('ingress', `{action: Deny, ${from}, protocols: [{}]}`), code: 'INVALID', line: 9, path: 'spec.ingress[0].protocols[0]', allowed: 'exactly one of tcp' },
  { title: 'a protocol without port', text: rule('ingress', `{action: Deny, ${from}, protocols: [{tcp: {}}]}`), code: 'MISSING_FIELD', line: 9, path: 'spec.ingress[0].protocols[0].tcp.destinationPort' },
  { title: 'an empty port', text: rule('ingress', `{action: Deny, ${from}, protocols: [{tcp: {destinationPort: {}}}]}`), code: 'INVALID', line: 9, path: 'spec.ingress[0].protocols[0].tcp.destinationPort', allowed: 'number, range' },
  {
    title: 'a range of one port',
    text: rule('ingress', `{action: Deny, ${from}, protocols: [{tcp: {destinationPort: {range: {start: 9, end: 9}}}}]}`),
    code: 'INVALID', line: 9, path: 'spec.ingress[0].protocols[0].tcp.destinationPort.range.end', allowed: '10 to 65535',
  },
  {
    title: 'a named port of a network',
    text: rule('egress', '{action: Deny, to: [{networks: [10.0.0.0/8]}], protocols: [{destinationNamedPort: http}]}'),
    code: 'INVALID', line: 9, path: 'spec.egress[0]', allowed: 'port numbers',
  },
  { title: '26 rules', text: rule('ingress', Array(26).fill(`{action: Deny, ${from}}`).join('\n  - ')), code: 'INVALID', line: 8, path: 'spec.ingress', allowed: '0 to 25' },
  { title: 'a baseline of another name', text: `${baseline('other')}spec: {subject: {namespaces: {}}}\n`, code: 'INVALID', line: 3, path: 'metadata.name', allowed: 'default' },
  {
    title: 'pass in the baseline of the older form',
    text: `${baseline('default')}spec:\n  subject: {namespaces: {}}\n  ingress: [{action: Pass, ${from}}]\n`,
    code: 'INVALID', line: 6, path: 'spec.ingress[0].action', allowed: 'Allow, Deny',
  },
  {
    title: 'a port number and a name at once',
    text: `${ADMIN}spec:\n  priority: 1\n  subject: {namespaces: {}}\n  ingress: [{action: Deny, ${from}, ports: [{namedPort: a, portNumber: {port: 1}}]}]\n`,
    code: 'INVALID', line: 7, path: 'spec.ingress[0].ports[0]', allowed: 'exactly one of',
  },
]

declareFaults(test, FAULTS)
