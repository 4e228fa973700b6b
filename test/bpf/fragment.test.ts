// Packets that are not one whole L4 header behind a plain IP header: fragments, options, extension headers.

import test from 'ava'

import { kernelTest } from '../helpers/index.ts'
import { buildPacket } from '../packet.ts'
import type { Fragment, PacketDescription } from '../packet.ts'
import { onlyFlow } from './conntrack.ts'
import { concat } from '../wire.ts'
import { TestNode } from './node.ts'
import { packet, reply, runStep, runSteps, syn, udp } from './table.ts'
import { addressOf, allow, deny, FAMILIES, MACS, OPEN, setPolicy, UDP } from './world.ts'
import type { Family } from './world.ts'

let node: TestNode
test.before(() => {
  node = new TestNode({ hooks: ['from_endpoint', 'to_endpoint'] })
})
test.after.always(() => node?.[Symbol.dispose]())
test.beforeEach(() => node?.reset())

function fragment(family: Family, port: number, fragment: Fragment): PacketDescription {
  return packet(family, 'a', 'b', udp(9, port), { payload: new Uint8Array(64), fragment })
}

const first = (family: Family, port: number, identification: number): PacketDescription => fragment(family, port, { identification, offset: 0, length: 32, more: true })
const later = (family: Family, port: number, identification: number): PacketDescription => fragment(family, port, { identification, offset: 32, more: false })

for (const family of FAMILIES) {
  kernelTest(`IPv${family}: later fragments follow the first one’s ports; without it they are dropped`, (t) => {
    setPolicy(node.map, [allow('a', 'egress'), { subject: 'b', direction: 'ingress', peer: 'any', protocol: UDP, ports: [53, 53], action: 'allow', rule: 1 }])
    runSteps(t, node, [
      { hook: 'from_endpoint', at: 'a', packet: later(family, 53, 1), expect: 'fragment-without-first' },
      { hook: 'from_endpoint', at: 'a', packet: first(family, 53, 1), expect: 'redirect', events: ['flow'] },
      { hook: 'from_endpoint', at: 'a', packet: later(family, 53, 1), expect: 'redirect', events: [] },
      { hook: 'from_endpoint', at: 'a', packet: later(family, 53, 2), expect: 'fragment-without-first' },
    ])
  })

  kernelTest(`IPv${family}: a first fragment that is dropped says nothing about the later ones`, (t) => {
    setPolicy(node.map, [allow('a', 'egress'), allow('b', 'egress'), { subject: 'b', direction: 'ingress', peer: 'a', protocol: UDP, ports: [53, 53], action: 'allow', precedence: 5 }, deny('b', 'ingress')])
    const forged = { ...first(family, 53, 3), sourceMac: MACS.b, source: addressOf('a', family) }
    runSteps(t, node, [
      { hook: 'from_endpoint', at: 'b', packet: forged, expect: 'spoofed-address' },
      { hook: 'from_endpoint', at: 'a', packet: later(family, 53, 3), expect: 'fragment-without-first' },
      { hook: 'from_endpoint', at: 'a', packet: first(family, 53, 4), expect: 'redirect' },
      { hook: 'from_endpoint', at: 'a', packet: first(family, 54, 4), expect: 'policy-denied' },
      { hook: 'from_endpoint', at: 'a', packet: later(family, 53, 4), expect: 'redirect' },
    ])
  })

  kernelTest(`IPv${family}: packets of any header length are read`, (t) => {
    setPolicy(node.map, OPEN)
    const odd = family === 4 ? { options: Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 0) } : { extensions: 3 }
    runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'b', syn, odd), expect: 'redirect', events: ['flow'] })
    t.is(onlyFlow(node.map, family).state.destinationIfindex, node.ifindexes.b)
    runStep(t, node, { ...reply(family), expect: 'redirect', events: [] })
    if (family === 6) runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'b', syn, { extensions: 7 }), expect: 'malformed' })
  })
}

kernelTest('what stands behind the end of the IP packet is not read', (t) => {
  setPolicy(node.map, OPEN)
  for (const family of FAMILIES) {
    const frame = buildPacket(packet(family, 'a', 'b', udp(4000, 80)))
    const length = family === 4 ? 16 + 1 : 18 + 1
    const whole = frame[length] ?? 0
    t.is(node.send('from_endpoint', 'a', frame.with(length, whole - 1)).reason, 'malformed', `IPv${family}`)
    t.is(node.send('from_endpoint', 'a', frame).verdict, 'redirect', `IPv${family}`)
  }
})

kernelTest('IPv6: a first fragment whose ports stand behind its end says nothing about the later ones', (t) => {
  const description = packet(6, 'a', 'b', udp(4000, 80), { payload: new Uint8Array(24) })
  setPolicy(node.map, OPEN)
  const [addresses, header] = [buildPacket(description).subarray(0, 54), buildPacket(description).subarray(54, 62)]
  // Next header: fragment; then destination options, which fill the fragment; UDP comes after its end.
  const first = concat(addresses.with(18, 0).with(19, 16).with(20, 44), Uint8Array.of(60, 0, 0, 1, 0, 0, 0, 7), Uint8Array.of(17, 0, 1, 4, 0, 0, 0, 0), header)
  t.is(node.send('from_endpoint', 'a', first).reason, 'malformed')
  const later = concat(addresses.with(19, 40).with(20, 44), Uint8Array.of(17, 0, 0, 8, 0, 0, 0, 7), header, new Uint8Array(24))
  t.is(node.send('from_endpoint', 'a', later).reason, 'fragment-without-first')
})
