// The ways to another workload, to the host and to the world, and what each hook takes from the one before it.

import test from 'ava'

import { PeerFlags, Reason } from '../../bpf/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { buildIpPacket, buildPacket } from '../packet.ts'
import type { PacketDescription, Transport } from '../packet.ts'
import { forgetRoute, onlyFlow } from './conntrack.ts'
import { GATEWAY, NARROW, TestNode } from './node.ts'
import { ack, answer, packet, reply, request, runStep, runSteps, syn, tcp, udp } from './table.ts'
import type { Step } from './table.ts'
import { addressOf, allow, CLASSES, deny, FAMILIES, key32, moveGeneration, OPEN, removeEndpoint, setAddress, setEndpoint, setPolicy, UDP } from './world.ts'
import type { Name } from './world.ts'

let node: TestNode
test.before(() => {
  node = new TestNode({ hooks: ['from_endpoint', 'to_endpoint', 'from_world', 'to_world'] })
})
test.after.always(() => node?.[Symbol.dispose]())
test.beforeEach(() => node?.reset())

for (const family of FAMILIES) {
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
    const { state } = onlyFlow(node.map, family)
    t.is(state.routeIfindex, node.ifindexes.uplink)
    t.is(state.routeMtu, 1500)
    t.deepEqual([...state.nextHop.subarray(12)], family === 4 ? GATEWAY.ipv4.split('.').map(Number) : [0, 0, 0, 1])
    runSteps(t, node, [
      { hook: 'from_world', at: 'uplink', packet: packet(family, 'world', 'a', answer), expect: 'redirect', events: [], out: { hops: 63 } },
      { hook: 'from_world', at: 'uplink', packet: packet(family, 'world', 'a', tcp(81, 4000, 'SYN')), expect: 'policy-denied' },
      { hook: 'from_world', at: 'uplink', metadata: { broadcast: true }, packet: packet(family, 'world', 'b', syn), expect: 'pass', events: [] },
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
    t.is(onlyFlow(node.map, family).state.routeMtu, NARROW.mtu)
  })

  kernelTest(`IPv${family}: a segment’s size has the L4 header that it really has`, (t) => {
    setPolicy(node.map, OPEN)
    const header = family === 4 ? 20 : 40
    const sent = (transport: typeof syn, l4Header: number, bytes: number): string => {
      const gsoSize = bytes - header - l4Header
      const data = buildPacket(packet(family, 'a', 'world', transport, { payload: new Uint8Array(2 * gsoSize + l4Header) }))
      if (transport.kind === 'tcp') data[14 + header + 12] = (l4Header / 4) << 4
      return node.send('from_endpoint', 'a', data, { gsoSize }).verdict
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
    forgetRoute(node.map, family)
    runSteps(t, node, [
      { ...out, expect: 'unknown-destination' },
      { ...out, expect: 'policy-denied', events: ['revoked'], rule: 9 },
    ])
  })

  kernelTest(`IPv${family}: a workload that leaves takes its flows along`, (t) => {
    setPolicy(node.map, OPEN)
    const back: Step = { hook: 'from_world', at: 'uplink', packet: packet(family, 'world', 'a', answer), expect: 'redirect' }
    runStep(t, node, back)
    removeEndpoint(node.map, node.ifindexes.a)
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

  kernelTest(`IPv${family}: nobody’s address, an unreachable one and what only the stack takes for its own are dropped`, (t) => {
    setPolicy(node.map, OPEN)
    const unreachable = family === 4 ? '198.51.100.1' : '2001:db8:dead::1'
    const [local, anycast] = family === 4 ? ['10.9.0.2', '10.9.0.255'] : ['fd09::2', 'fd09::']
    runSteps(t, node, [
      { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'nobody', syn), expect: 'unknown-destination' },
      { hook: 'from_endpoint', at: 'a', packet: { ...packet(family, 'a', 'world', syn), destination: unreachable }, expect: 'no-route' },
      { hook: 'from_endpoint', at: 'a', packet: { ...packet(family, 'a', 'world', syn), destination: local }, expect: 'no-route' },
      { hook: 'from_endpoint', at: 'a', packet: { ...packet(family, 'a', 'world', syn), destination: anycast }, expect: 'no-route' },
    ])
  })

  kernelTest(`IPv${family}: the last hop is the stack’s to answer, which forwards it no further`, (t) => {
    setPolicy(node.map, OPEN)
    for (const to of ['b', 'world'] as const) {
      const { mark, events } = runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', to, syn, { hops: 1 }), expect: 'pass', events: ['flow', 'drop'], out: { hops: 1 } })
      t.is(events.at(-1)?.reason, Reason.TTL_EXCEEDED)
      t.is(node.send('to_endpoint', 'b', buildPacket(packet(family, 'a', 'b', syn)), { mark }).reason, 'spoofed-address')
    }
    runStep(t, node, { hook: 'from_world', at: 'uplink', packet: packet(family, 'world', 'a', syn, { hops: 1 }), expect: 'pass', events: ['flow', 'drop'] })
    const quoted = buildIpPacket(packet(family, 'a', 'b', syn, { hops: 1 }))
    const exceeded = { kind: 'icmp', type: family === 4 ? 11 : 3 } as const
    runStep(t, node, { hook: 'to_endpoint', at: 'a', packet: packet(family, 'host', 'a', exceeded, { payload: quoted }), expect: 'pass', events: [] })
  })

  kernelTest(`IPv${family}: what a hook has decided passes the next one; a workload’s address leaves in no other way`, (t) => {
    setPolicy(node.map, OPEN)
    const { mark, data } = runStep(t, node, { ...request(family), expect: 'redirect' })
    node.map(`conntrack${family}`).delete(onlyFlow(node.map, family).key)
    setEndpoint(node.map, 'b', node.ifindexes.b, { subject: 0 })
    const marked = node.send('to_endpoint', 'b', data, { mark })
    t.is(marked.verdict, 'pass')
    t.is(marked.mark, 0)
    t.is(node.send('to_world', 'uplink', data, { mark }).reason, 'spoofed-address', 'it was decided to be for b')
    const out = runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'world', syn), expect: 'redirect' })
    t.is(node.send('to_world', 'uplink', out.data, { mark: out.mark }).verdict, 'pass')
    t.is(node.send('to_endpoint', 'b', out.data, { mark: out.mark }).reason, 'unknown-destination', 'it was decided to be for the world')
  })

  kernelTest(`IPv${family}: the stack carries no packet in a workload’s name, neither to another nor out`, (t) => {
    setPolicy(node.map, OPEN)
    const forged = packet(family, 'a', 'b', ack)
    runStep(t, node, { hook: 'to_endpoint', at: 'b', packet: forged, expect: 'spoofed-address', events: ['drop'] })
    runSteps(t, node, [
      { ...request(family), expect: 'redirect' },
      { hook: 'to_endpoint', at: 'b', packet: forged, expect: 'spoofed-address', events: ['drop'] },
      { hook: 'to_endpoint', at: 'b', packet: packet(family, 'nobody', 'b', syn), expect: 'unknown-peer' },
      { hook: 'to_endpoint', at: 'b', packet: packet(family, 'host', 'b', syn), expect: 'pass' },
      { hook: 'to_world', at: 'uplink', packet: packet(family, 'host', 'world', syn), expect: 'pass' },
      { hook: 'to_world', at: 'uplink', packet: packet(family, 'a', 'world', syn), expect: 'spoofed-address' },
      { hook: 'to_world', at: 'uplink', packet: packet(family, 'nobody', 'world', syn), expect: 'spoofed-address' },
      { hook: 'to_world', at: 'uplink', packet: packet(family, 'host', 'nobody', syn), expect: 'unknown-destination' },
    ])
  })

  kernelTest(`IPv${family}: what the stack forwards is from elsewhere, whatever source it names`, (t) => {
    setPolicy(node.map, [allow('a', 'egress'), deny('a', 'ingress'), ...OPEN.filter(({ subject }) => subject === 'b')])
    const forwarded = { hook: 'to_endpoint', at: 'a', metadata: { cameInBy: 'uplink' } } as const
    runSteps(t, node, [
      { ...forwarded, packet: packet(family, 'b', 'a', answer), expect: 'spoofed-address' },
      { ...forwarded, packet: packet(family, 'world', 'a', answer), expect: 'policy-denied' },
      { ...request(family), expect: 'redirect' },
      { ...forwarded, packet: packet(family, 'b', 'a', answer), expect: 'spoofed-address', events: ['drop'] },
    ])
    const quoted = buildIpPacket(packet(family, 'a', 'b', syn))
    const unreachable = { kind: 'icmp', type: family === 4 ? 3 : 1, code: 1 } as const
    runStep(t, node, { ...forwarded, packet: packet(family, 'world', 'a', unreachable, { payload: quoted }), expect: 'spoofed-address' }, 'about a flow that never left the node')
    runStep(t, node, { ...forwarded, metadata: {}, packet: packet(family, 'host', 'a', unreachable, { payload: quoted }), expect: 'pass' }, 'the node’s own word')
  })

  kernelTest(`IPv${family}: whom the stack gives the node’s address goes by policy, and gets into no flow of the node’s own`, (t) => {
    setPolicy(node.map, [allow('a', 'egress'), deny('a', 'ingress'), ...OPEN.filter(({ subject }) => subject === 'b')])
    const forwarded = (name: 'a' | 'b', transport: Transport) => ({ hook: 'to_endpoint', at: name, metadata: { cameInBy: 'uplink' }, packet: packet(family, 'host', name, transport) }) as const
    const own = { ...forwarded('a', syn), metadata: {} }
    const answers = { hook: 'from_endpoint', at: 'b', packet: packet(family, 'b', 'host', answer) } as const
    runSteps(t, node, [
      { ...forwarded('a', syn), expect: 'policy-denied' },
      { ...forwarded('b', syn), metadata: { cameInBy: 'elsewhere' }, expect: 'spoofed-address' },
      { ...own, expect: 'pass', events: ['flow'] },
      { ...forwarded('a', ack), expect: 'spoofed-address', events: ['drop'] },
      { ...own, expect: 'pass', events: [] },
      { ...forwarded('b', syn), expect: 'pass', events: ['flow'] },
      { ...answers, expect: 'pass', events: [] },
      { ...forwarded('b', ack), metadata: { cameInBy: 'a' }, expect: 'pass', events: [] },
      { ...forwarded('b', ack), metadata: { cameInBy: 'elsewhere' }, expect: 'spoofed-address' },
    ])
    setPolicy(node.map, [deny('b', 'ingress'), allow('b', 'egress')], { b: 22 }, 100)
    setEndpoint(node.map, 'b', node.ifindexes.b, { subject: 22 })
    runSteps(t, node, [
      { ...answers, expect: 'policy-denied', events: ['revoked'] },
      { ...forwarded('b', ack), expect: 'policy-denied' },
    ])
  })

  kernelTest(`IPv${family}: what the stack forwards is answered by way of the stack, which may have translated it`, (t) => {
    setPolicy(node.map, OPEN)
    runSteps(t, node, [
      { hook: 'to_endpoint', at: 'a', metadata: { cameInBy: 'elsewhere' }, packet: packet(family, 'world', 'a', syn), expect: 'pass', events: ['flow'] },
      { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'world', answer), expect: 'pass', events: [] },
      { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'host', syn), expect: 'pass', events: ['flow'] },
      { hook: 'to_endpoint', at: 'a', metadata: { cameInBy: 'uplink' }, packet: packet(family, 'host', 'a', answer), expect: 'pass', events: [] },
    ])
  })

  kernelTest(`IPv${family}: no error from outside bears a name of this node’s`, (t) => {
    setPolicy(node.map, OPEN)
    runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'world', syn), expect: 'redirect' })
    const quoted = buildIpPacket(packet(family, 'a', 'world', syn))
    const error = (from: Name): PacketDescription => packet(family, from, 'a', { kind: 'icmp', type: family === 4 ? 3 : 1, code: 1 }, { payload: quoted })
    const outside = { hook: 'from_world', at: 'uplink' } as const
    for (const name of ['a', 'b', 'host'] as const) runStep(t, node, { ...outside, packet: error(name), expect: 'spoofed-address' }, name)
    runStep(t, node, { ...outside, packet: error('nobody'), expect: 'unknown-peer' })
    runStep(t, node, { ...outside, packet: error('world'), expect: 'redirect', events: [] })
  })

  kernelTest(`IPv${family}: an address that leaves the node or comes to it changes who may send for it`, (t) => {
    setPolicy(node.map, OPEN)
    const outside = { hook: 'from_world', at: 'uplink', packet: packet(family, 'a', 'b', ack) } as const
    const leave = (): void => {
      removeEndpoint(node.map, node.ifindexes.a)
      setAddress(node.map, addressOf('a', family), { class: 'remote', flags: PeerFlags.WORKLOAD })
      moveGeneration(node.map, CLASSES.a)
    }
    const come = (): void => {
      setEndpoint(node.map, 'a', node.ifindexes.a)
      setAddress(node.map, addressOf('a', family), { class: 'a', ifindex: node.ifindexes.a, flags: PeerFlags.WORKLOAD })
      moveGeneration(node.map, CLASSES.remote)
    }
    runSteps(t, node, [{ ...request(family), expect: 'redirect' }, { ...outside, expect: 'spoofed-address' }, { ...reply(family), expect: 'redirect', events: [] }])
    leave()
    runStep(t, node, { ...outside, expect: 'redirect', events: [] })
    come()
    runSteps(t, node, [{ ...outside, expect: 'spoofed-address', events: ['drop'] }, { ...request(family, ack), expect: 'redirect', events: [] }])
  })

  kernelTest(`IPv${family}: out goes nothing whose addresses cannot be read; what lies behind them is not asked`, (t) => {
    const cut = (name: 'a' | 'host', l4: number): string => {
      const { verdict, reason } = node.send('to_world', 'uplink', buildPacket(packet(family, name, 'world', syn)).subarray(0, 14 + (family === 4 ? 20 : 40) + l4))
      return reason ?? verdict
    }
    t.is(cut('host', 3), 'pass')
    t.is(cut('a', 3), 'spoofed-address')
    const unreadable = buildPacket(packet(family, 'host', 'world', syn)).with(14, 0x55)
    t.is(node.send('to_world', 'uplink', unreadable).reason, 'malformed')
  })
}
