// What a sender hears of a packet that policy refuses, where the endpoint whose policy it is answers.

import test from 'ava'
import type { ExecutionContext } from 'ava'

import { activeBackend, backendRecord, Forwarding, frontendKeyRecord, serviceRecord, slotRecord, steadyService } from '../../bpf/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { buildIpPacket, buildPacket, parsePacket } from '../packet.ts'
import type { PacketDescription, ParsedPacket, TcpFlag, Transport } from '../packet.ts'
import type { Hook, Port, Seen } from './node.ts'
import { GATEWAY, TestNode, UPLINK } from './node.ts'
import { ack, answer, packet, request, runStep, runSteps, syn, tcp, udp } from './table.ts'
import { addressOf, allow, deny, FAMILIES, key32, mapped, OPEN, setEndpoint, setHost, setPolicy, TCP } from './world.ts'
import type { Family } from './world.ts'

let node: TestNode
test.before(() => {
  node = new TestNode({ hooks: ['from_endpoint', 'to_endpoint', 'from_world', 'to_world'] })
})
test.after.always(() => node?.[Symbol.dispose]())
test.beforeEach(() => {
  node?.reset()
  if (node === undefined) return
  setPolicy(node.map, [deny('a', 'egress'), allow('a', 'ingress'), allow('b', 'egress'), deny('b', 'ingress')])
  for (const name of ['a', 'b'] as const) setEndpoint(node.map, name, node.ifindexes[name], { reject: true })
})

const PROHIBITED = { 4: { type: 3, code: 13, identifier: 0, mtu: 0 }, 6: { type: 1, code: 1, identifier: 0, mtu: 0 } } as const
const ICMP_PROTOCOL = { 4: 1, 6: 58 } as const
const ipHeader = (family: Family): number => (family === 4 ? 20 : 40)

/** Sends what is refused, and gives the answer, which names the packet's own ends the other way round. */
function refused(t: ExecutionContext, hook: Hook, at: Port, description: PacketDescription): Seen & { readonly parsed: ParsedPacket } {
  const seen = runStep(t, node, { hook, at, packet: description, expect: 'redirect', events: ['drop'] })
  t.is(seen.reason, 'policy-denied')
  const [sent, parsed] = [parsePacket(buildPacket(description)), parsePacket(seen.data)]
  t.like(parsed, { source: sent.destination, destination: sent.source, sourceMac: sent.destinationMac, destinationMac: sent.sourceMac, hops: 64 })
  return { ...seen, parsed }
}

function isReset(t: ExecutionContext, { parsed, data }: ReturnType<typeof refused>, family: Family, reset: object): void {
  t.like(parsed, { protocol: TCP, sourcePort: 80, destinationPort: 4000, tcp: reset })
  t.is(data.byteLength, 14 + ipHeader(family) + 20)
}

function isProhibited(t: ExecutionContext, { parsed }: ReturnType<typeof refused>, family: Family, quotation: Uint8Array): void {
  t.like(parsed, { protocol: ICMP_PROTOCOL[family], icmp: PROHIBITED[family] })
  t.deepEqual(Buffer.from(parsed.payload).toString('hex'), Buffer.from(quotation).toString('hex'))
}

/** Flags, bytes of data, and what RFC 9293 section 3.10.7.1 answers where the packet's sequence and acknowledgement are 1. */
const RESETS: readonly (readonly [flags: readonly TcpFlag[], bytes: number, reset: object])[] = [
  [['SYN'], 0, { sequence: 0, acknowledgement: 2, flags: ['RST', 'ACK'] }],
  [['SYN'], 7, { sequence: 0, acknowledgement: 9, flags: ['RST', 'ACK'] }],
  [['FIN'], 10, { sequence: 0, acknowledgement: 12, flags: ['RST', 'ACK'] }],
  [[], 3, { sequence: 0, acknowledgement: 4, flags: ['RST', 'ACK'] }],
  [['ACK'], 1000, { sequence: 1, acknowledgement: 0, flags: ['RST'] }],
  [['SYN', 'ACK'], 0, { sequence: 1, acknowledgement: 0, flags: ['RST'] }],
]

