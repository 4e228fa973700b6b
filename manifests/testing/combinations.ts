// Every combination of what a rule of a NetworkPolicy says: who, which ports, in which direction, and a second rule
// that overlaps it. Over the small world below, which tests have as manifests or as real workloads.
import type { TestPeer, TestPod, TestPolicy, TestPort } from './network-policies.ts'

type Spec = TestPolicy['spec']

/** What the workloads of one combination are subject to: specs of its policies, without their podSelector. */
export interface Combination {
  readonly title: string
  readonly specs: readonly Spec[]
}

interface Rule {
  readonly title: string
  readonly peers: readonly TestPeer[] | undefined
  readonly ports: readonly TestPort[] | undefined
}

/* ---- the world ---- */

export const namespaces = [
  { name: 'red', labels: { team: 'a' } },
  { name: 'green', labels: { team: 'b' } },
  { name: 'blue', labels: {} },
]

/** One of each label in each namespace, and names of ports that are other numbers elsewhere. Addresses: see `addressOf`. */
export const inhabitants: readonly Omit<TestPod, 'ip'>[] = [
  { namespace: 'red', name: 'red-a', labels: { app: 'a' }, ports: [port('http', 80), port('http', 81, 'UDP'), port('signal', 80, 'SCTP')] },
  { namespace: 'red', name: 'red-b', labels: { app: 'b' }, ports: [port('http', 81), port('signal', 81, 'SCTP')] },
  { namespace: 'green', name: 'green-a', labels: { app: 'a' }, ports: [port('http', 81), port('http', 80, 'UDP')] },
  { namespace: 'green', name: 'green-b', labels: { app: 'b' }, ports: [] },
  { namespace: 'blue', name: 'blue-a', labels: { app: 'a' }, ports: [port('http', 80)] },
  { namespace: 'blue', name: 'blue-none', labels: {}, ports: [port('other', 80)] },
]

function port(name: string, containerPort: number, protocol = 'TCP') {
  return { name, containerPort, protocol }
}

/** Of the inhabitant with this index, 11 on: those of the lab's workloads on its first node. */
export function addressOf(index: number, family: 'ipv4' | 'ipv6'): string {
  return `${family === 'ipv4' ? '10.77.1.' : 'fd77:1::'}${11 + index}`
}

/* ---- what a rule says ---- */

const both = (...pairs: readonly (readonly [cidr: string, ...except: string[]])[]): TestPeer[] =>
  pairs.map(([cidr, ...except]) => ({ ipBlock: { cidr, ...(except.length > 0 && { except }) } }))

const appA = { podSelector: { matchLabels: { app: 'a' } } }
const few = ['10.77.1.12/31', 'fd77:1::12/127'] as const

const peerKinds: Readonly<Record<string, readonly TestPeer[] | undefined>> = {
  'who is not said': undefined,
  'an empty list of peers': [],
  'pods': [appA],
  'every pod': [{ podSelector: {} }],
  'namespaces': [{ namespaceSelector: { matchLabels: { team: 'a' } } }],
  'every namespace': [{ namespaceSelector: {} }],
  'a namespace by name': [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'green' } } }],
  'pods of namespaces': [{ ...appA, namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'NotIn', values: ['a'] }] } }],
  'a block': both([few[0]], [few[1]]),
  'a block but for a part': both(['10.77.1.8/29', few[0]], ['fd77:1::10/124', few[1]]),
  'every address': both(['0.0.0.0/0'], ['::/0']),
  'every address but some': both(['0.0.0.0/0', few[0], '10.77.1.16/32'], ['::/0', few[1], 'fd77:1::16/128']),
  'pods or a block': [appA, ...both([few[0]], [few[1]])],
}

