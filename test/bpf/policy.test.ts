// Policy and the flows that it admits, packet by packet.

import test from 'ava'

import { kernelTest } from '../helpers/index.ts'
import { TestNode } from './node.ts'
import { packet, runSteps, tcp, udp } from './table.ts'
import type { Step } from './table.ts'
import { FAMILIES, MACS, setEndpoint, setPolicy, SUBJECTS, TCP, UDP } from './world.ts'
import type { Family, Rule } from './world.ts'

let node: TestNode
test.before(() => {
  node = new TestNode({ hooks: ['from_endpoint', 'from_world'] })
})
test.after.always(() => node?.[Symbol.dispose]())
test.beforeEach(() => node?.reset())

/** Nothing selects the workload in this direction, or everything is denied by rule 9. */
const open = (subject: 'a' | 'b', direction: 'ingress' | 'egress'): Rule => ({ subject, direction, peer: 'any', action: 'allow', precedence: 1 })
const closed = (subject: 'a' | 'b', direction: 'ingress' | 'egress'): Rule => ({ subject, direction, peer: 'any', action: 'deny', precedence: 2, rule: 9 })
const OPEN = [open('a', 'egress'), open('a', 'ingress'), open('b', 'egress'), open('b', 'ingress')]

interface Case {
  readonly name: string
  readonly rules: readonly Rule[]
  readonly steps: (family: Family) => readonly Step[]
}

const fromA = (family: Family, transport = tcp(4000, 80, 'SYN')) => ({ hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'b', transport) }) as const
const fromB = (family: Family, transport = tcp(80, 4000, 'SYN', 'ACK')) => ({ hook: 'from_endpoint', at: 'b', packet: packet(family, 'b', 'a', transport) }) as const

const CASES: readonly Case[] = [
  {
    name: 'without policy all is allowed, and delivery rewrites MAC addresses and hop count',
    rules: OPEN,
    steps: (family) => [
      { ...fromA(family), expect: 'redirect', events: ['flow'], out: { sourceMac: MACS.nodeB, destinationMac: MACS.b, hops: 63 } },
      { ...fromB(family), expect: 'redirect', events: [], out: { sourceMac: MACS.nodeA, destinationMac: MACS.a, hops: 63 } },
    ],
  },
  {
    name: 'the destination’s ingress denies, with its rule',
    rules: [open('a', 'egress'), closed('b', 'ingress')],
    steps: (family) => [{ ...fromA(family), expect: 'policy-denied', events: ['drop'], rule: 9 }],
  },
  {
    name: 'the source’s egress denies before the destination is asked',
    rules: [closed('a', 'egress'), open('b', 'ingress')],
    steps: (family) => [{ ...fromA(family), expect: 'policy-denied', events: ['drop'], rule: 9 }],
  },
  {
    name: 'replies pass whatever the replier’s own egress says',
    rules: [open('a', 'egress'), open('b', 'ingress'), closed('b', 'egress'), closed('a', 'ingress')],
    steps: (family) => [
      { ...fromA(family), expect: 'redirect' },
      { ...fromB(family), expect: 'redirect' },
      { ...fromB(family, tcp(81, 4000, 'SYN')), expect: 'policy-denied' },
    ],
  },
  {
    name: 'rows hold for their ports only, edges included',
    rules: [
      open('a', 'egress'),
      { subject: 'b', direction: 'ingress', peer: 'a', protocol: TCP, ports: [80, 90], action: 'allow', precedence: 5, rule: 3 },
      { subject: 'b', direction: 'ingress', peer: 'a', protocol: TCP, ports: [100, 100], action: 'allow', precedence: 5, rule: 4 },
      { subject: 'b', direction: 'ingress', peer: 'a', protocol: UDP, ports: [53, 53], action: 'allow', precedence: 5, rule: 5 },
      closed('b', 'ingress'),
    ],
    steps: (family) => [
      { ...fromA(family, tcp(1, 79, 'SYN')), expect: 'policy-denied', rule: 9 },
      { ...fromA(family, tcp(2, 80, 'SYN')), expect: 'redirect', rule: 3 },
      { ...fromA(family, tcp(3, 90, 'SYN')), expect: 'redirect', rule: 3 },
      { ...fromA(family, tcp(4, 91, 'SYN')), expect: 'policy-denied', rule: 9 },
      { ...fromA(family, tcp(5, 100, 'SYN')), expect: 'redirect', rule: 4 },
      { ...fromA(family, udp(6, 53)), expect: 'redirect', rule: 5 },
      { ...fromA(family, udp(7, 80)), expect: 'policy-denied', rule: 9 },
    ],
  },
  {
    name: 'the higher precedence decides between the class’s row and that of all classes; at a tie the class’s',
    rules: [
      open('a', 'egress'),
      { subject: 'b', direction: 'ingress', peer: 'a', protocol: TCP, ports: [1, 1], action: 'allow', precedence: 5, rule: 1 },
      { subject: 'b', direction: 'ingress', peer: 'a', protocol: TCP, ports: [2, 2], action: 'allow', precedence: 7, rule: 2 },
      { subject: 'b', direction: 'ingress', peer: 'a', protocol: TCP, ports: [3, 3], action: 'deny', precedence: 7, rule: 3 },
      { subject: 'b', direction: 'ingress', peer: 'any', protocol: TCP, ports: [1, 1], action: 'deny', precedence: 6, rule: 11 },
      { subject: 'b', direction: 'ingress', peer: 'any', protocol: TCP, ports: [2, 2], action: 'deny', precedence: 7, rule: 12 },
      { subject: 'b', direction: 'ingress', peer: 'any', protocol: TCP, ports: [3, 3], action: 'allow', precedence: 8, rule: 13 },
    ],
    steps: (family) => [
      { ...fromA(family, tcp(9, 1, 'SYN')), expect: 'policy-denied', rule: 11 },
      { ...fromA(family, tcp(9, 2, 'SYN')), expect: 'redirect', rule: 2 },
      { ...fromA(family, tcp(9, 3, 'SYN')), expect: 'redirect', rule: 13 },
    ],
  },
  {
    name: 'audited rows pass and are reported',
    rules: [open('a', 'egress'), { subject: 'b', direction: 'ingress', peer: 'any', action: 'audit', precedence: 2, rule: 8 }],
    steps: (family) => [{ ...fromA(family), expect: 'redirect', events: ['audit', 'flow'] }],
  },
]

