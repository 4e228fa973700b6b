// Packets that are not one whole L4 header behind a plain IP header: fragments, options, extension headers.

import test from 'ava'

import { kernelTest } from '../helpers/index.ts'
import type { Fragment, PacketDescription } from '../packet.ts'
import { onlyFlow } from './conntrack.ts'
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
