// The life of flows: revocation, expiry, direction, fragments, counters; and the ways to host and world.

import test from 'ava'

import { Direction, FlowFlags, flow4KeyRecord, flow6KeyRecord, flowStateRecord, PeerFlags, TICK_SHIFT } from '../../bpf/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { buildPacket } from '../packet.ts'
import { GATEWAY, NARROW, TestNode } from './node.ts'
import { echo, packet, runStep, runSteps, tcp, udp } from './table.ts'
import type { Step } from './table.ts'
import { addressOf, CLASSES, FAMILIES, key32, setAddress, setEndpoint, setPolicy, setPrefix, UDP } from './world.ts'
import type { Family, Local, Rule } from './world.ts'

let node: TestNode
test.before(() => {
  node = new TestNode({ hooks: ['from_endpoint', 'to_endpoint', 'from_world', 'to_world'] })
})
test.after.always(() => node?.[Symbol.dispose]())
test.beforeEach(() => node?.reset())

const allow = (subject: Local, direction: 'ingress' | 'egress'): Rule => ({ subject, direction, peer: 'any', action: 'allow' })
const deny = (subject: Local, direction: 'ingress' | 'egress'): Rule => ({ subject, direction, peer: 'any', action: 'deny', rule: 9 })
const OPEN = [allow('a', 'egress'), allow('a', 'ingress'), allow('b', 'egress'), allow('b', 'ingress')]

const syn = tcp(4000, 80, 'SYN')
const ack = tcp(4000, 80, 'ACK')
const answer = tcp(80, 4000, 'ACK')

const request = (family: Family, transport = syn) => ({ hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'b', transport) }) as const
const reply = (family: Family, transport = answer) => ({ hook: 'from_endpoint', at: 'b', packet: packet(family, 'b', 'a', transport) }) as const

