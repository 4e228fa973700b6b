// Cases of the load balancer: packets of established TCP connections to a frontend whose slots are all settled. All
// others are those of bench/lb.ts.

import { BpfObject } from '../../loader/index.ts'
import { measureFlows } from '../lb/cases.ts'
import { fillBackends, fillFrontend, fillSlots, TABLE_SLOTS } from '../lb/tables.ts'
import type { Measurement } from './measure.ts'
import type { BenchNode } from './node.ts'
import { checkNoDrops } from './outcome.ts'
import { macBytes } from './packets.ts'

export function* measureBalancer(node: BenchNode, flowCounts: readonly number[]): Generator<Measurement> {
  for (const family of [4, 6] as const) {
    using object = BpfObject.open('build/bpf/xdp_lb.bpf.o', { constants: { station_mac: macBytes(node.uplink.nodeMac) } }).load()
    fillBackends(object, family)
    fillFrontend(object, { family, packet: 'tcp-ack', state: 'settled', base: 0, slots: TABLE_SLOTS })
    fillSlots(object, TABLE_SLOTS, 'settled')
    for (const flows of flowCounts) yield { case: `xdp_lb/settled/ipv${family}`, flows, ...measureFlows(node, object, { family, packet: 'tcp-ack', flows }) }
    checkNoDrops(object)
  }
}
