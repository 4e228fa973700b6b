// Every way from the balancer to a backend: what goes into a tunnel comes out of it, in XDP and in tc.

import test from 'ava'

import { Forwarding } from '../../bpf/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { buildIpPacket, buildPacket, parsePacket } from '../packet.ts'
import type { PacketDescription } from '../packet.ts'
import { concat, EtherType, IpProtocol, number16 } from '../wire.ts'
import {
  BACKENDS, CLIENTS, distrust, edgeNode, fromClient, inTunnel, IP_HEADER, MIXTURES, OUTER_SOURCES, overheadOf, setBalancer, trust, TUNNELS, VIPS,
} from './edge.ts'
import type { Tunnel } from './edge.ts'
import { GATEWAY, UPLINK } from './node.ts'
import type { Seen, TestNode } from './node.ts'
import { tcp, udp } from './table.ts'
import { FAMILIES, key32, mapped } from './world.ts'
import type { Family } from './world.ts'

let node: TestNode
test.before(() => {
  node = edgeNode()
})
test.after.always(() => node?.[Symbol.dispose]())

const DECAPSULATORS = ['decap', 'decap_tc'] as const
type Decapsulator = (typeof DECAPSULATORS)[number]

const send = (description: PacketDescription): Seen => node.send('xdp_lb', 'uplink', buildPacket(description))
const accept = (family: Family): void => node.map('decap_vips').update(mapped(VIPS[family]), key32(1))
const refuse = (family: Family): boolean => node.map('decap_vips').delete(mapped(VIPS[family]))
const receive = (hook: Decapsulator, description: PacketDescription): Seen => node.send(hook, 'uplink', buildPacket(description))
const isTaken = (hook: Decapsulator, description: PacketDescription): boolean => receive(hook, description).data.byteLength < buildPacket(description).byteLength

for (const tunnel of TUNNELS)
  for (const mixture of MIXTURES) {
    const { inner, outer } = mixture
    const title = `${tunnel.name}, IPv${inner} in IPv${outer}`

    kernelTest(`${title}: the whole packet reaches a backend, and its decapsulation gives it back`, (t) => {
      setBalancer(node, mixture, tunnel)
      const description = fromClient(inner, tcp(4000, 80, 'SYN'), { payload: Uint8Array.of(1, 2, 3), trafficClass: 0xb9, hops: 7 })
      const seen = send(description)
      t.is(seen.verdict, 'redirect', seen.reason)
      const outside = parsePacket(seen.data)
      t.deepEqual([outside.sourceMac, outside.destinationMac], [UPLINK.mac, GATEWAY.mac])
      t.is(outside.source, OUTER_SOURCES[outer])
      t.true((BACKENDS[outer] as readonly string[]).includes(outside.destination))
      t.deepEqual([outside.hops, outside.trafficClass, outside.wrongChecksums], [64, 0xb9, []])
      t.is(outside.destinationPort, tunnel.port)
      t.deepEqual([...outside.payload], [...tunnel.header(inner), ...buildIpPacket(description)])
      if (outer === 4) t.is((seen.data[20] ?? 0) & 0x40, 0x40, 'may not be fragmented')

      const expected = buildPacket({ ...description, sourceMac: UPLINK.mac, destinationMac: GATEWAY.mac })
      for (const hook of DECAPSULATORS) {
        accept(inner)
        const stripped = node.send(hook, 'uplink', seen.data)
        t.is(stripped.verdict, 'pass')
        t.deepEqual([...stripped.data], [...expected], hook)
        refuse(inner)
        t.deepEqual([...node.send(hook, 'uplink', seen.data).data], [...seen.data], `${hook}: no VIP of this backend`)
      }
    })

    kernelTest(`${title}: a congestion mark on the outer header reaches the inner one, or drops it`, (t) => {
      accept(inner)
      for (const hook of DECAPSULATORS) {
        const marked = (innerClass: number, outerClass: number): Seen =>
          receive(hook, inTunnel(tunnel, mixture, fromClient(inner, tcp(4000, 80), { trafficClass: innerClass }), { trafficClass: outerClass }))
        for (const [innerClass, outerClass, result] of [[0xb9, 0xb9, 0xb9], [0xb9, 0x03, 0xbb], [0x02, 0x03, 0x03], [0x03, 0x03, 0x03], [0xb8, 0x01, 0xb8]] as const) {
          const seen = parsePacket(marked(innerClass, outerClass).data)
          t.is(seen.trafficClass, result)
          t.deepEqual(seen.wrongChecksums, [])
        }
        t.deepEqual([marked(0xb8, 0x03).verdict, marked(0xb8, 0x03).reason], ['drop', 'rewrite-failed'])
      }
    })

    kernelTest(`${title}: decapsulation trusts the balancers it was told of, and takes what is sent to it`, (t) => {
      accept(inner)
      const [source, destination] = [OUTER_SOURCES[outer], BACKENDS[outer][0]]
      for (const hook of DECAPSULATORS) {
        const takes = (more: Partial<PacketDescription>): boolean => isTaken(hook, inTunnel(tunnel, mixture, fromClient(inner), more))
        t.true(takes({}))
        t.false(takes({ source: CLIENTS[outer] }), 'of a stranger')
        t.false(takes({ destination: VIPS[outer] }), 'to an address that is not the backend’s')
        t.false(takes({ fragment: { identification: 1, offset: 0, more: true } }), 'a fragment')
        distrust(node, mapped(source), 128)
        t.false(takes({}), 'nobody is trusted')
        trust(node, mapped('::'), 0)
        t.true(takes({ source: CLIENTS[outer], destination }), 'everybody is trusted')
        distrust(node, mapped('::'), 0)
        trust(node, mapped(source), 128)
      }
    })

    kernelTest(`${title}: what is cut off anywhere in its headers passes as it is`, (t) => {
      accept(inner)
      const content = fromClient(inner)
      const frame = buildPacket(inTunnel(tunnel, mixture, content))
      const headers = 14 + overheadOf(tunnel, mixture) + IP_HEADER[inner]
      // The kernel gives a tc program no less than a whole IP header.
      for (const [hook, least] of [['decap', 14], ['decap_tc', 14 + IP_HEADER[outer]]] as const)
        for (let length = least; length < headers; length++) t.is(node.send(hook, 'uplink', frame.subarray(0, length)).data.byteLength, length, `${hook}: ${length} bytes`)
    })

    kernelTest(`${title}: what does not fit is answered with the size that does`, (t) => {
      setBalancer(node, mixture, tunnel)
      const mtu = 1500 - overheadOf(tunnel, mixture)
      const fits = mtu - IP_HEADER[inner] - 20
      t.is(send(fromClient(inner, tcp(1, 80), { payload: new Uint8Array(fits), dontFragment: true })).verdict, 'redirect')
      const big = fromClient(inner, tcp(1, 80), { payload: new Uint8Array(fits + 1), dontFragment: true })
      checkTooBig(t, send(big), big, mtu)
    })
  }

