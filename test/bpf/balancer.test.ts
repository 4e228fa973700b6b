// The edge load balancer and the backend's decapsulation: what goes into the tunnel comes out of it.

import test from 'ava'

import { activeBackend, backendRecord, Forwarding, frontendKeyRecord, prefixKeyRecord, serviceRecord, slotRecord, steadyService } from '../../bpf/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { buildIpPacket, buildPacket, parsePacket } from '../packet.ts'
import type { PacketDescription, Transport } from '../packet.ts'
import { concat, EtherType, IpProtocol, number16 } from '../wire.ts'
import { BEHIND_WORKLOAD, GATEWAY, TestNode, UPLINK } from './node.ts'
import type { Seen } from './node.ts'
import { tcp, udp } from './table.ts'
import { FAMILIES, key32, mapped, removeEndpoint, setEndpoint, TCP, UDP } from './world.ts'
import type { Family } from './world.ts'

const VIPS = { 4: '203.0.113.80', 6: '2001:db8:80::1' } as const
const CLIENTS = { 4: '192.0.2.7', 6: '2001:db8::7' } as const
const BACKENDS = { 4: ['10.20.0.1', '10.20.0.2', '10.20.0.3'], 6: ['fd20::1', 'fd20::2', 'fd20::3'] } as const
const OVERHEAD = { 4: 20, 6: 40 } as const
const OUTER_SOURCES = { 4: '10.9.0.2', 6: 'fd09::2' } as const
const SLOTS = { base: 100, count: 251 } as const

let node: TestNode
test.before(() => {
  const source4 = new DataView(mapped(OUTER_SOURCES[4]).buffer).getUint32(12, true)
  node = new TestNode({ hooks: ['xdp_lb', 'decap'], constants: { encapsulation_source4: source4, encapsulation_source6: mapped(OUTER_SOURCES[6]) } })
})
test.before(() => {
  for (const family of FAMILIES) {
    trust(mapped(OUTER_SOURCES[family]), 128)
    for (const backend of BACKENDS[family]) node.map('decap_addresses').update(mapped(backend), key32(1))
  }
})
test.after.always(() => node?.[Symbol.dispose]())

const trust = (address: Uint8Array, prefixLength: number): void => node.map('decap_sources').update(prefixKeyRecord.encode({ prefixLength, address }), key32(1))
const distrust = (address: Uint8Array, prefixLength: number): boolean => node.map('decap_sources').delete(prefixKeyRecord.encode({ prefixLength, address }))

const outerFamilies = (family: Family): readonly [Family, Family][] => [[family, 4], [family, 6]]
const mixtures = FAMILIES.flatMap(outerFamilies)

/** Three backends of family `outer` take turns in the slots of a VIP of family `inner`. */
function setBalancer(inner: Family, outer: Family, { slotCount = SLOTS.count, forwarding = Forwarding.IPIP }: { slotCount?: number; forwarding?: number } = {}): void {
  for (const protocol of [TCP, UDP])
    node.map('frontends').update(
      frontendKeyRecord.encode({ address: mapped(VIPS[inner]), port: 80, protocol }),
      serviceRecord.encode({ ...steadyService, id: 1, slotBase: SLOTS.base, slotCount, forwarding }),
    )
  const backend = (index: number): number => 10 * outer + index
  BACKENDS[outer].forEach((address, index) => node.map('backends').update(key32(backend(index)), backendRecord.encode({ ...activeBackend, address: mapped(address), port: 80, protocol: 0 })))
  for (let i = 0; i < SLOTS.count; i++) node.map('slots').update(key32(SLOTS.base + i), slotRecord.encode({ backend: backend(i % 3), previous: 0 }))
}

function fromClient(family: Family, transport: Transport = tcp(4000, 80, 'SYN'), more: Partial<PacketDescription> = {}): PacketDescription {
  return { source: CLIENTS[family], destination: VIPS[family], transport, destinationMac: UPLINK.mac, sourceMac: GATEWAY.mac, ...more }
}

const send = (description: PacketDescription): Seen => node.send('xdp_lb', 'uplink', buildPacket(description))
const backendOf = (seen: Seen): string => parsePacket(seen.data).destination

