// The life of flows: revocation, expiry, direction, counters.

import test from 'ava'

import { Direction, FlowFlags, PeerFlags, Reason } from '../../bpf/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { age, onlyFlow } from './conntrack.ts'
import { TestNode } from './node.ts'
import { ack, answer, echo, packet, reply, request, runStep, runSteps, syn, tcp } from './table.ts'
import type { Step } from './table.ts'
import { addressOf, allow, CLASSES, deny, FAMILIES, ICMP, ICMPV6, key32, moveGeneration, OPEN, removeEndpoint, setAddress, setEndpoint, setPolicy, setPrefix } from './world.ts'
import type { Family } from './world.ts'

let node: TestNode
test.before(() => {
  node = new TestNode({ hooks: ['from_endpoint', 'to_endpoint', 'from_world', 'to_world'] })
})
test.after.always(() => node?.[Symbol.dispose]())
test.beforeEach(() => node?.reset())

/** Ways to take a permission away, each after the flow a -> b was established. */
const REVOCATIONS: readonly { readonly name: string; readonly revoke: (family: Family) => void; readonly reason: string }[] = [
  {
    name: 'the source’s policy',
    revoke: () => {
      setPolicy(node.map, [deny('a', 'egress'), allow('a', 'ingress')], { a: 21, b: 12 }, 100)
      setEndpoint(node.map, 'a', node.ifindexes.a, { subject: 21 })
    },
    reason: 'policy-denied',
  },
  {
    name: 'the destination’s policy',
    revoke: () => {
      setPolicy(node.map, [deny('b', 'ingress'), allow('b', 'egress')], { a: 11, b: 22 }, 100)
      setEndpoint(node.map, 'b', node.ifindexes.b, { subject: 22 })
    },
    reason: 'policy-denied',
  },
  {
    name: 'a relabelled source',
    revoke: (family) => {
      setPolicy(node.map, [{ subject: 'b', direction: 'ingress', peer: 'remote', action: 'deny', precedence: 5, rule: 9 }], { a: 11, b: 12 }, 100)
      setAddress(node.map, addressOf('a', family), { class: 'remote', ifindex: node.ifindexes.a, flags: PeerFlags.WORKLOAD })
      moveGeneration(node.map, CLASSES.a)
    },
    reason: 'policy-denied',
  },
  {
    name: 'a relabelled destination',
    revoke: (family) => {
      setPolicy(node.map, [{ subject: 'a', direction: 'egress', peer: 'remote', action: 'deny', precedence: 5, rule: 9 }], { a: 11, b: 12 }, 100)
      setAddress(node.map, addressOf('b', family), { class: 'remote', ifindex: node.ifindexes.b, flags: PeerFlags.WORKLOAD })
      moveGeneration(node.map, CLASSES.b)
    },
    reason: 'policy-denied',
  },
]

