// What constants switch off is off, and costs nothing.

import test from 'ava'

import { activeBackend, backendRecord, Forwarding, frontendKeyRecord, serviceRecord, slotRecord, steadyService } from '../../bpf/index.ts'
import type { ConstantValue } from '../../loader/index.ts'
import { BpfObject } from '../../loader/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { TestNode } from './node.ts'
import { packet, runStep, tcp } from './table.ts'
import { addressOf, FAMILIES, key32, mapped, setPolicy, TCP } from './world.ts'

const syn = tcp(4000, 80, 'SYN')

function withConstants(constants: Readonly<Record<string, ConstantValue>>, body: (node: TestNode) => void): void {
  using node = new TestNode({ hooks: ['from_endpoint', 'to_endpoint'], constants })
  node.reset()
  setPolicy(node.map, (['a', 'b'] as const).map((subject) => ({ subject, direction: 'egress', peer: 'any', action: 'allow' }) as const))
  setPolicy(node.map, (['a', 'b'] as const).map((subject) => ({ subject, direction: 'ingress', peer: 'host', action: 'deny', rule: 2 }) as const), { a: 11, b: 12 }, 10)
  setPolicy(node.map, (['a', 'b'] as const).map((subject) => ({ subject, direction: 'ingress', peer: 'any', action: 'allow' }) as const), { a: 11, b: 12 }, 20)
  body(node)
}

test.serial('constants are those that this file switches, and the uplink', (t) => {
  using object = BpfObject.open('build/bpf/tc_endpoint.bpf.o')
  t.deepEqual(object.constants.map(({ name }) => name).sort(), ['allow_host', 'feature_ipv6', 'feature_services', 'report_flows', 'uplink_ifindex'])
})

kernelTest('feature_ipv6: without it, IPv6 is an unsupported protocol', (t) => {
  withConstants({ feature_ipv6: false }, (node) => {
    runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: packet(6, 'a', 'b', syn), expect: 'unsupported-protocol' })
    runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: packet(4, 'a', 'b', syn), expect: 'redirect' })
  })
})

kernelTest('allow_host: without it, policy decides about the node’s own packets too', (t) => {
  for (const [allowed, expect] of [[true, 'pass'], [false, 'policy-denied']] as const)
    withConstants({ allow_host: allowed }, (node) => {
      for (const family of FAMILIES) runStep(t, node, { hook: 'to_endpoint', at: 'a', packet: packet(family, 'host', 'a', syn), expect })
    })
})

kernelTest('report_flows: without it, only drops are events', (t) => {
  withConstants({ report_flows: false }, (node) => {
    runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: packet(4, 'a', 'b', syn), expect: 'redirect', events: [] })
    runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: packet(4, 'a', 'nobody', syn), expect: 'unknown-destination', events: ['drop'] })
  })
})

kernelTest('feature_services: without it, a frontend is an address like any other', (t) => {
  for (const [services, destination] of [[true, addressOf('b', 4)], [false, '10.96.0.1']] as const)
    withConstants({ feature_services: services }, (node) => {
      node.map('frontends').update(
        frontendKeyRecord.encode({ address: mapped('10.96.0.1'), port: 80, protocol: TCP }),
        serviceRecord.encode({ ...steadyService, id: 1, slotBase: 0, slotCount: 1, forwarding: Forwarding.NAT }),
      )
      node.map('slots').update(key32(0), slotRecord.encode({ backend: 1, previous: 0 }))
      node.map('backends').update(key32(1), backendRecord.encode({ ...activeBackend, address: mapped(addressOf('b', 4)), port: 80, protocol: TCP }))
      runStep(t, node, { hook: 'from_endpoint', at: 'a', packet: packet(4, 'a', 'b', syn, { destination: '10.96.0.1' }), expect: 'redirect', out: { destination } })
    })
})

kernelTest('what is switched off is not in the loaded program', (t) => {
  const size = (constants: Readonly<Record<string, ConstantValue>>): number => {
    using object = BpfObject.open('build/bpf/tc_endpoint.bpf.o', { constants }).load()
    return object.program('from_endpoint').instructions
  }
  const full = size({})
  const least = size({ feature_ipv6: false, feature_services: false })
  t.true(least < full * 0.9, `${least} of ${full} instructions`)
})
