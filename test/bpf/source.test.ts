// What a workload may send at all: its own addresses, and questions about neighbours, which are answered here.

import test from 'ava'

import { kernelTest } from '../helpers/index.ts'
import { buildPacket, formatMac, macBytes } from '../packet.ts'
import { checksum, concat, EtherType, IpProtocol, number16, number32, pseudoHeader } from '../wire.ts'
import { TestNode } from './node.ts'
import { packet, runSteps, syn, udp } from './table.ts'
import { addressOf, FAMILIES, MACS, mapped, OPEN, setPolicy } from './world.ts'

let node: TestNode
test.before(() => {
  node = new TestNode({ hooks: ['from_endpoint'] })
})
test.after.always(() => node?.[Symbol.dispose]())
test.beforeEach(() => {
  node?.reset()
  if (node !== undefined) setPolicy(node.map, OPEN)
})

for (const family of FAMILIES) {
  kernelTest(`IPv${family}: only the workload’s own MAC and IP addresses may be its packets’ source`, (t) => {
    const other = family === 4 ? '0.0.0.0' : '::'
    const from = { hook: 'from_endpoint', at: 'a' } as const
    runSteps(t, node, [
      { ...from, packet: packet(family, 'a', 'b', syn), expect: 'redirect' },
      { ...from, packet: packet(family, 'a', 'b', syn, { sourceMac: MACS.b }), expect: 'spoofed-mac' },
      { ...from, packet: packet(family, 'a', 'b', syn, { source: addressOf('b', family) }), expect: 'spoofed-address' },
      { ...from, packet: packet(family, 'a', 'b', syn, { source: addressOf('world', family) }), expect: 'spoofed-address' },
      { ...from, packet: packet(family, 'a', 'b', syn, { source: other }), expect: 'spoofed-address' },
    ])
  })

  kernelTest(`IPv${family}: multicast is dropped, and so is an interface that is no workload’s`, (t) => {
    const group = family === 4 ? '224.0.0.251' : 'ff02::fb'
    runSteps(t, node, [
      { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'b', udp(5353, 5353), { destination: group }), expect: 'multicast' },
      { hook: 'from_endpoint', at: 'uplink', packet: packet(family, 'a', 'b', syn), expect: 'unknown-interface' },
    ])
  })
}

kernelTest('IPv6: link-local addresses are for neighbour discovery alone; mapped ones for nothing', (t) => {
  const from = { hook: 'from_endpoint', at: 'a' } as const
  runSteps(t, node, [
    { ...from, packet: packet(6, 'a', 'b', syn, { source: 'fe80::1' }), expect: 'spoofed-address' },
    { ...from, packet: packet(6, 'a', 'b', syn, { destination: 'fe80::1' }), expect: 'unknown-destination' },
    { ...from, packet: packet(6, 'a', 'b', { kind: 'icmp', type: 143 }, { source: 'fe80::1', destination: 'ff02::16' }), expect: 'multicast' },
  ])
  const frame = buildPacket(packet(6, 'a', 'b', syn))
  frame.set(mapped('10.1.0.2'), 14 + 24)
  t.is(node.send('from_endpoint', 'a', frame).reason, 'mapped-address')
})

kernelTest('what is cut short or no IP is dropped', (t) => {
  const frame = buildPacket(packet(4, 'a', 'b', syn))
  const drop = (bytes: Uint8Array): string | undefined => node.send('from_endpoint', 'a', bytes).reason
  t.is(drop(frame.subarray(0, 14 + 20 + 12)), 'malformed')
  t.is(drop(frame.with(14, 0x44)), 'malformed')
  t.is(drop(frame.with(14, 0x55)), 'malformed')
  t.is(drop(frame.with(12, 0x88).with(13, 0xcc)), 'unsupported-protocol')
})

interface Arp {
  readonly operation?: number
  readonly senderMac?: string
  readonly sender?: string
  readonly target?: string
}

function arp({ operation = 1, senderMac = MACS.a, sender = addressOf('a', 4), target = addressOf('world', 4) }: Arp = {}): Uint8Array {
  const ipv4 = (text: string): Uint8Array => mapped(text).subarray(12)
  const header = concat(number16(1), number16(EtherType.IPV4), Uint8Array.of(6, 4), number16(operation))
  return concat(macBytes('ff:ff:ff:ff:ff:ff'), macBytes(MACS.a), number16(EtherType.ARP), header, macBytes(senderMac), ipv4(sender), new Uint8Array(6), ipv4(target))
}

kernelTest('ARP: every question is answered with the node’s MAC address', (t) => {
  for (const target of [addressOf('world', 4), addressOf('b', 4), addressOf('host', 4), '10.1.0.77']) {
    const { verdict, data } = node.send('from_endpoint', 'a', arp({ target }))
    t.is(verdict, 'redirect')
    t.is(formatMac(data.subarray(0, 6)), MACS.a)
    t.is(formatMac(data.subarray(6, 12)), MACS.nodeA)
    const [, operation, mac, address, targetMac, targetAddress] = [0, data[21], formatMac(data.subarray(22, 28)), data.subarray(28, 32), formatMac(data.subarray(32, 38)), data.subarray(38, 42)]
    t.deepEqual([operation, mac, address.join('.'), targetMac, targetAddress.join('.')], [2, MACS.nodeA, target, MACS.a, addressOf('a', 4)])
  }
})

