// Services inside the node: translation there and back, to itself, in fragments, and in what ICMP errors quote.

import test from 'ava'

import { activeBackend, backendRecord, FlowFlags, Forwarding, frontendKeyRecord, serviceRecord, slotRecord, steadyService } from '../../bpf/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { buildIpPacket, buildPacket, parsePacket } from '../packet.ts'
import type { PacketDescription, TcpFlag, Transport } from '../packet.ts'
import { parseIpPacket } from '../packet-parser.ts'
import { flowsOf, writeFlow } from './conntrack.ts'
import { TestNode } from './node.ts'
import { ack, packet, runStep, runSteps, tcp, udp } from './table.ts'
import { addressOf, FAMILIES, key32, mapped, OPEN, SCTP, setEndpoint, setPolicy, TCP, UDP } from './world.ts'
import type { Family, Name } from './world.ts'

const VIPS = { 4: '10.96.0.1', 6: 'fd96::1' } as const
const SERVICE = { id: 5, slotBase: 10, slotCount: 7 } as const

let node: TestNode
test.before(() => {
  node = new TestNode({ hooks: ['from_endpoint', 'from_world', 'to_endpoint'] })
})
test.after.always(() => node?.[Symbol.dispose]())
test.beforeEach(() => {
  node?.reset()
  if (node !== undefined) setPolicy(node.map, OPEN)
})

/** One backend in all slots. */
function setService(family: Family, protocol: number, backend: Name, port: number, slotCount: number = SERVICE.slotCount): void {
  node.map('frontends').update(
    frontendKeyRecord.encode({ address: mapped(VIPS[family]), port: 80, protocol }),
    serviceRecord.encode({ ...steadyService, ...SERVICE, slotCount, forwarding: Forwarding.NAT }),
  )
  for (let i = 0; i < SERVICE.slotCount; i++) node.map('slots').update(key32(SERVICE.slotBase + i), slotRecord.encode({ backend: 3, previous: 0 }))
  node.map('backends').update(key32(3), backendRecord.encode({ ...activeBackend, address: mapped(addressOf(backend, family)), port, protocol }))
}

const toVip = (family: Family, transport: Transport = tcp(4000, 80, 'SYN'), more: Partial<PacketDescription> = {}): PacketDescription => packet(family, 'a', 'b', transport, { destination: VIPS[family], ...more })

