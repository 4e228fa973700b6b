// The edge load balancer: which packets it takes, and which backend they go to; how they get there: forwarding.test.ts.

import test from 'ava'

import { Forwarding } from '../../bpf/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { buildIpPacket, buildPacket, parsePacket } from '../packet.ts'
import type { PacketDescription } from '../packet.ts'
import { concat, number16 } from '../wire.ts'
import { BACKENDS, CLIENTS, edgeNode, fromClient, setBalancer, TUNNELS, VIPS } from './edge.ts'
import type { BalancerSpec } from './edge.ts'
import { BEHIND_WORKLOAD } from './node.ts'
import type { Seen, TestNode } from './node.ts'
import { tcp, udp } from './table.ts'
import { FAMILIES, removeEndpoint, setEndpoint } from './world.ts'
import type { Family } from './world.ts'

let node: TestNode
test.before(() => {
  node = edgeNode()
})
test.after.always(() => node?.[Symbol.dispose]())

const send = (description: PacketDescription): Seen => node.send('xdp_lb', 'uplink', buildPacket(description))
const backendOf = (seen: Seen): string => parsePacket(seen.data).destination
const set = (family: Family, spec: BalancerSpec = {}): void => setBalancer(node, { inner: family, outer: family }, spec)

for (const family of FAMILIES) {
  kernelTest(`IPv${family}: flows spread evenly over slots and stay where they are`, (t) => {
    set(family)
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

  for (const tunnel of TUNNELS)
    kernelTest(`${tunnel.name}, IPv${family}: an ICMP error and later fragments follow their flow`, (t) => {
      set(family, tunnel)
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

  kernelTest(`IPv${family}: SCTP, and TCP behind options or extension headers, reach backends as they are`, (t) => {
    set(family)
    const sctp = { kind: 'sctp', sourcePort: 4000, destinationPort: 80 } as const
    const optional = family === 4 ? { options: new Uint8Array(40).fill(1) } : { extensions: 5 }
    for (const description of [fromClient(family, sctp), fromClient(family, tcp(4000, 80, 'SYN'), optional)]) {
      const seen = send(description)
      t.is(seen.verdict, 'redirect', seen.reason)
      t.deepEqual([...parsePacket(seen.data).payload], [...buildIpPacket(description)])
    }
  })

  kernelTest(`IPv${family}: what is no frontend’s passes untouched`, (t) => {
    set(family)
    const strangers = [fromClient(family, tcp(4000, 81, 'SYN')), fromClient(family, { kind: 'sctp', sourcePort: 1, destinationPort: 81 }), { ...fromClient(family), destination: BACKENDS[family][0] }]
    for (const description of strangers) {
      const seen = send(description)
      t.is(seen.verdict, 'pass')
      t.deepEqual([...seen.data], [...buildPacket(description)])
    }
    set(family, { forwarding: Forwarding.NAT })
    t.is(send(fromClient(family)).verdict, 'pass')
  })

  kernelTest(`IPv${family}: no backend, no way to it, and a length that lies are drops with their reasons`, (t) => {
    set(family, { slotCount: 0 })
    t.is(send(fromClient(family)).reason, 'no-backend')
    set(family, { backends: [family === 4 ? '198.51.100.1' : '2001:db8:dead::1'] })
    t.is(send(fromClient(family)).reason, 'no-route')
    set(family)
    const frame = buildPacket(fromClient(family))
    frame.set(number16(1000), 14 + (family === 4 ? 2 : 4))
    t.is(node.send('xdp_lb', 'uplink', frame).reason, 'malformed')
  })
}

for (const family of FAMILIES)
  kernelTest(`IPv${family}: no packet goes past the ingress policy of this node’s own workload`, (t) => {
    set(family, { backends: [BEHIND_WORKLOAD[family]] })
    t.is(send(fromClient(family)).verdict, 'redirect', 'an interface that is no workload’s')
    setEndpoint(node.map, 'a', node.ifindexes.a)
    set(family, { backends: [BEHIND_WORKLOAD[family]] })
    t.is(send(fromClient(family)).reason, 'no-route')
    removeEndpoint(node.map, node.ifindexes.a)
  })

kernelTest('IPv4: what may be fragmented is dropped without an answer when it is too big', (t) => {
  set(4)
  const seen = send(fromClient(4, tcp(1, 80), { payload: new Uint8Array(1460) }))
  t.deepEqual([seen.verdict, seen.reason], ['drop', 'too-big'])
})

kernelTest('frames to other stations are not balanced', (t) => {
  for (const family of FAMILIES) {
    set(family)
    for (const destinationMac of ['02:09:00:00:00:03', '03:09:00:00:00:02', 'ff:ff:ff:ff:ff:ff']) t.is(send({ ...fromClient(family), destinationMac }).verdict, 'pass')
    t.is(send(fromClient(family)).verdict, 'redirect')
  }
})

kernelTest('Ethernet padding does not become part of the encapsulated packet', (t) => {
  set(4)
  const frame = buildPacket(fromClient(4, udp(4000, 80)))
  const { data } = node.send('xdp_lb', 'uplink', concat(frame, new Uint8Array(60 - frame.byteLength)))
  t.is(parsePacket(data).payload.byteLength, 28)
})