for (const [inner, outer] of mixtures) {
  kernelTest(`IPv${inner} in IPv${outer}: the whole packet reaches a backend, and its decapsulation gives it back`, (t) => {
    setBalancer(inner, outer)
    const description = fromClient(inner, tcp(4000, 80, 'SYN'), { payload: Uint8Array.of(1, 2, 3), trafficClass: 0xb9 })
    const seen = send(description)
    t.is(seen.verdict, 'redirect', seen.reason)
    const outside = parsePacket(seen.data)
    t.deepEqual([outside.sourceMac, outside.destinationMac], [UPLINK.mac, GATEWAY.mac])
    t.is(outside.source, OUTER_SOURCES[outer])
    t.true((BACKENDS[outer] as readonly string[]).includes(outside.destination))
    t.deepEqual([outside.protocol, outside.hops, outside.trafficClass, outside.wrongChecksums], [inner === 4 ? IpProtocol.IPV4 : IpProtocol.IPV6, 64, 0xb9, []])
    t.deepEqual([...outside.payload], [...buildIpPacket(description)])

    node.map('decap_vips').update(mapped(VIPS[inner]), key32(1))
    const stripped = node.send('decap', 'uplink', seen.data)
    t.is(stripped.verdict, 'pass')
    const expected = buildPacket({ ...description, sourceMac: UPLINK.mac, destinationMac: GATEWAY.mac })
    t.deepEqual([...stripped.data], [...expected])

    node.map('decap_vips').delete(mapped(VIPS[inner]))
    t.deepEqual([...node.send('decap', 'uplink', seen.data).data], [...seen.data])
  })

  kernelTest(`IPv${inner} in IPv${outer}: a congestion mark on the outer header reaches the inner one, or drops it`, (t) => {
    node.map('decap_vips').update(mapped(VIPS[inner]), key32(1))
    const marked = (innerClass: number, outerClass: number): Seen => {
      const payload = buildIpPacket(fromClient(inner, tcp(4000, 80), { trafficClass: innerClass }))
      const transport = { kind: 'raw', protocol: inner === 4 ? IpProtocol.IPV4 : IpProtocol.IPV6 } as const
      return node.send('decap', 'uplink', buildPacket({ source: OUTER_SOURCES[outer], destination: BACKENDS[outer][0], transport, payload, trafficClass: outerClass }))
    }
    for (const [innerClass, outerClass, result] of [[0xb9, 0xb9, 0xb9], [0xb9, 0x03, 0xbb], [0x02, 0x03, 0x03], [0x03, 0x03, 0x03], [0xb8, 0x01, 0xb8]] as const) {
      const seen = parsePacket(marked(innerClass, outerClass).data)
      t.is(seen.trafficClass, result)
      t.deepEqual(seen.wrongChecksums, [])
    }
    t.is(marked(0xb8, 0x03).reason, 'rewrite-failed')
  })

  kernelTest(`IPv${inner} in IPv${outer}: decapsulation trusts the balancers it was told of, and takes what is sent to it`, (t) => {
    node.map('decap_vips').update(mapped(VIPS[inner]), key32(1))
    const transport = { kind: 'raw', protocol: inner === 4 ? IpProtocol.IPV4 : IpProtocol.IPV6 } as const
    const payload = buildIpPacket(fromClient(inner))
    const isTaken = (source: string, destination: string): boolean => {
      const frame = buildPacket({ source, destination, transport, payload })
      return node.send('decap', 'uplink', frame).data.byteLength < frame.byteLength
    }
    const [balancer, backend] = [OUTER_SOURCES[outer], BACKENDS[outer][0]]
    t.true(isTaken(balancer, backend))
    t.false(isTaken(CLIENTS[outer], backend), 'of a stranger')
    t.false(isTaken(balancer, VIPS[outer]), 'to an address that is not the backend’s')
    distrust(mapped(balancer), 128)
    t.false(isTaken(balancer, backend), 'nobody is trusted')
    trust(mapped('::'), 0)
    t.true(isTaken(CLIENTS[outer], backend), 'everybody is trusted')
    distrust(mapped('::'), 0)
    trust(mapped(balancer), 128)
  })

  kernelTest(`IPv${inner} in IPv${outer}: what does not fit is answered with the size that does`, (t) => {
    setBalancer(inner, outer)
    const header = inner === 4 ? 40 : 60
    const fits = 1500 - OVERHEAD[outer] - header
    t.is(send(fromClient(inner, tcp(1, 80), { payload: new Uint8Array(fits), dontFragment: true })).verdict, 'redirect')
    const big = fromClient(inner, tcp(1, 80), { payload: new Uint8Array(fits + 1), dontFragment: true })
    const seen = send(big)
    t.is(seen.verdict, 'transmit')
    t.is(seen.reason, 'too-big')
    const answer = parsePacket(seen.data)
    t.deepEqual([answer.sourceMac, answer.destinationMac, answer.source, answer.destination], [UPLINK.mac, GATEWAY.mac, VIPS[inner], CLIENTS[inner]])
    t.deepEqual(answer.wrongChecksums, [])
    t.deepEqual([answer.icmp?.type, answer.icmp?.code, answer.icmp?.mtu], [inner === 4 ? 3 : 2, inner === 4 ? 4 : 0, 1500 - OVERHEAD[outer]])
    const sent = buildIpPacket(big)
    t.deepEqual([...answer.payload], [...sent.subarray(0, answer.payload.byteLength)])
    t.true(answer.payload.byteLength >= 500)
  })
}

