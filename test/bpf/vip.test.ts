// What is for an address of a frontend and cannot simply go on: fragments that hide something, broken headers, echo requests.

import test from 'ava'

import { kernelTest } from '../helpers/index.ts'
import { buildPacket, parsePacket } from '../packet.ts'
import type { PacketDescription, Transport } from '../packet.ts'
import { BACKENDS, CLIENTS, edgeNode, fromClient, IP_HEADER, setBalancer, VIPS } from './edge.ts'
import { GATEWAY, UPLINK } from './node.ts'
import type { Seen, TestNode } from './node.ts'
import { echo, tcp, udp } from './table.ts'
import { FAMILIES, key32, mapped } from './world.ts'
import type { Family } from './world.ts'

let node: TestNode
test.before(() => {
  node = edgeNode()
  for (const family of FAMILIES) {
    setBalancer(node, { inner: family, outer: family })
    node.map('vips').update(mapped(VIPS[family]), key32(1))
  }
})
test.after.always(() => node?.[Symbol.dispose]())

const send = (description: PacketDescription): Seen => node.send('xdp_lb', 'uplink', buildPacket(description))
const outcomeOf = ({ verdict, reason }: Seen): string => (verdict === 'drop' ? (reason ?? 'drop') : verdict)

/** Bytes of a datagram of 128, UDP header included; `last` is what has no others behind it. */
type Part = readonly [offset: number, length: number, position: 'more' | 'last', expected: string]

const DATAGRAMS: readonly { readonly name: string; readonly parts: readonly Part[] }[] = [
  { name: 'parts in order', parts: [[0, 32, 'more', 'redirect'], [32, 32, 'more', 'redirect'], [64, 64, 'last', 'redirect']] },
  { name: 'later parts in another order', parts: [[0, 32, 'more', 'redirect'], [96, 32, 'last', 'redirect'], [64, 32, 'more', 'redirect'], [32, 32, 'more', 'redirect']] },
  { name: 'a later part before the first', parts: [[32, 32, 'more', 'fragment-without-first'], [0, 32, 'more', 'redirect'], [32, 32, 'more', 'redirect']] },
  { name: 'a part over the end of the first', parts: [[0, 64, 'more', 'redirect'], [56, 32, 'more', 'overlapping-fragment'], [64, 64, 'last', 'redirect']] },
  { name: 'a part inside another', parts: [[0, 8, 'more', 'redirect'], [8, 64, 'more', 'redirect'], [16, 8, 'more', 'overlapping-fragment']] },
  { name: 'a part around another', parts: [[0, 8, 'more', 'redirect'], [32, 8, 'more', 'redirect'], [16, 64, 'more', 'overlapping-fragment']] },
  { name: 'a part twice', parts: [[0, 64, 'more', 'redirect'], [64, 32, 'more', 'redirect'], [64, 32, 'more', 'overlapping-fragment']] },
  { name: 'the first part twice', parts: [[0, 64, 'more', 'redirect'], [0, 64, 'more', 'overlapping-fragment']] },
  { name: 'a part beyond the end', parts: [[0, 32, 'more', 'redirect'], [64, 32, 'last', 'redirect'], [96, 32, 'more', 'overlapping-fragment']] },
  { name: 'an end before what has come', parts: [[0, 32, 'more', 'redirect'], [96, 32, 'more', 'redirect'], [32, 32, 'last', 'overlapping-fragment']] },
  { name: 'more holes than are kept', parts: [[0, 8, 'more', 'redirect'], [16, 8, 'more', 'redirect'], [32, 8, 'more', 'redirect'], [48, 8, 'more', 'redirect'], [64, 8, 'more', 'overlapping-fragment'], [8, 8, 'more', 'redirect'], [64, 8, 'more', 'redirect']] },
  { name: 'a part that ends between 8 bytes, and is not the last', parts: [[0, 32, 'more', 'redirect'], [32, 30, 'more', 'malformed'], [32, 30, 'last', 'redirect']] },
  { name: 'an identification that is used again once its datagram was whole', parts: [[0, 64, 'more', 'redirect'], [64, 64, 'last', 'redirect'], [0, 32, 'more', 'redirect'], [32, 96, 'last', 'redirect']] },
]

