// Faults: each says file, line, place in the document, and what is allowed there. Those of a family of policies stand
// in its folder.
import test from 'ava'
import { parseDocuments } from './index.ts'
import { declareFaults, head, type Fault } from './testing/faults.ts'

const HEAD = {
  policy: head('networking.k8s.io/v1', 'NetworkPolicy', '{name: p, namespace: demo}'),
  cilium: head('cilium.io/v2', 'CiliumNetworkPolicy', '{name: p, namespace: demo}'),
  workload: 'apiVersion: sluice.io/v1\nkind: Workload\n',
  balancer: head('sluice.io/v1', 'LoadBalancer', '{name: lb}'),
}

/** A first ingress rule: it stands on line 6. */
const policyRule = (rule: string): string => `${HEAD.policy}spec:\n  ingress:\n  - ${rule}\n`

const FAULTS: readonly Fault[] = [
  { title: 'no YAML', text: 'a: [1', code: 'SYNTAX', line: 1, path: 'a[0]' },
  { title: 'no YAML from the first character', text: '@', code: 'SYNTAX', line: 1, path: '' },
  { title: 'a duplicate key', text: `${HEAD.policy}spec:\n  ingress: []\n  ingress: []\n`, code: 'SYNTAX', line: 6, path: 'spec.ingress' },
  { title: 'an alias of no anchor, which is not the same as no peers,', text: policyRule('from: *nobody'), code: 'SYNTAX', line: 6, path: 'spec.ingress[0].from' },
  { title: 'an alias of a later anchor', text: policyRule('{from: [*peer], ports: [&peer {port: 80}]}'), code: 'SYNTAX', line: 6, path: 'spec.ingress[0].from[0]' },
  { title: 'a bracket that is never closed', text: `${policyRule('from: [{podSelector: {}}')}  - ports: []\n`, code: 'SYNTAX', line: 7, path: 'spec.ingress[0].from[0]' },
  { title: 'a tab before a field', text: `${HEAD.policy}spec:\n\tingress: []\n`, code: 'SYNTAX', line: 5, path: 'spec' },
  { title: 'a colon in plain text', text: `${HEAD.policy}spec:\n  podSelector: matchLabels: {}\n`, code: 'SYNTAX', line: 5, path: 'spec.podSelector.matchLabels' },
  { title: 'a bracket too many', text: `${HEAD.policy}spec:\n  ingress: []]\n`, code: 'SYNTAX', line: 5, path: 'spec.ingress' },
  { title: 'a character that no text begins with', text: `${HEAD.policy}spec:\n  podSelector: {matchLabels: {app: @web}}\n`, code: 'SYNTAX', line: 5, path: 'spec.podSelector.matchLabels.app' },
  { title: 'a list', text: '- 1\n', code: 'MISSING_FIELD', line: 1, path: 'apiVersion', allowed: 'NetworkPolicy' },
  { title: 'no kind', text: 'apiVersion: v1\n', code: 'MISSING_FIELD', line: 1, path: 'kind', allowed: 'v1 Pod' },
  {
    title: 'an unknown kind',
    text: 'apiVersion: v1\nkind: Gadget\n',
    code: 'UNKNOWN_KIND',
    line: 2,
    path: 'kind',
    allowed: 'v1 Namespace',
  },
  { title: 'a kind named like a method', text: 'apiVersion: v1\nkind: toString\n', code: 'UNKNOWN_KIND', line: 2, path: 'kind' },
  {
    title: 'no name',
    text: `${HEAD.workload}metadata: {}\nspec: {addresses: [10.0.0.1]}\n`,
    code: 'MISSING_FIELD',
    line: 3,
    path: 'metadata.name',
    allowed: 'DNS name',
  },
  {
    title: 'an unknown field',
    text: policyRule('form: []'),
    code: 'UNKNOWN_FIELD',
    line: 6,
    path: 'spec.ingress[0].form',
    allowed: 'from, ports',
  },
  {
    title: 'a field named like a method',
    text: `${HEAD.policy}spec:\n  constructor: 1\n`,
    code: 'UNKNOWN_FIELD',
    line: 5,
    path: 'spec.constructor',
    allowed: 'podSelector',
  },
  {
    title: 'the field __proto__',
    text: `${HEAD.policy}spec:\n  __proto__: {}\n`,
    code: 'UNKNOWN_FIELD',
    line: 5,
    path: 'spec.__proto__',
    allowed: 'podSelector',
  },
  {
    title: 'a wrong type',
    text: `${HEAD.policy}spec:\n  ingress: all\n`,
    code: 'INVALID',
    line: 5,
    path: 'spec.ingress',
    allowed: 'a list',
  },
  {
    title: 'a null item',
    text: `${HEAD.policy}spec:\n  ingress:\n  -\n`,
    code: 'INVALID',
    line: 6,
    path: 'spec.ingress[0]',
    allowed: 'from, ports',
  },
  {
    title: 'an unquoted number as label',
    text: `${HEAD.policy}spec:\n  podSelector:\n    matchLabels: {version: 2}\n`,
    code: 'INVALID',
    line: 6,
    path: 'spec.podSelector.matchLabels.version',
    allowed: 'in quotes',
  },
  {
    title: 'a lower-case protocol',
    text: policyRule('ports: [{protocol: tcp}]'),
    code: 'INVALID',
    line: 6,
    path: 'spec.ingress[0].ports[0].protocol',
    allowed: 'TCP, UDP, SCTP',
  },
  {
    title: 'port 0',
    text: policyRule('ports: [{port: 0}]'),
    code: 'INVALID',
    line: 6,
    path: 'spec.ingress[0].ports[0].port',
    allowed: '1 to 65535',
  },
  {
    title: 'endPort below port',
    text: policyRule('ports: [{port: 80, endPort: 79}]'),
    code: 'INVALID',
    line: 6,
    path: 'spec.ingress[0].ports[0].endPort',
    allowed: 'from port on',
  },
  {
    title: 'endPort beside a name',
    text: policyRule('ports: [{port: http, endPort: 90}]'),
    code: 'INVALID',
    line: 6,
    path: 'spec.ingress[0].ports[0].endPort',
  },
  {
    title: 'an empty peer',
    text: policyRule('from: [{}]'),
    code: 'INVALID',
    line: 6,
    path: 'spec.ingress[0].from[0]',
    allowed: 'ipBlock',
  },
  {
    title: 'ipBlock beside a selector',
    text: policyRule('from: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]'),
    code: 'INVALID',
    line: 6,
    path: 'spec.ingress[0].from[0]',
    allowed: 'ipBlock alone',
  },
  {
    title: 'an exception outside',
    text: policyRule('from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]'),
    code: 'INVALID',
    line: 6,
    path: 'spec.ingress[0].from[0].ipBlock.except[0]',
    allowed: 'inside 10.0.0.0/8',
  },
  {
    title: 'an exception of the other family',
    text: policyRule('from: [{ipBlock: {cidr: "::/0", except: [11.0.0.0/16]}}]'),
    code: 'INVALID',
    line: 6,
    path: 'spec.ingress[0].from[0].ipBlock.except[0]',
  },
  {
    title: 'an octal address',
    text: policyRule('from: [{ipBlock: {cidr: 010.0.0.0/8}}]'),
    code: 'INVALID',
    line: 6,
    path: 'spec.ingress[0].from[0].ipBlock.cidr',
    allowed: 'prefix',
  },
  {
    title: 'In without values',
    text: `${HEAD.policy}spec:\n  podSelector:\n    matchExpressions: [{key: a, operator: In}]\n`,
    code: 'INVALID',
    line: 6,
    path: 'spec.podSelector.matchExpressions[0].values',
    allowed: 'at least one',
  },
  {
    title: 'Exists with values',
    text: `${HEAD.policy}spec:\n  podSelector:\n    matchExpressions: [{key: a, operator: Exists, values: [b]}]\n`,
    code: 'INVALID',
    line: 6,
    path: 'spec.podSelector.matchExpressions[0].values',
    allowed: 'no values',
  },
  {
    title: 'a sourced key in a NetworkPolicy',
    text: `${HEAD.policy}spec:\n  podSelector:\n    matchLabels: {"k8s:app": web}\n`,
    code: 'INVALID',
    line: 6,
    path: 'spec.podSelector.matchLabels["k8s:app"]',
    allowed: 'label key',
  },
  {
    title: 'a forged namespace',
    text: `${HEAD.workload}metadata:\n  name: w\n  labels: {io.kubernetes.pod.namespace: other}\nspec: {addresses: [10.0.0.1]}\n`,
    code: 'INVALID',
    line: 5,
    path: 'metadata.labels["io.kubernetes.pod.namespace"]',
  },
  {
    title: 'an address of another family than its slice',
    text: 'apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s}\naddressType: IPv6\nendpoints: [{addresses: [10.0.0.1]}]\n',
    code: 'INVALID',
    line: 5,
    path: 'endpoints[0].addresses[0]',
    allowed: 'IPv6',
  },
  {
    title: 'a mapped address',
    text: `${HEAD.workload}metadata: {name: w}\nspec: {addresses: ["::ffff:10.0.0.1"]}\n`,
    code: 'INVALID',
    line: 4,
    path: 'spec.addresses[0]',
    allowed: 'not IPv4-mapped',
  },
  {
    title: 'a table that is no prime',
    text: `${HEAD.balancer}spec: {addresses: [10.0.0.1], ports: [{port: 80}], backends: [], tableSize: 1000}\n`,
    code: 'INVALID',
    line: 4,
    path: 'spec.tableSize',
    allowed: '65537',
  },
  {
    title: 'a prefix that a LoadBalancer allows and denies',
    text: `${HEAD.balancer}spec:\n  addresses: [10.0.0.1]\n  ports: [{port: 80}]\n  backends: []\n  sourceRanges: {allow: [10.1.0.0/16, 10.0.0.0/8], deny: [10.0.0.0/8]}\n`,
    code: 'INVALID',
    line: 8,
    path: 'spec.sourceRanges.allow[1]',
    allowed: 'each prefix in one of both lists',
  },
  {
    title: 'rates of translated flows',
    text: `${HEAD.balancer}spec:\n  forwarding: nat\n  addresses: [10.0.0.1]\n  ports: [{port: 80}]\n  backends: []\n  rateLimits: {packets: {perSecond: 10}}\n`,
    code: 'INVALID',
    line: 9,
    path: 'spec.rateLimits',
    allowed: 'another forwarding',
  },
  {
    title: 'an exception of nothing that is denied',
    text: `apiVersion: sluice.io/v1\nkind: Prefilter\nmetadata: {name: p}\nspec: {deny: [192.0.2.0/24], allow: [198.51.100.1]}\n`,
    code: 'INVALID',
    line: 4,
    path: 'spec.allow[0]',
    allowed: 'exceptions of what spec.deny names',
  },
  {
    title: 'a backend of no family of its VIP, where packets are translated',
    text: `${HEAD.balancer}spec:\n  forwarding: nat\n  addresses: [10.0.0.1]\n  ports: [{port: 80}]\n  backends: [{addresses: ["fd00::1"]}]\n`,
    code: 'INVALID',
    line: 8,
    path: 'spec.backends[0].addresses',
    allowed: 'an IPv4 address',
  },
  {
    title: 'a VNI of what is no Geneve',
    text: `${HEAD.balancer}spec: {addresses: [10.0.0.1], ports: [{port: 80}], backends: [], forwarding: gue, vni: 5}\n`,
    code: 'INVALID',
    line: 4,
    path: 'spec.vni',
    allowed: 'beside forwarding: geneve',
  },
  {
    title: 'a port twice',
    text: `${HEAD.balancer}spec:\n  addresses: [10.0.0.1]\n  ports: [{port: 80}, {port: 80, protocol: TCP}]\n  backends: []\n`,
    code: 'INVALID',
    line: 6,
    path: 'spec.ports[1]',
  },
  {
    title: 'an exception of a block that leaves nothing of it',
    text: policyRule('from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.0.0.0/8]}}]'),
    code: 'INVALID',
    line: 6,
    path: 'spec.ingress[0].from[0].ipBlock.except[1]',
    allowed: 'prefixes inside 10.0.0.0/8',
  },
  {
    title: "a balancer's own address as its backend",
    text: `${HEAD.balancer}spec:\n  addresses: [10.0.0.1]\n  ports: [{port: 80}]\n  backends:\n  - {addresses: [10.0.0.2]}\n  - {addresses: [10.0.0.1]}\n`,
    code: 'INVALID',
    line: 9,
    path: 'spec.backends[1].addresses[0]',
    allowed: 'addresses of its own',
  },
  {
    title: 'two backends with one address',
    text: `${HEAD.balancer}spec:\n  addresses: [10.0.0.1]\n  ports: [{port: 80}]\n  backends:\n  - {name: a, addresses: [10.0.0.2]}\n  - {name: b, addresses: [10.0.0.2]}\n`,
    code: 'INVALID',
    line: 9,
    path: 'spec.backends[1].addresses[0]',
    allowed: 'addresses of its own',
  },
]