function checkTooBig(t: Parameters<Parameters<typeof kernelTest>[1]>[0], seen: Seen, big: PacketDescription, mtu: number): void {
  const family = big.source.includes(':') ? 6 : 4
  t.deepEqual([seen.verdict, seen.reason], ['transmit', 'too-big'])
  const answer = parsePacket(seen.data)
  t.deepEqual([answer.sourceMac, answer.destinationMac, answer.source, answer.destination], [UPLINK.mac, GATEWAY.mac, VIPS[family], CLIENTS[family]])
  t.deepEqual(answer.wrongChecksums, [])
  t.deepEqual([answer.icmp?.type, answer.icmp?.code, answer.icmp?.mtu], [family === 4 ? 3 : 2, family === 4 ? 4 : 0, mtu])
  const sent = buildIpPacket(big)
  t.deepEqual([...answer.payload], [...sent.subarray(0, answer.payload.byteLength)])
  t.true(answer.payload.byteLength >= 500)
}

for (const tunnel of TUNNELS.filter(({ port }) => port !== undefined))
  kernelTest(`${tunnel.name}: a flow keeps its outer source port, and flows have different ones`, (t) => {
    for (const mixture of MIXTURES) {
      setBalancer(node, mixture, tunnel)
      const portOf = (sourcePort: number): number | undefined => parsePacket(send(fromClient(mixture.inner, udp(sourcePort, 80))).data).sourcePort
      const ports = Array.from({ length: 200 }, (_, index) => portOf(1024 + index))
      t.deepEqual(ports.slice(0, 3), [portOf(1024), portOf(1025), portOf(1026)])
      t.true(ports.every((port = 0) => port >= 49_152), 'the dynamic ports of RFC 6335')
      // 200 of 16,384: 1.2 of them meet another on average.
      t.true(new Set(ports).size > 190)
    }
  })

const PORTS = { gue: 6080, geneve: 6081 } as const