kernelTest('ARP: questions about the own address, probes and lies are not answered; replies reach the stack', (t) => {
  const result = (each: Arp): string => {
    const { verdict, reason } = node.send('from_endpoint', 'a', arp(each))
    return reason ?? verdict
  }
  t.is(result({ target: addressOf('a', 4) }), 'multicast')
  t.is(result({ sender: '0.0.0.0' }), 'multicast')
  t.is(result({ sender: addressOf('b', 4) }), 'spoofed-address')
  t.is(result({ senderMac: MACS.b }), 'spoofed-mac')
  t.is(result({ operation: 2 }), 'pass')
  t.is(result({ operation: 2, sender: addressOf('b', 4) }), 'spoofed-address')
})

interface Neighbour {
  readonly type?: number
  readonly source?: string
  readonly target?: string
  readonly hops?: number
  readonly destination?: string
}

function neighbour({ type = 135, source = addressOf('a', 6), target = addressOf('world', 6), hops = 255, destination = 'ff02::1:ff00:7' }: Neighbour = {}): Uint8Array {
  const group = mapped(destination)
  const message = concat(Uint8Array.of(type, 0, 0, 0), number32(0), mapped(target), Uint8Array.of(1, 1), macBytes(MACS.a))
  message.set(number16(checksum(concat(pseudoHeader(mapped(source), group, message.byteLength, IpProtocol.ICMPV6), message))), 2)
  const ip = concat(number32(0x6000_0000), number16(message.byteLength), Uint8Array.of(IpProtocol.ICMPV6, hops), mapped(source), group)
  return concat(macBytes('33:33:ff:00:00:07'), macBytes(MACS.a), number16(EtherType.IPV6), ip, message)
}

kernelTest('neighbour discovery: every question is answered with the node’s MAC address, also from a link-local source', (t) => {
  for (const source of [addressOf('a', 6), 'fe80::a'])
    for (const target of [addressOf('world', 6), addressOf('b', 6), 'fe80::1']) {
      const { verdict, data } = node.send('from_endpoint', 'a', neighbour({ source, target }))
      t.is(verdict, 'redirect')
      t.deepEqual([formatMac(data.subarray(0, 6)), formatMac(data.subarray(6, 12))], [MACS.a, MACS.nodeA])
      const [ip, message] = [data.subarray(14, 54), data.subarray(54)]
      t.deepEqual([[...ip.subarray(8, 24)], [...ip.subarray(24, 40)], ip[7]], [[...mapped(target)], [...mapped(source)], 255])
      t.deepEqual([message[0], message[4], [...message.subarray(8, 24)], message[24], formatMac(message.subarray(26, 32))], [136, 0x60, [...mapped(target)], 2, MACS.nodeA])
      t.is(checksum(concat(pseudoHeader(ip.subarray(8, 24), ip.subarray(24, 40), message.byteLength, IpProtocol.ICMPV6), message)), 0)
    }
})

kernelTest('neighbour discovery: duplicate address detection, the own address and lies are not answered', (t) => {
  const result = (each: Neighbour): string => {
    const { verdict, reason } = node.send('from_endpoint', 'a', neighbour(each))
    return reason ?? verdict
  }
  t.is(result({ source: '::' }), 'multicast')
  t.is(result({ target: addressOf('a', 6) }), 'multicast')
  t.is(result({ source: addressOf('b', 6) }), 'spoofed-address')
  t.is(result({ hops: 254 }), 'malformed')
  t.is(result({ type: 136, target: addressOf('a', 6) }), 'pass')
  t.is(result({ type: 136, target: addressOf('b', 6) }), 'spoofed-address')
})

kernelTest('neighbour discovery: an advertisement carries nothing past policy', (t) => {
  const sent = (destination: string): string => {
    const { verdict, reason } = node.send('from_endpoint', 'a', neighbour({ type: 136, target: addressOf('a', 6), destination }))
    return reason ?? verdict
  }
  t.is(sent(addressOf('host', 6)), 'pass', 'the node asked for it')
  t.is(sent('fe80::1'), 'pass')
  t.is(sent(addressOf('b', 6)), 'spoofed-address')
  t.is(sent(addressOf('world', 6)), 'spoofed-address')
  const received = (hops: number): string => {
    const { verdict, reason } = node.send('to_endpoint', 'b', neighbour({ type: 136, target: addressOf('a', 6), destination: addressOf('b', 6), hops }))
    return reason ?? verdict
  }
  t.is(received(255), 'pass')
  t.is(received(254), 'malformed', 'it crossed a router')
})