declareFaults(test, FAULTS)

test('one bad document leaves the others of the file', (t) => {
  const { documents, errors } = parseDocuments(`${HEAD.policy}spec: {}\n---\n${HEAD.policy}spec: {bad: 1}\n---\n# nothing\n---\n`, 'f')
  t.is(documents.length, 1)
  t.deepEqual(errors.map(({ line }) => line), [9])
})

test('JSON and List are manifests too, with places inside of the list', (t) => {
  const item = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, status: { podIPs: [{ ip: '10.0.0.1' }] } }
  const bad = { ...item, metadata: { nam: 'b' } }
  const text = JSON.stringify({ apiVersion: 'v1', kind: 'List', metadata: {}, items: [item, bad] }, undefined, '\t')
  const { documents, errors } = parseDocuments(text, 'list.json')
  t.deepEqual(documents.map(({ resource }) => resource.name), ['a'])
  t.deepEqual(errors.map(({ path }) => path), ['items[1].metadata.nam', 'items[1].metadata.name'])
  t.is(text.split('\n')[(errors[0]?.line ?? 0) - 1]?.trim(), '"nam": "b"')
})

test('anchors and aliases are values like any other', (t) => {
  const text = `${HEAD.policy}spec:\n  podSelector: &s {matchLabels: {a: b}}\n  ingress: [{from: [{podSelector: *s}]}]\n`
  t.deepEqual(parseDocuments(text, 'f').errors, [])
})