const portKinds: Readonly<Record<string, readonly TestPort[] | undefined>> = {
  'ports not said': undefined,
  'an empty list of ports': [],
  'TCP by default': [{}],
  'UDP': [{ protocol: 'UDP' }],
  'SCTP': [{ protocol: 'SCTP' }],
  'a number': [{ port: 80 }],
  'a number of UDP': [{ protocol: 'UDP', port: 80 }],
  'a number of SCTP': [{ protocol: 'SCTP', port: 80 }],
  'a range': [{ port: 81, endPort: 82 }],
  'a range of UDP': [{ protocol: 'UDP', port: 80, endPort: 81 }],
  'a range of SCTP': [{ protocol: 'SCTP', port: 81, endPort: 65_535 }],
  'a name': [{ port: 'http' }],
  'a name of UDP': [{ protocol: 'UDP', port: 'http' }],
  'a name of SCTP': [{ protocol: 'SCTP', port: 'signal' }],
  'a name that nobody has': [{ port: 'absent' }],
  'a number and a name': [{ protocol: 'UDP', port: 81 }, { protocol: 'TCP', port: 'http' }],
}

const ruleOf = (who: string, what: string): Rule => ({ title: `${who}, ${what}`, peers: peerKinds[who], ports: portKinds[what] })

const rules: readonly Rule[] = Object.keys(peerKinds).flatMap((who) => Object.keys(portKinds).map((what) => ruleOf(who, what)))

/* ---- directions ---- */

const ingress = (...list: Rule[]): Spec => ({ ingress: list.map(({ peers, ports }) => ({ ...(peers && { from: [...peers] }), ...(ports && { ports: [...ports] }) })) })
const egress = (...list: Rule[]): Spec => ({ egress: list.map(({ peers, ports }) => ({ ...(peers && { to: [...peers] }), ...(ports && { ports: [...ports] }) })) })

/** By one rule. Where types are not said, egress rules isolate both directions. */
const alone: Readonly<Record<string, (rule: Rule) => readonly Spec[]>> = {
  'ingress, types not said': (rule) => [ingress(rule)],
  'ingress': (rule) => [{ policyTypes: ['Ingress'], ...ingress(rule) }],
  'egress, types not said': (rule) => [egress(rule)],
  'egress': (rule) => [{ policyTypes: ['Egress'], ...egress(rule) }],
  'both directions': (rule) => [{ policyTypes: ['Ingress', 'Egress'], ...ingress(rule), ...egress(rule) }],
  'ingress that types leave out': (rule) => [{ policyTypes: ['Egress'], ...ingress(rule) }],
  'egress that types leave out': (rule) => [{ policyTypes: ['Ingress'], ...egress(rule) }],
  'beside a denial of all': (rule) => [{ policyTypes: ['Ingress', 'Egress'] }, { policyTypes: ['Ingress'], ...ingress(rule) }],
}

/** By two rules that overlap. */
const together: Readonly<Record<string, (one: Rule, other: Rule) => readonly Spec[]>> = {
  'two rules of ingress': (one, other) => [{ policyTypes: ['Ingress'], ...ingress(one, other) }],
  'two rules of egress': (one, other) => [{ policyTypes: ['Egress'], ...egress(one, other) }],
  'two policies of ingress': (one, other) => [ingress(one), ingress(other)],
  'two policies of egress': (one, other) => [one, other].map((rule) => ({ policyTypes: ['Egress'], ...egress(rule) })),
  'one rule a direction': (one, other) => [{ policyTypes: ['Ingress', 'Egress'], ...ingress(one), ...egress(other) }],
}

/** Every rule in every direction. */
export const single: readonly Combination[] = Object.entries(alone).flatMap(([direction, specsOf]) =>
  rules.map((rule) => ({ title: `${direction}: ${rule.title}`, specs: specsOf(rule) })))

/** Every two peers with the same ports, and every two ports with the same peers; the ways of standing together take turns. */
export const overlapping: readonly Combination[] = pairs(Object.keys(peerKinds), Object.keys(portKinds), ruleOf)
  .concat(pairs(Object.keys(portKinds), Object.keys(peerKinds), (what, who) => ruleOf(who, what)))
  .map(([one, other], index) => {
    const ways = Object.entries(together)
    const [way, specsOf] = ways[index % ways.length] as (typeof ways)[number]
    return { title: `${way}: ${one.title}; ${other.title}`, specs: specsOf(one, other) }
  })

function pairs(differing: readonly string[], same: readonly string[], make: (one: string, same: string) => Rule): (readonly [Rule, Rule])[] {
  return same.flatMap((kind) => differing.flatMap((one, index) =>
    differing.slice(index + 1).map((other) => [make(one, kind), make(other, kind)] as const)))
}