for (const family of FAMILIES) {
  for (const [name, protocol, there, back] of [
    ['TCP', TCP, tcp(4000, 80, 'SYN'), tcp(8080, 4000, 'SYN', 'ACK')],
    ['UDP', UDP, udp(4000, 80), udp(8080, 4000)],
  ] as const)
    kernelTest(`IPv${family}: ${name} to a service reaches the backend, and its replies come from the service`, (t) => {
      setService(family, protocol, 'b', 8080)
      const payload = Uint8Array.of(1, 2, 3, 4, 5)
      for (const round of [1, 2]) {
        const events = round === 1 ? (['flow'] as const) : ([] as const)
        runSteps(t, node, [
          { hook: 'from_endpoint', at: 'a', packet: toVip(family, there, { payload }), expect: 'redirect', events, out: { destination: addressOf('b', family), destinationPort: 8080, source: addressOf('a', family), sourcePort: 4000, hops: 63, payload } },
          { hook: 'from_endpoint', at: 'b', packet: packet(family, 'b', 'a', back, { payload }), expect: 'redirect', events: [], out: { source: VIPS[family], sourcePort: 80, destination: addressOf('a', family), destinationPort: 4000, payload } },
        ])
      }
    })

  kernelTest(`IPv${family}: policy is the backend’s, and cuts translated flows from both ends`, (t) => {
    setService(family, TCP, 'b', 8080)
    const there = { hook: 'from_endpoint', at: 'a', packet: toVip(family) } as const
    const back = { hook: 'from_endpoint', at: 'b', packet: packet(family, 'b', 'a', tcp(8080, 4000, 'ACK')) } as const
    const subjects = { a: 11, b: 22 }
    for (const cut of [there, back]) {
      setEndpoint(node.map, 'b', node.ifindexes.b)
      runStep(t, node, { ...there, expect: 'redirect' })
      setPolicy(node.map, [{ subject: 'b', direction: 'ingress', peer: 'any', protocol: TCP, ports: [80, 80], action: 'allow' }, { subject: 'b', direction: 'egress', peer: 'any', action: 'allow' }], subjects, 100)
      setPolicy(node.map, [{ subject: 'b', direction: 'ingress', peer: 'a', protocol: TCP, ports: [8080, 8080], action: 'deny', rule: 6 }], subjects, 110)
      setEndpoint(node.map, 'b', node.ifindexes.b, { subject: 22 })
      runSteps(t, node, [
        { ...cut, expect: 'policy-denied', events: ['revoked'], rule: 6 },
        { ...back, expect: 'policy-denied', events: ['drop'], rule: 6 },
        { ...there, expect: 'policy-denied', events: ['drop'], rule: 6 },
        { ...back, expect: 'policy-denied', events: ['drop'], rule: 6 },
      ])
    }
  })

  kernelTest(`IPv${family}: a translated flow that lost one of its two keys gets it again`, (t) => {
    setService(family, TCP, 'b', 8080)
    const there = { hook: 'from_endpoint', at: 'a', packet: toVip(family, ack) } as const
    const back = { hook: 'from_endpoint', at: 'b', packet: packet(family, 'b', 'a', tcp(8080, 4000, 'ACK')) } as const
    const toBackend = { ...there, expect: 'redirect', events: [], out: { destination: addressOf('b', family), destinationPort: 8080 } } as const
    const fromVip = { ...back, expect: 'redirect', events: [], out: { source: VIPS[family], sourcePort: 80 } } as const
    const lose = (flag: number): void => {
      for (const { key, state } of flowsOf(node.map, family)) {
        if (state.flags & flag) node.map(`conntrack${family}`).delete(key)
        else writeFlow(node.map, family, key, { ...state, lastSeen: state.lastSeen - 60 })
      }
    }
    runSteps(t, node, [{ ...toBackend, events: ['flow'] }, fromVip])
    lose(FlowFlags.TRANSLATE_SOURCE)
    runSteps(t, node, [toBackend, fromVip])
    lose(FlowFlags.TRANSLATE_DESTINATION)
    runSteps(t, node, [fromVip, toBackend])
    lose(FlowFlags.TRANSLATE_SOURCE)
    runSteps(t, node, [{ ...fromVip, events: ['flow'], out: { source: addressOf('b', family), sourcePort: 8080 } }, toBackend, fromVip])
  })

  kernelTest(`IPv${family}: what a former backend still sends is no word about the port’s next connection`, (t) => {
    const there = (...flags: TcpFlag[]) => ({ hook: 'from_endpoint', at: 'a', packet: toVip(family, tcp(4000, 80, ...flags)), expect: 'redirect' }) as const
    const back = (...flags: TcpFlag[]) => ({ hook: 'from_endpoint', at: 'b', packet: packet(family, 'b', 'a', tcp(8080, 4000, ...flags)), expect: 'redirect' }) as const
    setService(family, TCP, 'b', 8080)
    runSteps(t, node, [there('SYN'), back('SYN', 'ACK'), there('FIN', 'ACK'), back('FIN', 'ACK')])
    setService(family, TCP, 'remote', 8080)
    runSteps(t, node, [there('SYN'), { hook: 'from_world', at: 'uplink', packet: packet(family, 'remote', 'a', tcp(8080, 4000, 'SYN', 'ACK')), expect: 'redirect' }])
    for (const { key, state } of flowsOf(node.map, family)) if (state.flags & FlowFlags.CLOSING) writeFlow(node.map, family, key, { ...state, lastSeen: state.lastSeen - 60 })
    runStep(t, node, back('FIN', 'ACK'))
    const live = flowsOf(node.map, family).find(({ state }) => state.flags & FlowFlags.TRANSLATE_DESTINATION)
    t.is((live?.state.flags ?? 0) & (FlowFlags.CLOSING | FlowFlags.FIN_ORIGIN | FlowFlags.FIN_REPLY), 0)
  })

  kernelTest(`IPv${family}: a workload that is its own backend hears the service`, (t) => {
    setService(family, TCP, 'a', 8080)
    const own = addressOf('a', family)
    const vip = VIPS[family]
    for (let round = 0; round < 2; round++)
      runSteps(t, node, [
        { hook: 'from_endpoint', at: 'a', packet: toVip(family), expect: 'redirect', out: { source: vip, sourcePort: 4000, destination: own, destinationPort: 8080 } },
        { hook: 'from_endpoint', at: 'a', packet: toVip(family, tcp(8080, 4000, 'SYN', 'ACK')), expect: 'redirect', out: { source: vip, sourcePort: 80, destination: own, destinationPort: 4000 } },
      ])
  })

  kernelTest(`IPv${family}: a remote backend’s replies come back through the uplink`, (t) => {
    setService(family, TCP, 'remote', 8080)
    runSteps(t, node, [
      { hook: 'from_endpoint', at: 'a', packet: toVip(family), expect: 'redirect', out: { destination: addressOf('remote', family), destinationPort: 8080 } },
      { hook: 'from_world', at: 'uplink', packet: packet(family, 'remote', 'a', tcp(8080, 4000, 'SYN', 'ACK')), expect: 'redirect', out: { source: VIPS[family], sourcePort: 80 } },
    ])
  })

  kernelTest(`IPv${family}: the node itself can be the backend`, (t) => {
    setService(family, TCP, 'host', 8080)
    runSteps(t, node, [
      { hook: 'from_endpoint', at: 'a', packet: toVip(family), expect: 'pass', out: { destination: addressOf('host', family), destinationPort: 8080 } },
      { hook: 'to_endpoint', at: 'a', packet: packet(family, 'host', 'a', tcp(8080, 4000, 'SYN', 'ACK')), expect: 'pass', out: { source: VIPS[family], sourcePort: 80 } },
    ])
  })

  kernelTest(`IPv${family}: a service without backends drops`, (t) => {
    setService(family, TCP, 'b', 8080, 0)
    runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: toVip(family), expect: 'no-backend' })
  })

  kernelTest(`IPv${family}: SCTP keeps its checksum, so only addresses may change`, (t) => {
    const there: Transport = { kind: 'sctp', sourcePort: 4000, destinationPort: 80 }
    setService(family, SCTP, 'b', 8080)
    runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: toVip(family, there), expect: 'unsupported-protocol' })
    setService(family, SCTP, 'b', 80)
    runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: toVip(family, there), expect: 'redirect', out: { destination: addressOf('b', family), destinationPort: 80 } })
  })

  kernelTest(`IPv${family}: a UDP zero stays zero`, (t) => {
    setService(family, UDP, 'b', 8080)
    const { data } = runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: toVip(family, { kind: 'udp', sourcePort: 4000, destinationPort: 80, checksum: 'zero' }), expect: 'redirect' })
    const at = 14 + (family === 4 ? 20 : 40) + 6
    t.deepEqual([...data.subarray(at, at + 2)], [0, 0])
  })

  kernelTest(`IPv${family}: all fragments of a datagram go to the backend`, (t) => {
    setService(family, UDP, 'b', 8080)
    const payload = new Uint8Array(64).fill(7)
    const part = (offset: number, more: boolean) => toVip(family, udp(4000, 80), { payload, fragment: { identification: 1, offset, more, ...(more ? { length: 32 } : {}) } })
    const first = runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: part(0, true), expect: 'redirect', out: { destination: addressOf('b', family), destinationPort: 8080 } })
    const second = runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: part(32, false), expect: 'redirect', out: { destination: addressOf('b', family) } })
    const expected = buildIpPacket(packet(family, 'a', 'b', udp(4000, 8080), { payload }))
    const header = family === 4 ? 20 : 40
    const l4 = [first, second].flatMap(({ data }) => [...data.subarray(14 + header + (family === 4 ? 0 : 8))])
    t.deepEqual(l4, [...expected.subarray(header)])
  })

  const unreachable = (mtu?: number): Transport => ({ kind: 'icmp', type: family === 4 ? 3 : 1, code: family === 4 ? 3 : 4, ...(mtu === undefined ? {} : { mtu }) })
  for (const [name, protocol, transport, there] of [
    ['TCP', TCP, (source: number, destination: number) => tcp(source, destination, 'SYN'), tcp(4000, 80, 'SYN')],
    ['UDP', UDP, (source: number, destination: number) => udp(source, destination), udp(4000, 80)],
  ] as const)
    kernelTest(`IPv${family}: errors about a translated ${name} packet quote what their receiver sent`, (t) => {
      setService(family, protocol, 'b', 8080)
      const payload = Uint8Array.of(9, 9, 9, 9)
      runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: toVip(family, there, { payload }), expect: 'redirect' })
      const atBackend = buildIpPacket(packet(family, 'a', 'b', transport(4000, 8080), { payload }))
      const sent = buildIpPacket(toVip(family, there, { payload }))

      const fromBackend = runStep(t, node, { hook: 'from_endpoint', at: 'b', packet: packet(family, 'b', 'a', unreachable(), { payload: atBackend }), expect: 'redirect', events: [], out: { source: VIPS[family], destination: addressOf('a', family) } })
      t.deepEqual([...quotationOf(fromBackend.data)], [...sent])

      const router = family === 4 ? '10.9.0.1' : 'fd09::1'
      const fromRouter = runStep(t, node, { hook: 'from_world', at: 'uplink', packet: packet(family, 'world', 'a', unreachable(), { source: router, payload: atBackend }), expect: 'spoofed-address' })
      t.is(fromRouter.verdict, 'drop')

      const answered = buildIpPacket(packet(family, 'b', 'a', transport(80, 4000), { source: VIPS[family], payload }))
      const answer = buildIpPacket(packet(family, 'b', 'a', transport(8080, 4000), { payload }))
      const fromClient = runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: toVip(family, unreachable(), { payload: answered }), expect: 'redirect', events: [], out: { source: addressOf('a', family), destination: addressOf('b', family) } })
      t.deepEqual([...quotationOf(fromClient.data)], [...answer])
    })

  kernelTest(`IPv${family}: a router’s error about a flow to a remote backend names the router and quotes the service`, (t) => {
    setService(family, TCP, 'remote', 8080)
    runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: toVip(family), expect: 'redirect' })
    const router = family === 4 ? '192.0.2.1' : '2001:db8::1'
    const quoted = buildIpPacket(packet(family, 'a', 'remote', tcp(4000, 8080, 'SYN')))
    const { data } = runStep(t, node, { hook: 'from_world', at: 'uplink', packet: packet(family, 'world', 'a', unreachable(), { source: router, payload: quoted }), expect: 'redirect', events: [], out: { source: router, destination: addressOf('a', family) } })
    t.deepEqual([...quotationOf(data)], [...buildIpPacket(toVip(family))])
    t.deepEqual(parseIpPacket(quotationOf(data)).wrongChecksums, [])
  })

  kernelTest(`IPv${family}: an error about no flow is a packet like any other to policy`, (t) => {
    setPolicy(node.map, [{ subject: 'b', direction: 'egress', peer: 'any', action: 'deny', rule: 4 }], { a: 11, b: 22 }, 100)
    setEndpoint(node.map, 'b', node.ifindexes.b, { subject: 22 })
    const quoted = buildIpPacket(packet(family, 'a', 'b', tcp(1, 2, 'SYN')))
    const error = { hook: 'from_endpoint', at: 'b', packet: packet(family, 'b', 'a', unreachable(), { payload: quoted }) } as const
    runStep(t, node, { ...error, expect: 'policy-denied' })
    setPolicy(node.map, [{ subject: 'b', direction: 'egress', peer: 'any', action: 'deny', rule: 4 }, { subject: 'b', direction: 'ingress', peer: 'any', action: 'allow' }], { a: 11, b: 22 }, 100)
    runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'b', tcp(1, 2, 'SYN')), expect: 'redirect' })
    runStep(t, node, { ...error, expect: 'redirect', events: [] })
  })
}

function quotationOf(frame: Uint8Array): Uint8Array {
  return parsePacket(frame).payload
}

kernelTest('a direct connection from the port of a translated one is not mistaken for it', (t) => {
  setService(4, TCP, 'b', 8080)
  runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: toVip(4), expect: 'redirect' })
  const seen = node.send('from_endpoint', 'a', buildPacket(packet(4, 'a', 'b', tcp(4000, 8080, 'SYN'))))
  t.is(seen.reason, 'rewrite-failed')
})
