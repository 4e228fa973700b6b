// VLAN tags at the balancer: those of the frame, and those of the way to the backend.

import test from 'ava'

import { Forwarding, vlanDeviceRecord } from '../../bpf/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { buildIpPacket, buildPacket, parsePacket } from '../packet.ts'
import type { PacketDescription } from '../packet.ts'
import { concat, number32 } from '../wire.ts'
import { BACKENDS, CLIENTS, edgeNode, fromClient, setBalancer, VIPS } from './edge.ts'
import type { BalancerSpec } from './edge.ts'
import { GATEWAY, UPLINK, VLAN } from './node.ts'
import type { Seen, TestNode } from './node.ts'
import { echo, tcp } from './table.ts'
import { FAMILIES, key32, mapped } from './world.ts'
import type { Family } from './world.ts'

/** TPID << 16 | TCI, outermost first. */
type Tags = readonly number[]
const TAGGED: readonly Tags[] = [[0x8100_0005], [0x8100_e005], [0x88a8_0064, 0x8100_0005], [0x8100_0064, 0x8100_0005]]

let node: TestNode
test.before(() => {
  node = edgeNode()
  for (const family of FAMILIES) node.map('vips').update(mapped(VIPS[family]), key32(1))
  for (const [ifindex, { tags: [outer, inner = 0] }] of [[node.ifindexes.vlanOne, VLAN.one], [node.ifindexes.vlanTwo, VLAN.two]] as const)
    node.map('vlan_devices').update(key32(ifindex), vlanDeviceRecord.encode({ parent: node.ifindexes.uplink, outerTag: outer, innerTag: inner }))
})
test.after.always(() => node?.[Symbol.dispose]())

const hex = (tags: Tags): string => tags.map((tag) => tag.toString(16)).join(' ') || 'none'
const tagged = (frame: Uint8Array, tags: Tags): Uint8Array => concat(frame.subarray(0, 12), ...tags.map(number32), frame.subarray(12))
const send = (description: PacketDescription, tags: Tags): Seen => node.send('xdp_lb', 'uplink', tagged(buildPacket(description), tags))
const set = (family: Family, spec?: BalancerSpec): void => setBalancer(node, { inner: family, outer: family }, spec)

/** The frame behind its tags, which are as expected. */
function behind(data: Uint8Array, tags: Tags): Uint8Array {
  const expected = concat(...tags.map(number32))
  const found = data.subarray(12, 12 + expected.byteLength)
  if (Buffer.compare(found, expected) !== 0) throw new Error(`the tags are ${Buffer.from(found).toString('hex')}`)
  return concat(data.subarray(0, 12), data.subarray(12 + expected.byteLength))
}

for (const family of FAMILIES)
  for (const tags of TAGGED) {
    const title = `IPv${family}, tags ${hex(tags)}`

    kernelTest(`${title}: the packet leaves without them where its way has none`, (t) => {
      set(family)
      const description = fromClient(family)
      const seen = send(description, tags)
      t.is(seen.verdict, 'redirect', seen.reason)
      const outside = parsePacket(seen.data)
      t.deepEqual([outside.sourceMac, outside.destinationMac], [UPLINK.mac, GATEWAY.mac])
      t.deepEqual([...outside.payload], [...buildIpPacket(description)])
    })

    kernelTest(`${title}: answers carry them`, (t) => {
      set(family)
      const pong = send(fromClient(family, echo(family, 'request', 7)), tags)
      t.is(pong.verdict, 'transmit')
      const answer = parsePacket(behind(pong.data, tags))
      t.deepEqual([answer.sourceMac, answer.destinationMac, answer.source, answer.destination], [UPLINK.mac, GATEWAY.mac, VIPS[family], CLIENTS[family]])
      const tooBig = send(fromClient(family, tcp(1, 80), { payload: new Uint8Array(1460), dontFragment: true }), tags)
      t.deepEqual([tooBig.verdict, tooBig.reason], ['transmit', 'too-big'])
      t.is(parsePacket(behind(tooBig.data, tags)).destination, CLIENTS[family])
    })

    kernelTest(`${title}: what is no frontend’s passes as it is`, (t) => {
      set(family)
      for (const description of [fromClient(family, tcp(1, 81)), { ...fromClient(family), destination: BACKENDS[family][0] }])
        t.deepEqual([...send(description, tags).data], [...tagged(buildPacket(description), tags)])
    })
  }

for (const family of FAMILIES)
  for (const way of [VLAN.one, VLAN.two])
    for (const tags of [[], ...TAGGED])
      kernelTest(`IPv${family}, tags ${hex(tags)}: the packet leaves with ${hex(way.tags)}, those of the backend’s VLAN device`, (t) => {
        const description = fromClient(family)
        setBalancer(node, { inner: family, outer: 4 }, { backends: [way.address] })
        const seen = send(description, tags)
        t.is(seen.verdict, 'redirect', seen.reason)
        t.deepEqual([...parsePacket(behind(seen.data, way.tags)).payload], [...buildIpPacket(description)])
        setBalancer(node, { inner: family, outer: 4 }, { backends: [way.address], forwarding: Forwarding.L2 })
        const expected = buildPacket({ ...description, sourceMac: UPLINK.mac, destinationMac: GATEWAY.mac })
        t.deepEqual([...behind(send(description, tags).data, way.tags)], [...expected])
      })

kernelTest('more tags than two, and what is cut off behind a tag, pass as they are', (t) => {
  for (const family of FAMILIES) {
    set(family)
    const three = tagged(buildPacket(fromClient(family)), [0x88a8_0001, 0x8100_0002, 0x8100_0003])
    const cut = tagged(buildPacket(fromClient(family)), [0x88a8_0001, 0x8100_0002])
    for (const frame of [three, ...Array.from({ length: 9 }, (_, index) => cut.subarray(0, 14 + index))]) {
      const seen = node.send('xdp_lb', 'uplink', frame)
      t.is(seen.verdict, 'pass')
      t.deepEqual([...seen.data], [...frame])
    }
  }
})