for (const family of FAMILIES) {
  for (const { name, revoke, reason } of REVOCATIONS) {
    for (const [who, next] of [['client', request(family, ack)], ['server', reply(family)]] as const)
      kernelTest(`IPv${family}: ${name} cuts an established flow, with traffic from the ${who} alone`, (t) => {
        setPolicy(node.map, OPEN)
        runSteps(t, node, [
          { ...request(family), expect: 'redirect' },
          { ...reply(family), expect: 'redirect' },
        ])
        revoke(family)
        runSteps(t, node, [
          { ...next, expect: reason, events: ['revoked'], rule: 9 },
          // As the first packet of a flow from b to a the reply would be allowed.
          { ...reply(family), expect: reason, events: ['drop'], rule: 9 },
          { ...request(family, ack), expect: reason, events: ['drop'], rule: 9 },
          { ...reply(family), expect: reason, events: ['drop'], rule: 9 },
          { ...reply(family, tcp(80, 4000, 'SYN')), expect: 'redirect', events: ['flow'] },
        ])
      })
  }

  kernelTest(`IPv${family}: a generation that moved without taking the permission away leaves the flow alone`, (t) => {
    setPolicy(node.map, OPEN)
    runStep(t, node, { ...request(family), expect: 'redirect' })
    moveGeneration(node.map, CLASSES.a)
    moveGeneration(node.map, CLASSES.b)
    runSteps(t, node, [
      { ...reply(family), expect: 'redirect', events: [] },
      { ...request(family, ack), expect: 'redirect', events: [] },
    ])
  })

  kernelTest(`IPv${family}: an address used again by another workload loses the flows of its predecessor`, (t) => {
    setPolicy(node.map, [allow('a', 'egress'), allow('b', 'ingress'), allow('b', 'egress')])
    runStep(t, node, { ...request(family), expect: 'redirect' })
    removeEndpoint(node.map, node.ifindexes.b)
    runStep(t, node, { ...request(family, ack), expect: 'unknown-interface', events: ['revoked'] })
  })

  kernelTest(`IPv${family}: a new longer prefix cuts a flow to the world, from either end`, (t) => {
    setPolicy(node.map, [...OPEN, { subject: 'a', direction: 'egress', peer: 'remote', action: 'deny', precedence: 5, rule: 9 }])
    const out: Step = { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'world', syn), expect: 'redirect' }
    const back: Step = { hook: 'from_world', at: 'uplink', packet: packet(family, 'world', 'a', answer), expect: 'redirect' }
    runSteps(t, node, [out, back])
    setPrefix(node.map, addressOf('world', family), 128, { class: 'remote' })
    moveGeneration(node.map, CLASSES.world)
    runStep(t, node, { ...back, expect: 'policy-denied', events: ['revoked'], rule: 9 })
    runStep(t, node, { ...out, expect: 'policy-denied', events: ['drop'], rule: 9 })
  })

  kernelTest(`IPv${family}: an echo request does not pass as the reply of one that went the other way`, (t) => {
    setPolicy(node.map, [allow('a', 'egress'), deny('a', 'ingress'), allow('b', 'egress'), allow('b', 'ingress')])
    runSteps(t, node, [
      { ...request(family, echo(family, 'request', 7)), expect: 'redirect', events: ['flow'] },
      { ...reply(family, echo(family, 'reply', 7)), expect: 'redirect', events: [] },
      { ...reply(family, echo(family, 'request', 7)), expect: 'policy-denied' },
      { ...reply(family, echo(family, 'reply', 8)), expect: 'policy-denied' },
    ])
    const asType = family === 4 ? 8 << 8 : 128 << 8
    runSteps(t, node, [
      { ...request(family, echo(family, 'request', asType)), expect: 'redirect', events: ['flow'] },
      { ...reply(family, echo(family, 'reply', asType)), expect: 'redirect', events: [] },
      { ...reply(family, echo(family, 'request', asType)), expect: 'policy-denied' },
    ])
  })

  kernelTest(`IPv${family}: an echo reply that nobody asked for is to policy what its type says`, (t) => {
    const [protocol, asked, answered] = family === 4 ? [ICMP, 8 << 8, 0] : [ICMPV6, 128 << 8, 129 << 8]
    const only = (type: number): void => setPolicy(node.map, [allow('b', 'egress'), { subject: 'a', direction: 'ingress', peer: 'b', protocol, ports: [type, type], action: 'allow', precedence: 5 }, deny('a', 'ingress')])
    only(asked)
    for (const identifier of [7, asked]) runStep(t, node, { ...reply(family, echo(family, 'reply', identifier)), expect: 'policy-denied' })
    only(answered)
    runSteps(t, node, [
      { ...reply(family, echo(family, 'reply', 7)), expect: 'redirect', events: ['flow'] },
      { ...reply(family, echo(family, 'reply', 8)), expect: 'redirect', events: [] },
      { ...reply(family, echo(family, 'request', 7)), expect: 'policy-denied' },
    ])
  })

  kernelTest(`IPv${family}: a flow that was idle too long is a new one, and a SYN starts a closing one anew`, (t) => {
    setPolicy(node.map, [allow('a', 'egress'), deny('a', 'ingress'), allow('b', 'ingress'), deny('b', 'egress')])
    runSteps(t, node, [
      { ...request(family), expect: 'redirect', events: ['flow'] },
      { ...request(family, ack), expect: 'redirect', events: [] },
    ])
    age(node.map, family, 61)
    runStep(t, node, { ...reply(family), expect: 'policy-denied' })
    runSteps(t, node, [
      { ...request(family), expect: 'redirect', events: ['flow'] },
      { ...reply(family), expect: 'redirect', events: [] },
    ])
    age(node.map, family, 5 * 3600)
    runSteps(t, node, [
      { ...reply(family), expect: 'redirect', events: [] },
      { ...request(family, tcp(4000, 80, 'FIN', 'ACK')), expect: 'redirect', events: [] },
      { ...request(family), expect: 'redirect', events: [] },
      { ...reply(family, tcp(80, 4000, 'FIN', 'ACK')), expect: 'redirect', events: [] },
      { ...request(family, ack), expect: 'redirect', events: [] },
      { ...request(family), expect: 'redirect', events: ['flow'] },
    ])
    t.is(onlyFlow(node.map, family).state.flags & FlowFlags.CLOSING, 0)
    runStep(t, node, { ...reply(family, tcp(80, 4000, 'RST')), expect: 'redirect', events: [] })
    age(node.map, family, 11)
    runStep(t, node, { ...reply(family), expect: 'policy-denied' })
  })
}

kernelTest('every packet is counted once, with its length', (t) => {
  setPolicy(node.map, [allow('a', 'egress'), deny('b', 'ingress')])
  const before = node.counted(Reason.POLICY_DENIED, Direction.INGRESS)
  runStep(t, node, { ...request(4), expect: 'policy-denied' })
  runStep(t, node, { ...request(4), expect: 'policy-denied' })
  const after = node.counted(Reason.POLICY_DENIED, Direction.INGRESS)
  t.is(after.packets - before.packets, 2n)
  t.is(after.bytes - before.bytes, 108n)
  setPolicy(node.map, OPEN)
  const forwarded = node.counted(Reason.FORWARDED, Direction.EGRESS)
  runSteps(t, node, [
    { ...request(4), expect: 'redirect' },
    { ...request(4, ack), expect: 'redirect' },
  ])
  t.is(node.counted(Reason.FORWARDED, Direction.EGRESS).packets - forwarded.packets, 2n)
})