/** Tunnel headers that a receiver takes or leaves; the outer port is of the tunnel. */
const HEADERS: readonly { readonly name: string; readonly tunnel: 'gue' | 'geneve'; readonly header: (etherType: number, protocol: number) => readonly number[]; readonly taken: boolean }[] = [
  { name: 'a GUE control message', tunnel: 'gue', header: (_, protocol) => [0x20, protocol, 0, 0], taken: false },
  { name: 'GUE’s other variant', tunnel: 'gue', header: (_, protocol) => [0x40, protocol, 0, 0], taken: false },
  { name: 'GUE with a flag that means something', tunnel: 'gue', header: (_, protocol) => [0, protocol, 0, 1], taken: false },
  { name: 'GUE with optional fields', tunnel: 'gue', header: (_, protocol) => [1, protocol, 0, 0, 0, 0, 0, 0], taken: false },
  { name: 'GUE with TCP inside', tunnel: 'gue', header: () => [0, 6, 0, 0], taken: false },
  { name: 'GUE with UDP inside', tunnel: 'gue', header: () => [0, 17, 0, 0], taken: false },
  { name: 'Geneve of another version', tunnel: 'geneve', header: (type) => [0x40, 0, ...number16(type), 0, 0, 0, 0], taken: false },
  { name: 'a Geneve control packet', tunnel: 'geneve', header: (type) => [0, 0x80, ...number16(type), 0, 0, 0, 0], taken: false },
  { name: 'Geneve with critical options', tunnel: 'geneve', header: (type) => [1, 0x40, ...number16(type), 0, 0, 0, 0, 0, 0, 0x80, 0], taken: false },
  { name: 'Geneve with ARP inside', tunnel: 'geneve', header: () => [0, 0, ...number16(EtherType.ARP), 0, 0, 0, 0], taken: false },
  { name: 'Geneve with the longest options', tunnel: 'geneve', header: (type) => [63, 0, ...number16(type), 0, 0, 0, 0, ...Array<number>(252).fill(0)], taken: true },
  { name: 'Geneve with Ethernet inside', tunnel: 'geneve', header: (type) => [0, 0, 0x65, 0x58, 0, 0, 5, 0, ...Array<number>(12).fill(2), ...number16(type)], taken: true },
  { name: 'Geneve with options and Ethernet inside', tunnel: 'geneve', header: (type) => [1, 0, 0x65, 0x58, 0, 0, 5, 0, 0, 0, 1, 0, ...Array<number>(12).fill(2), ...number16(type)], taken: true },
]

for (const { name, tunnel: tunnelName, header, taken } of HEADERS)
  kernelTest(`decapsulation ${taken ? 'takes' : 'leaves'} ${name}`, (t) => {
    for (const mixture of MIXTURES) {
      accept(mixture.inner)
      const [etherType, protocol] = mixture.inner === 4 ? [EtherType.IPV4, IpProtocol.IPV4] : [EtherType.IPV6, IpProtocol.IPV6]
      const tunnel: Tunnel = { name, forwarding: 0, port: PORTS[tunnelName], header: () => Uint8Array.from(header(etherType, protocol)) }
      const content = fromClient(mixture.inner)
      for (const hook of DECAPSULATORS) {
        const seen = receive(hook, inTunnel(tunnel, mixture, content))
        const ip = taken ? buildIpPacket(content) : buildIpPacket(inTunnel(tunnel, mixture, content))
        t.deepEqual([...seen.data.subarray(14)], [...ip], hook)
      }
    }
  })

kernelTest('decapsulation leaves UDP to other ports', (t) => {
  for (const tunnel of TUNNELS.filter(({ port }) => port !== undefined))
    for (const mixture of MIXTURES) {
      accept(mixture.inner)
      for (const hook of DECAPSULATORS) t.false(isTaken(hook, inTunnel({ ...tunnel, port: 6079 }, mixture, fromClient(mixture.inner))))
    }
})

for (const family of FAMILIES) {
  const near = family === 4 ? GATEWAY.ipv4 : GATEWAY.ipv6

  kernelTest(`l2, IPv${family}: a backend of the segment gets the packet as it is, whatever the backend’s family`, (t) => {
    for (const outer of FAMILIES) {
      setBalancer(node, { inner: family, outer }, { forwarding: Forwarding.L2, backends: [outer === 4 ? GATEWAY.ipv4 : GATEWAY.ipv6] })
      const description = fromClient(family, udp(4000, 80), { hops: 3, payload: Uint8Array.of(1, 2), destinationMac: UPLINK.mac, sourceMac: '02:00:00:00:00:77' })
      const seen = send(description)
      t.is(seen.verdict, 'redirect', seen.reason)
      t.deepEqual([...seen.data], [...buildPacket({ ...description, destinationMac: GATEWAY.mac, sourceMac: UPLINK.mac })])
    }
  })

  kernelTest(`l2, IPv${family}: a backend behind a router gets nothing`, (t) => {
    setBalancer(node, { inner: family, outer: family }, { forwarding: Forwarding.L2 })
    t.is(send(fromClient(family)).reason, 'no-route')
  })

  kernelTest(`l2, IPv${family}: what does not fit is answered with the link’s size`, (t) => {
    setBalancer(node, { inner: family, outer: family }, { forwarding: Forwarding.L2, backends: [near] })
    const withPayload = (length: number) => fromClient(family, tcp(1, 80), { payload: new Uint8Array(length), dontFragment: true })
    const fits = 1500 - IP_HEADER[family] - 20
    t.is(send(withPayload(fits)).verdict, 'redirect')
    checkTooBig(t, send(withPayload(fits + 1)), withPayload(fits + 1), 1500)
  })
}

kernelTest('frames that are no IP pass', (t) => {
  const frame = concat(new Uint8Array(12), number16(EtherType.ARP), new Uint8Array(46))
  for (const hook of ['xdp_lb', ...DECAPSULATORS] as const) t.is(node.send(hook, 'uplink', frame).verdict, 'pass')
})