for (const family of FAMILIES) {
  const header = ipHeader(family)

  kernelTest(`IPv${family}: TCP is answered as by a closed port`, (t) => {
    for (const [flags, bytes, reset] of RESETS) {
      const seen = refused(t, 'from_endpoint', 'a', packet(family, 'a', 'b', tcp(4000, 80, ...flags), { payload: new Uint8Array(bytes) }))
      isReset(t, seen, family, reset)
    }
  })

  kernelTest(`IPv${family}: all else is prohibited, quoting what was sent`, (t) => {
    const echo: Transport = { kind: 'icmp', type: family === 4 ? 8 : 128, identifier: 9 }
    for (const transport of [udp(5, 53), { kind: 'udp', sourcePort: 5, destinationPort: 53, checksum: 'zero' }, { kind: 'sctp', sourcePort: 5, destinationPort: 6 }, echo, { kind: 'raw', protocol: 47 }] as const) {
      for (const bytes of [0, 1, 31]) {
        const description = packet(family, 'a', 'b', transport, { payload: new Uint8Array(bytes).fill(0xa5) })
        isProhibited(t, refused(t, 'from_endpoint', 'a', description), family, buildIpPacket(description))
      }
    }
  })

  kernelTest(`IPv${family}: a quotation is bounded and has no padding of the frame`, (t) => {
    const long = packet(family, 'a', 'b', udp(5, 53), { payload: new Uint8Array(1301).fill(0x5a) })
    isProhibited(t, refused(t, 'from_endpoint', 'a', long), family, buildIpPacket(long).subarray(0, 504))
    const short = packet(family, 'a', 'b', udp(5, 53), { payload: Uint8Array.of(1) })
    const seen = node.send('from_endpoint', 'a', Buffer.concat([buildPacket(short), new Uint8Array(17).fill(7)]))
    t.is(parsePacket(seen.data).payload.byteLength, header + 8 + 1)
    t.deepEqual(parsePacket(seen.data).wrongChecksums, [])
  })

  kernelTest(`IPv${family}: TCP in fragments or behind other headers is prohibited`, (t) => {
    const odd = family === 4 ? { options: Uint8Array.of(1, 1, 1, 1) } : { extensions: 1 }
    for (const more of [odd, { payload: new Uint8Array(12), fragment: { identification: 7, offset: 0, more: true, length: 24 } }]) {
      const description = packet(family, 'a', 'b', syn, more)
      isProhibited(t, refused(t, 'from_endpoint', 'a', description), family, buildIpPacket(description))
    }
  })

  kernelTest(`IPv${family}: nothing is answered that must not be`, (t) => {
    const silent: readonly (readonly [Transport, Partial<PacketDescription>?])[] = [
      [tcp(4000, 80, 'RST')],
      [tcp(4000, 80, 'RST', 'ACK')],
      [syn, { destinationMac: 'ff:ff:ff:ff:ff:ff' }],
      ...(family === 4 ? [3, 4, 5, 11, 12] : [1, 2, 3, 4, 100, 137]).map((type) => [{ kind: 'icmp', type }] as const),
    ]
    for (const [transport, more] of silent) runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'b', transport, more), expect: 'policy-denied', events: ['drop'] })
    const sources = family === 4 ? ['0.0.0.1', '127.0.0.1', '224.0.0.1', '255.255.255.255'] : ['::', '::1', 'ff02::1']
    for (const source of sources) runStep(t, node, { hook: 'from_world', at: 'uplink', packet: packet(family, 'world', 'b', syn, { source }), expect: 'policy-denied' })
  })

  kernelTest(`IPv${family}: an endpoint that answers nobody is silent, whoever else does`, (t) => {
    setEndpoint(node.map, 'a', node.ifindexes.a)
    runStep(t, node, { ...request(family), expect: 'policy-denied' })
    setPolicy(node.map, OPEN)
    setPolicy(node.map, [deny('b', 'ingress')], { a: 11, b: 12 }, 100)
    setEndpoint(node.map, 'b', node.ifindexes.b)
    setEndpoint(node.map, 'a', node.ifindexes.a, { reject: true })
    runStep(t, node, { ...request(family), expect: 'policy-denied' })
  })

  for (const [name, transport] of [['TCP', syn], ['UDP', udp(5, 53)]] as const)
    kernelTest(`IPv${family}: a receiver's refusal of ${name} goes back the way that the packet came`, (t) => {
      setPolicy(node.map, [allow('a', 'egress')], { a: 11, b: 12 }, 100)
      const local = refused(t, 'from_endpoint', 'a', packet(family, 'a', 'b', transport))
      t.is(node.send('to_endpoint', 'a', local.data, { mark: local.mark }).verdict, 'pass')
      const world = refused(t, 'from_world', 'uplink', packet(family, 'world', 'b', transport, { destinationMac: UPLINK.mac }))
      t.is(node.send('to_world', 'uplink', world.data, { mark: world.mark }).verdict, 'pass')
      const stack = refused(t, 'to_endpoint', 'b', packet(family, 'world', 'b', transport))
      const taken = node.send('from_endpoint', 'b', stack.data, { mark: stack.mark })
      t.is(taken.verdict, 'pass')
      t.is(node.send('to_world', 'uplink', taken.data, { mark: taken.mark }).verdict, 'pass')
      t.is(node.send('from_endpoint', 'b', stack.data, { mark: taken.mark }).reason, 'spoofed-mac', 'the mark serves once')
    })

  for (const [name, transport] of [['TCP', syn], ['UDP', udp(5, 53)]] as const)
    kernelTest(`IPv${family}: the node answers for its own policies about ${name}, itself included`, (t) => {
      setPolicy(node.map, [deny('host', 'egress'), deny('host', 'ingress'), ...OPEN])
      setHost(node.map, { reject: true })
      const hostMacs = { sourceMac: UPLINK.mac, destinationMac: GATEWAY.mac }
      const ways = [
        ['from_world', 'uplink', packet(family, 'world', 'host', transport, { destinationMac: UPLINK.mac }), 'to_world'],
        ['to_world', 'uplink', packet(family, 'host', 'world', transport, hostMacs), 'from_world'],
        ['from_endpoint', 'a', packet(family, 'a', 'host', transport), 'to_endpoint'],
        ['to_endpoint', 'a', packet(family, 'host', 'a', transport), 'from_endpoint'],
      ] as const
      for (const [hook, at, description, next] of ways) {
        const answered = refused(t, hook, at, description)
        const taken = node.send(next, at, answered.data, { mark: answered.mark })
        t.is(taken.verdict, 'pass', hook)
        t.not(taken.mark, answered.mark, `${hook}: the mark serves once`)
      }
      setHost(node.map)
      for (const [hook, at, description] of ways) runStep(t, node, { hook, at, packet: description, expect: 'policy-denied' })
    })

  kernelTest(`IPv${family}: a flow that policy cuts is answered at either end`, (t) => {
    setPolicy(node.map, OPEN)
    runStep(t, node, { ...request(family), expect: 'redirect', events: ['flow'] })
    setPolicy(node.map, [deny('a', 'egress'), allow('a', 'ingress')], { a: 21, b: 12 }, 100)
    setEndpoint(node.map, 'a', node.ifindexes.a, { subject: 21, reject: true })
    const back = runStep(t, node, { hook: 'from_endpoint', at: 'b', packet: packet(family, 'b', 'a', answer), expect: 'redirect', events: ['revoked'] })
    t.like(parsePacket(back.data), { source: addressOf('a', family), destination: addressOf('b', family), sourcePort: 4000, destinationPort: 80, tcp: { sequence: 1, flags: ['RST'] } })
    const there = runStep(t, node, { ...request(family, ack), expect: 'redirect', events: ['drop'] })
    t.like(parsePacket(there.data), { source: addressOf('b', family), destination: addressOf('a', family), tcp: { sequence: 1, flags: ['RST'] } })
  })

  kernelTest(`IPv${family}: who spoke to a service hears from the service`, (t) => {
    const vip = { 4: '10.96.0.1', 6: 'fd96::1' }[family]
    node.map('frontends').update(frontendKeyRecord.encode({ address: mapped(vip), port: 80, protocol: TCP }), serviceRecord.encode({ ...steadyService, id: 5, slotBase: 10, slotCount: 1, forwarding: Forwarding.NAT }))
    node.map('slots').update(key32(10), slotRecord.encode({ backend: 3, previous: 0 }))
    node.map('backends').update(key32(3), backendRecord.encode({ ...activeBackend, address: mapped(addressOf('b', family)), port: 8080, protocol: TCP }))
    setPolicy(node.map, [allow('a', 'egress')], { a: 11, b: 12 }, 100)
    isReset(t, refused(t, 'from_endpoint', 'a', packet(family, 'a', 'b', syn, { destination: vip })), family, { flags: ['RST', 'ACK'] })
  })
}

kernelTest('errors have a bounded rate, resets have none', (t) => {
  const rejections = node.map('rejections')
  const saved = rejections.lookupPerCpu(key32(0)) ?? []
  t.true(saved.length > 0)
  rejections.update(key32(0), Buffer.concat(saved.map((value) => new Uint8Array(value.byteLength).fill(0xff, 0, 7))))
  runSteps(t, node, [
    { ...request(4, udp(5, 53)), expect: 'policy-denied' },
    { ...request(4), expect: 'redirect' },
  ])
  rejections.update(key32(0), Buffer.concat(saved))
  runStep(t, node, { ...request(4, udp(5, 53)), expect: 'redirect' })
})