test('aliases that multiply end in an error, soon', (t) => {
  const aliases = (alias: string): string => `[${Array(1000).fill(`*${alias}`).join(', ')}]`
  const podList = (items: string): string => `{apiVersion: v1, kind: List, items: ${items}}`
  const bombs = {
    rules: `${HEAD.cilium}specs:
- endpointSelector: {}
  ingress:
  - fromEndpoints: &e
    - &s {}
    ${Array(1000).fill('- *s').join('\n    ')}
  - &r {fromEndpoints: *e}
  ${Array(1000).fill('- *r').join('\n  ')}
  - fromEndpoints: *e
- &spec {endpointSelector: {}, ingress: ${aliases('r')}}
${Array(1000).fill('- *spec').join('\n')}
`,
    lists: `apiVersion: v1
kind: List
metadata:
- &a {apiVersion: v1, kind: Pod, metadata: {name: a}}
- &b ${podList(aliases('a'))}
- &c ${podList(aliases('b'))}
items: ${aliases('c')}
`,
  }
  for (const [name, text] of Object.entries(bombs)) {
    const started = performance.now()
    const { errors } = parseDocuments(text, 'bomb.yaml')
    t.true(errors.some(({ code }) => code === 'LIMIT'), name)
    t.true(performance.now() - started < 20_000, name)
  }
})