let identification = 1000

for (const family of FAMILIES) {
  const fragment = (part: Part, transport: Transport = udp(5000, 80)): PacketDescription => {
    const [offset, length, position] = part
    return fromClient(family, transport, { payload: new Uint8Array(120), fragment: { identification, offset, length, more: position === 'more' } })
  }

  for (const { name, parts } of DATAGRAMS)
    kernelTest(`IPv${family} fragments: ${name}`, (t) => {
      identification++
      for (const part of parts) t.is(outcomeOf(send(fragment(part))), part[3], part.join(' '))
    })

  kernelTest(`IPv${family}: a first fragment without its whole L4 header is dropped`, (t) => {
    const cases: readonly (readonly [Transport, number, string])[] = [
      [udp(5000, 80), 8, 'redirect'],
      [tcp(5000, 80, 'SYN'), 16, 'malformed'],
      [tcp(5000, 80, 'SYN'), 24, 'redirect'],
      [{ kind: 'sctp', sourcePort: 5000, destinationPort: 80 }, 8, 'malformed'],
      [{ kind: 'sctp', sourcePort: 5000, destinationPort: 80 }, 16, 'redirect'],
    ]
    for (const [transport, length, expected] of cases) {
      identification++
      t.is(outcomeOf(send(fragment([0, length, 'more', expected], transport))), expected, `${transport.kind}, ${length} bytes`)
    }
  })

  kernelTest(`IPv${family}: a first fragment without all of TCP’s options is dropped`, (t) => {
    identification++
    const frame = buildPacket(fragment([0, 32, 'more', ''], tcp(5000, 80, 'SYN')))
    const header = 14 + IP_HEADER[family] + (family === 6 ? 8 : 0)
    frame[header + 12] = 0x90 // 36 bytes
    t.is(outcomeOf(node.send('xdp_lb', 'uplink', frame)), 'malformed')
    frame[header + 12] = 0x80
    t.is(outcomeOf(node.send('xdp_lb', 'uplink', frame)), 'redirect')
  })

  kernelTest(`IPv${family}: what is cut off is dropped where it is for a VIP, and else the stack’s`, (t) => {
    for (const [destination, expected] of [[VIPS[family], 'malformed'], [BACKENDS[family][0], 'pass']] as const) {
      const frame = buildPacket({ ...fromClient(family), destination })
      const l4 = 14 + IP_HEADER[family]
      for (let length = 14; length < l4; length++) t.is(outcomeOf(node.send('xdp_lb', 'uplink', frame.subarray(0, length))), 'pass', `${length} bytes`)
      for (let length = l4; length < l4 + 20; length++) t.is(outcomeOf(node.send('xdp_lb', 'uplink', frame.subarray(0, length))), expected, `${length} bytes`)
    }
  })

  const ping = (more: Partial<PacketDescription> = {}): PacketDescription => fromClient(family, echo(family, 'request', 7), { payload: Uint8Array.of(1, 2, 3, 4, 5), hops: 3, ...more })

  kernelTest(`IPv${family}: an echo request to a VIP is answered`, (t) => {
    const seen = send(ping())
    t.is(seen.verdict, 'transmit')
    const expected = { source: VIPS[family], destination: CLIENTS[family], transport: echo(family, 'reply', 7), payload: Uint8Array.of(1, 2, 3, 4, 5) }
    t.deepEqual([...seen.data], [...buildPacket({ ...expected, sourceMac: UPLINK.mac, destinationMac: GATEWAY.mac })])
    t.deepEqual(parsePacket(seen.data).wrongChecksums, [])
  })

  kernelTest(`IPv${family}: echo requests to others, replies, fragments and what has options are the stack’s`, (t) => {
    const optional = family === 4 ? { options: Uint8Array.of(1, 1, 1, 0) } : { extensions: 1 }
    const part = { fragment: { identification: 1, offset: 0, length: 8, more: true } }
    for (const description of [ping({ destination: BACKENDS[family][0] }), ping({ transport: echo(family, 'reply', 7) }), ping(part), ping(optional)]) {
      const seen = send(description)
      t.is(seen.verdict, 'pass')
      t.deepEqual([...seen.data], [...buildPacket(description)])
    }
  })
}