for (const family of FAMILIES) {
  kernelTest(`IPv${family}: flows spread evenly over slots and stay where they are`, (t) => {
    setBalancer(family, family)
    const counts = new Map<string, number>()
    const flows = 3000
    for (let i = 0; i < flows; i++) {
      const backend = backendOf(send(fromClient(family, tcp(1024 + i * 7, 80, 'SYN'))))
      counts.set(backend, (counts.get(backend) ?? 0) + 1)
      if (i % 100 === 0) t.is(backendOf(send(fromClient(family, tcp(1024 + i * 7, 80, 'ACK')))), backend)
    }
    // 6 standard deviations of a binomial distribution around a third: one failure in 10^8 hashes as good as random.
    const deviation = Math.sqrt((flows * 2) / 9)
    t.is(counts.size, 3)
    for (const [backend, count] of counts) t.true(Math.abs(count - flows / 3) < 6 * deviation, `${backend}: ${count}`)
  })

  kernelTest(`IPv${family}: an ICMP error and later fragments follow their flow`, (t) => {
    setBalancer(family, family)
    const payload = new Uint8Array(64)
    for (let port = 5000; port < 5012; port++) {
      const backend = backendOf(send(fromClient(family, udp(port, 80))))
      const reply = buildIpPacket({ source: VIPS[family], destination: CLIENTS[family], transport: udp(80, port), payload })
      const error = fromClient(family, { kind: 'icmp', type: family === 4 ? 3 : 1, code: 3 }, { payload: reply })
      t.is(backendOf(send(error)), backend)
      const part = (offset: number, more: boolean) => fromClient(family, udp(port, 80), { payload, fragment: { identification: port, offset, more, ...(more ? { length: 32 } : {}) } })
      t.is(backendOf(send(part(0, true))), backend)
      t.is(backendOf(send(part(32, false))), backend)
    }
  })

  kernelTest(`IPv${family}: what is no frontend’s passes untouched`, (t) => {
    setBalancer(family, family)
    const strangers = [fromClient(family, tcp(4000, 81, 'SYN')), fromClient(family, { kind: 'sctp', sourcePort: 1, destinationPort: 80 }), { ...fromClient(family), destination: BACKENDS[family][0] }]
    for (const description of strangers) {
      const seen = send(description)
      t.is(seen.verdict, 'pass')
      t.deepEqual([...seen.data], [...buildPacket(description)])
    }
    setBalancer(family, family, { forwarding: Forwarding.NAT })
    t.is(send(fromClient(family)).verdict, 'pass')
  })

  kernelTest(`IPv${family}: no backend, no way to it, and a length that lies are drops with their reasons`, (t) => {
    setBalancer(family, family, { slotCount: 0 })
    t.is(send(fromClient(family)).reason, 'no-backend')
    setBalancer(family, family)
    for (let index = 0; index < 3; index++)
      node.map('backends').update(key32(50 + index), backendRecord.encode({ ...activeBackend, address: mapped(family === 4 ? '198.51.100.1' : '2001:db8:dead::1'), port: 80, protocol: 0 }))
    for (let i = 0; i < SLOTS.count; i++) node.map('slots').update(key32(SLOTS.base + i), slotRecord.encode({ backend: 50 + (i % 3), previous: 0 }))
    t.is(send(fromClient(family)).reason, 'no-route')
    setBalancer(family, family)
    const frame = buildPacket(fromClient(family))
    frame.set(number16(1000), 14 + (family === 4 ? 2 : 4))
    t.is(node.send('xdp_lb', 'uplink', frame).reason, 'malformed')
  })
}

for (const family of FAMILIES)
  kernelTest(`IPv${family}: no packet goes past the ingress policy of this node’s own workload`, (t) => {
    setBalancer(family, family)
    const toBackend = (number: number): Seen => {
      node.map('backends').update(key32(number), backendRecord.encode({ ...activeBackend, address: mapped(BEHIND_WORKLOAD[family]), port: 80, protocol: 0 }))
      for (let i = 0; i < SLOTS.count; i++) node.map('slots').update(key32(SLOTS.base + i), slotRecord.encode({ backend: number, previous: 0 }))
      return send(fromClient(family))
    }
    t.is(toBackend(60 + family).verdict, 'redirect', 'an interface that is no workload’s')
    setEndpoint(node.map, 'a', node.ifindexes.a)
    t.is(toBackend(70 + family).reason, 'no-route')
    removeEndpoint(node.map, node.ifindexes.a)
  })

kernelTest('IPv4: what may be fragmented is dropped without an answer when it is too big', (t) => {
  setBalancer(4, 4)
  const seen = send(fromClient(4, tcp(1, 80), { payload: new Uint8Array(1460) }))
  t.deepEqual([seen.verdict, seen.reason], ['drop', 'too-big'])
})

kernelTest('Ethernet padding does not become part of the encapsulated packet', (t) => {
  setBalancer(4, 4)
  const frame = buildPacket(fromClient(4, udp(4000, 80)))
  const { data } = node.send('xdp_lb', 'uplink', concat(frame, new Uint8Array(60 - frame.byteLength)))
  t.is(parsePacket(data).payload.byteLength, 28)
})

kernelTest('frames that are no IP pass both programs', (t) => {
  const frame = concat(new Uint8Array(12), number16(EtherType.ARP), new Uint8Array(46))
  t.is(node.send('xdp_lb', 'uplink', frame).verdict, 'pass')
  t.is(node.send('decap', 'uplink', frame).verdict, 'pass')
})