test('an alias to itself ends in an error', (t) => {
  const { errors } = parseDocuments(`${HEAD.policy}spec: &s\n  podSelector: *s\n`, 'f')
  t.true(errors.length > 0)
})

const faultsOf = (text: string): string[] => parseDocuments(text, 'a.yaml').errors.map(({ message }) => message)

test('a key that stands twice is told with its path and both places', (t) => {
  const ports = policyRule('ports:\n    - {port: 1}\n    - {port: 2, protocol: TCP, port: 3}')
  t.deepEqual(faultsOf(ports), ['a.yaml:8:32: spec.ingress[0].ports[1].port: stands twice in its mapping; the other: a.yaml:8:8'])
})

test('a syntax error is one fault, whatever follows from it', (t) => {
  t.deepEqual(faultsOf(`${HEAD.policy}spec:\n  ingress:\n\t- from: []\n\t  ports: []\n`), ['a.yaml:6:1: Tabs are not allowed as indentation'])
  t.is(faultsOf(`${HEAD.policy}spec: {ingress: [{from: [\n`).length, 1)
})

test('a list that is too long is refused by its length: its items are not looked at', (t) => {
  const spec = `spec: {endpointSelector: {}, ingress: [{fromCIDR: [${'x,'.repeat(65_537)}]}]}`
  t.deepEqual(faultsOf(`${HEAD.cilium}${spec}`), ['a.yaml:4:41: spec.ingress[0].fromCIDR: has 65537 items; allowed: from 0 to 65536 items'])
})

for (const [title, level] of [['brackets', '['], ['dashes', '- '], ['braces', '{a: '], ['lines', '[\n']] as const) {
  test(`nesting by ${title} has an end, which is one fault`, (t) => {
    const [fault, ...more] = faultsOf(level.repeat(200_000))
    t.regex(fault ?? '', /^a\.yaml:\d+:\d+: nested deeper than 200 levels$/)
    t.deepEqual(more, [])
  })
}