function moveGeneration(peerClass: number): void {
  node.map('class_generations').update(key32(peerClass), key32(1))
}

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
      moveGeneration(CLASSES.a)
    },
    reason: 'policy-denied',
  },
  {
    name: 'a relabelled destination',
    revoke: (family) => {
      setPolicy(node.map, [{ subject: 'a', direction: 'egress', peer: 'remote', action: 'deny', precedence: 5, rule: 9 }], { a: 11, b: 12 }, 100)
      setAddress(node.map, addressOf('b', family), { class: 'remote', ifindex: node.ifindexes.b, flags: PeerFlags.WORKLOAD })
      moveGeneration(CLASSES.b)
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
    moveGeneration(CLASSES.a)
    moveGeneration(CLASSES.b)
    runSteps(t, node, [
      { ...reply(family), expect: 'redirect', events: [] },
      { ...request(family, ack), expect: 'redirect', events: [] },
    ])
  })

  kernelTest(`IPv${family}: an address used again by another workload loses the flows of its predecessor`, (t) => {
    setPolicy(node.map, [allow('a', 'egress'), allow('b', 'ingress'), allow('b', 'egress')])
    runStep(t, node, { ...request(family), expect: 'redirect' })
    node.map('endpoints').delete(key32(node.ifindexes.b))
    runStep(t, node, { ...request(family, ack), expect: 'unknown-interface', events: ['revoked'] })
  })

  kernelTest(`IPv${family}: a new longer prefix cuts a flow to the world, from either end`, (t) => {
    setPolicy(node.map, [...OPEN, { subject: 'a', direction: 'egress', peer: 'remote', action: 'deny', precedence: 5, rule: 9 }])
    const out: Step = { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'world', syn), expect: 'redirect' }
    const back: Step = { hook: 'from_world', at: 'uplink', packet: packet(family, 'world', 'a', answer), expect: 'redirect' }
    runSteps(t, node, [out, back])
    setPrefix(node.map, addressOf('world', family), 128, { class: 'remote' })
    moveGeneration(CLASSES.world)
    runStep(t, node, { ...back, expect: 'policy-denied', events: ['revoked'], rule: 9 })
    runStep(t, node, { ...out, expect: 'policy-denied', events: ['drop'], rule: 9 })
  })

  kernelTest(`IPv${family}: from the host all is allowed, to the host policy decides; replies pass`, (t) => {
    setPolicy(node.map, [deny('a', 'ingress'), { subject: 'a', direction: 'egress', peer: 'host', protocol: UDP, ports: [53, 53], action: 'allow', precedence: 5, rule: 3 }, deny('a', 'egress')])
    runSteps(t, node, [
      { hook: 'to_endpoint', at: 'a', packet: packet(family, 'host', 'a', syn), expect: 'pass', events: ['flow'] },
      { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'host', answer), expect: 'pass', events: [], out: { hops: 64 } },
      { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'host', udp(5, 53)), expect: 'pass', events: ['flow'] },
      { hook: 'to_endpoint', at: 'a', packet: packet(family, 'host', 'a', udp(53, 5)), expect: 'pass', events: [] },
      { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'host', udp(5, 54)), expect: 'policy-denied', events: ['drop'] },
      { hook: 'to_endpoint', at: 'a', packet: packet(family, 'world', 'a', syn), expect: 'policy-denied' },
    ])
  })

  kernelTest(`IPv${family}: to the world and back, through the gateway`, (t) => {
    setPolicy(node.map, [allow('a', 'egress'), deny('a', 'ingress')])
    const { data } = runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'world', syn), expect: 'redirect', out: { hops: 63 } })
    t.true(data.byteLength > 0)
    const state = flowOf(family)
    t.is(state.routeIfindex, node.ifindexes.uplink)
    t.is(state.routeMtu, 1500)
    t.deepEqual([...state.nextHop.subarray(12)], family === 4 ? GATEWAY.ipv4.split('.').map(Number) : [0, 0, 0, 1])
    runSteps(t, node, [
      { hook: 'from_world', at: 'uplink', packet: packet(family, 'world', 'a', answer), expect: 'redirect', events: [], out: { hops: 63 } },
      { hook: 'from_world', at: 'uplink', packet: packet(family, 'world', 'a', tcp(81, 4000, 'SYN')), expect: 'policy-denied' },
      { hook: 'from_world', at: 'uplink', packet: packet(family, 'world', 'nobody', syn), expect: 'unknown-destination' },
      { hook: 'from_world', at: 'uplink', packet: packet(family, 'world', 'host', syn), expect: 'pass', events: [] },
      { hook: 'from_world', at: 'uplink', packet: packet(family, 'world', 'remote', syn), expect: 'pass', events: [] },
      { hook: 'from_world', at: 'uplink', packet: packet(family, 'host', 'a', syn), expect: 'spoofed-address' },
      { hook: 'from_world', at: 'uplink', packet: packet(family, 'b', 'a', syn), expect: 'spoofed-address' },
    ])
  })

  kernelTest(`IPv${family}: what a route’s own MTU does not let through is the stack’s to answer`, (t) => {
    setPolicy(node.map, OPEN)
    const sized = (bytes: number): Step => {
      const payload = new Uint8Array(bytes - (family === 4 ? 40 : 60))
      const description = packet(family, 'a', 'world', ack, { payload, dontFragment: true })
      return { hook: 'from_endpoint', at: 'a', packet: { ...description, destination: NARROW[family] }, expect: bytes > NARROW.mtu ? 'pass' : 'redirect' }
    }
    runSteps(t, node, [sized(1428), sized(NARROW.mtu), sized(NARROW.mtu + 1)])
    t.is(flowOf(family).routeMtu, NARROW.mtu)
  })

  kernelTest(`IPv${family}: a segment’s size has the L4 header that it really has`, (t) => {
    setPolicy(node.map, OPEN)
    const header = family === 4 ? 20 : 40
    const sent = (transport: typeof syn, l4Header: number, bytes: number): string => {
      const gsoSize = bytes - header - l4Header
      const data = buildPacket(packet(family, 'a', 'world', transport, { payload: new Uint8Array(2 * gsoSize + l4Header) }))
      if (transport.kind === 'tcp') data[14 + header + 12] = (l4Header / 4) << 4
      return node.send('from_endpoint', 'a', data, 0, gsoSize).verdict
    }
    for (const [transport, l4Header] of [[udp(5, 53), 8], [ack, 20], [ack, 32]] as const) {
      t.is(sent(transport, l4Header, 1500), 'redirect', `${l4Header} bytes`)
      t.is(sent(transport, l4Header, 1501), 'pass', `${l4Header} bytes`)
    }
  })

  kernelTest(`IPv${family}: a destination that moves to this node with its labels meets its own ingress policy`, (t) => {
    setPolicy(node.map, [allow('a', 'egress'), deny('b', 'ingress')])
    const out: Step = { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'b', syn), expect: 'redirect' }
    setAddress(node.map, addressOf('b', family), { class: 'b', flags: PeerFlags.WORKLOAD })
    runStep(t, node, { ...out, events: ['flow'] })
    setAddress(node.map, addressOf('b', family), { class: 'b', ifindex: node.ifindexes.b, flags: PeerFlags.WORKLOAD })
    forgetRoute(family)
    runSteps(t, node, [
      { ...out, expect: 'unknown-destination' },
      { ...out, expect: 'policy-denied', events: ['revoked'], rule: 9 },
    ])
  })

  kernelTest(`IPv${family}: a workload that leaves takes its flows along`, (t) => {
    setPolicy(node.map, OPEN)
    const back: Step = { hook: 'from_world', at: 'uplink', packet: packet(family, 'world', 'a', answer), expect: 'redirect' }
    runStep(t, node, back)
    node.map('endpoints').delete(key32(node.ifindexes.a))
    setAddress(node.map, addressOf('a', family), { class: 'remote', flags: PeerFlags.WORKLOAD })
    runSteps(t, node, [
      { ...back, expect: 'unknown-destination', events: ['revoked'] },
      { ...back, expect: 'pass', events: [] },
    ])
  })

  kernelTest(`IPv${family}: a flow between two workloads cannot be joined from outside`, (t) => {
    setPolicy(node.map, OPEN)
    runSteps(t, node, [
      { ...request(family), expect: 'redirect' },
      { hook: 'from_world', at: 'uplink', packet: packet(family, 'a', 'b', ack), expect: 'spoofed-address' },
      { ...request(family, ack), expect: 'redirect', events: [] },
    ])
  })

  kernelTest(`IPv${family}: nobody’s address, an unreachable one and the last hop are dropped; hop counts end`, (t) => {
    setPolicy(node.map, OPEN)
    const unreachable = family === 4 ? '198.51.100.1' : '2001:db8:dead::1'
    runSteps(t, node, [
      { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'nobody', syn), expect: 'unknown-destination' },
      { hook: 'from_endpoint', at: 'a', packet: { ...packet(family, 'a', 'world', syn), destination: unreachable }, expect: 'no-route' },
      { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'b', syn, { hops: 1 }), expect: 'ttl-exceeded' },
    ])
  })

  kernelTest(`IPv${family}: an echo request does not pass as the reply of one that went the other way`, (t) => {
    setPolicy(node.map, [allow('a', 'egress'), deny('a', 'ingress'), allow('b', 'egress'), allow('b', 'ingress')])
    runSteps(t, node, [
      { ...request(family, echo(family, 'request', 7)), expect: 'redirect', events: ['flow'] },
      { ...reply(family, echo(family, 'reply', 7)), expect: 'redirect', events: [] },
      { ...reply(family, echo(family, 'request', 7)), expect: 'policy-denied' },
      { ...reply(family, echo(family, 'reply', 8)), expect: 'policy-denied' },
    ])
  })

  kernelTest(`IPv${family}: a flow that was idle too long is a new one, and a SYN starts a closing one anew`, (t) => {
    setPolicy(node.map, [allow('a', 'egress'), deny('a', 'ingress'), allow('b', 'ingress'), deny('b', 'egress')])
    runSteps(t, node, [
      { ...request(family), expect: 'redirect', events: ['flow'] },
      { ...request(family, ack), expect: 'redirect', events: [] },
    ])
    age(family, 61)
    runStep(t, node, { ...reply(family), expect: 'policy-denied' })
    runSteps(t, node, [
      { ...request(family), expect: 'redirect', events: ['flow'] },
      { ...reply(family), expect: 'redirect', events: [] },
    ])
    age(family, 5 * 3600)
    runSteps(t, node, [
      { ...reply(family), expect: 'redirect', events: [] },
      { ...request(family, tcp(4000, 80, 'FIN', 'ACK')), expect: 'redirect', events: [] },
      { ...request(family), expect: 'redirect', events: [] },
      { ...reply(family, tcp(80, 4000, 'FIN', 'ACK')), expect: 'redirect', events: [] },
      { ...request(family, ack), expect: 'redirect', events: [] },
      { ...request(family), expect: 'redirect', events: ['flow'] },
    ])
    t.is(flowOf(family).flags & FlowFlags.CLOSING, 0)
    runStep(t, node, { ...reply(family, tcp(80, 4000, 'RST')), expect: 'redirect', events: [] })
    age(family, 11)
    runStep(t, node, { ...reply(family), expect: 'policy-denied' })
  })

  kernelTest(`IPv${family}: later fragments follow the first one’s ports; without it they are dropped`, (t) => {
    setPolicy(node.map, [allow('a', 'egress'), { subject: 'b', direction: 'ingress', peer: 'any', protocol: UDP, ports: [53, 53], action: 'allow', rule: 1 }])
    const payload = new Uint8Array(64)
    const part = (port: number, identification: number, offset: number, more: boolean) => packet(family, 'a', 'b', udp(9, port), { payload, fragment: { identification, offset, more, ...(more ? { length: 32 } : {}) } })
    runSteps(t, node, [
      { hook: 'from_endpoint', at: 'a', packet: part(53, 1, 32, false), expect: 'fragment-without-first' },
      { hook: 'from_endpoint', at: 'a', packet: part(53, 1, 0, true), expect: 'redirect', events: ['flow'] },
      { hook: 'from_endpoint', at: 'a', packet: part(53, 1, 32, false), expect: 'redirect', events: [] },
      { hook: 'from_endpoint', at: 'a', packet: part(53, 2, 32, false), expect: 'fragment-without-first' },
    ])
  })

  kernelTest(`IPv${family}: packets of any header length are read`, (t) => {
    setPolicy(node.map, OPEN)
    const odd = family === 4 ? { options: Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 0) } : { extensions: 3 }
    runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'b', syn, odd), expect: 'redirect', events: ['flow'] })
    t.is(flowOf(family).destinationIfindex, node.ifindexes.b)
    runStep(t, node, { ...reply(family), expect: 'redirect', events: [] })
    if (family === 6) runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'b', syn, { extensions: 7 }), expect: 'malformed' })
  })

  kernelTest(`IPv${family}: what a hook has decided passes the next one; a workload’s address leaves in no other way`, (t) => {
    setPolicy(node.map, OPEN)
    const { mark, data } = runStep(t, node, { ...request(family), expect: 'redirect' })
    node.map(`conntrack${family}`).delete(onlyEntry(family).key)
    setEndpoint(node.map, 'b', node.ifindexes.b, { subject: 0 })
    const marked = node.send('to_endpoint', 'b', data, mark)
    t.is(marked.verdict, 'pass')
    t.is(marked.mark, 0)
    t.is(node.send('to_endpoint', 'b', data).reason, 'no-subject')
    runSteps(t, node, [
      { hook: 'to_world', at: 'uplink', packet: packet(family, 'host', 'world', syn), expect: 'pass' },
      { hook: 'to_world', at: 'uplink', packet: packet(family, 'a', 'world', syn), expect: 'spoofed-address' },
      { hook: 'to_world', at: 'uplink', packet: packet(family, 'host', 'nobody', syn), expect: 'unknown-destination' },
    ])
  })
}