for (const { name, rules, steps } of CASES)
  for (const family of FAMILIES)
    kernelTest(`IPv${family}: ${name}`, (t) => {
      setPolicy(node.map, rules)
      runSteps(t, node, steps(family))
    })

for (const family of FAMILIES) {
  kernelTest(`IPv${family}: a workload whose policy is not known yet sends and receives nothing`, (t) => {
    setPolicy(node.map, OPEN)
    setEndpoint(node.map, 'b', node.ifindexes.b, { subject: 0 })
    runSteps(t, node, [
      { ...fromA(family), expect: 'no-subject' },
      { ...fromB(family), expect: 'no-subject' },
    ])
  })

  kernelTest(`IPv${family}: an auditing workload’s denials pass and are reported`, (t) => {
    setPolicy(node.map, [open('a', 'egress'), closed('b', 'ingress')])
    setEndpoint(node.map, 'b', node.ifindexes.b, { audit: true })
    runSteps(t, node, [{ ...fromA(family), expect: 'redirect', events: ['audit', 'flow'], rule: 9 }])
  })

  kernelTest(`IPv${family}: binary search finds each of 65,536 rows of one span`, (t) => {
    const rows = 65_536
    setPolicy(node.map, [open('a', 'egress')])
    // Every port is a row of its own; only even ones allow.
    setPolicy(node.map, Array.from({ length: rows }, (_, port) => ({ subject: 'b', direction: 'ingress', peer: 'any', protocol: TCP, ports: [port, port], action: port % 2 === 0 ? 'allow' : 'deny', rule: port })), SUBJECTS, 8)
    for (const port of [0, 1, 2, 32_766, 32_767, 32_768, 32_769, 65_534, 65_535])
      runSteps(t, node, [{ ...fromA(family, tcp(9, port, 'SYN')), expect: port % 2 === 0 ? 'redirect' : 'policy-denied', rule: port }])
  })
}