kernelTest('every packet is counted once, with its length', (t) => {
  setPolicy(node.map, [allow('a', 'egress'), deny('b', 'ingress')])
  const before = counted(1, Direction.INGRESS)
  runStep(t, node, { ...request(4), expect: 'policy-denied' })
  runStep(t, node, { ...request(4), expect: 'policy-denied' })
  const after = counted(1, Direction.INGRESS)
  t.is(after.packets - before.packets, 2n)
  t.is(after.bytes - before.bytes, 108n)
  setPolicy(node.map, OPEN)
  const forwarded = counted(0, Direction.EGRESS)
  runSteps(t, node, [
    { ...request(4), expect: 'redirect' },
    { ...request(4, ack), expect: 'redirect' },
  ])
  t.is(counted(0, Direction.EGRESS).packets - forwarded.packets, 2n)
})

function counted(reason: number, direction: number): { packets: bigint; bytes: bigint } {
  const values = node.map('counters').lookupPerCpu(key32(reason * 2 + direction)) ?? []
  const views = values.map((value) => new DataView(value.buffer, value.byteOffset))
  const sum = (offset: number): bigint => views.reduce((total, view) => total + view.getBigUint64(offset, true), 0n)
  return { packets: sum(0), bytes: sum(8) }
}

/** The only entry. */
function onlyEntry(family: Family): { key: Uint8Array; value: Uint8Array } {
  const [batch] = [...node.map(`conntrack${family}`).entries()]
  if (batch === undefined || batch.count !== 1) throw new Error(`${batch?.count ?? 0} flows`)
  const keySize = family === 4 ? flow4KeyRecord.size : flow6KeyRecord.size
  return { key: batch.keys.slice(0, keySize), value: batch.values.slice(0, flowStateRecord.size) }
}

function flowOf(family: Family) {
  return flowStateRecord.decode(onlyEntry(family).value)
}

/** Makes the only flow ask for its next hop again. */
function forgetRoute(family: Family): void {
  const { key, value } = onlyEntry(family)
  node.map(`conntrack${family}`).update(key, flowStateRecord.encode({ ...flowStateRecord.decode(value), routeIfindex: 0 }))
}

/** Makes the only flow look as if its last packet had come so many seconds earlier. */
function age(family: Family, seconds: number): void {
  const { key, value } = onlyEntry(family)
  const state = flowStateRecord.decode(value)
  const ticks = Math.round((seconds * 1e9) / 2 ** TICK_SHIFT)
  node.map(`conntrack${family}`).update(key, flowStateRecord.encode({ ...state, lastSeen: (state.lastSeen - ticks) >>> 0 }))
}
