// Cases of the load balancer: packets of established TCP connections to a frontend whose slots are all settled. All
// others are those of bench/lb.ts.

import { loadBalancer, measureFlows } from '../lb/cases.ts'
import { fillBackends, fillFrontend, fillSlots, TABLE_SLOTS } from '../lb/tables.ts'
import type { Measurement } from './measure.ts'
import type { BenchNode } from './node.ts'
import { checkNoDrops } from './outcome.ts'

export function* measureBalancer(node: BenchNode, flowCounts: readonly number[]): Generator<Measurement> {
  for (const family of [4, 6] as const) {
    using object = loadBalancer(node)
    fillBackends(object, family)
    fillFrontend(object, { family, packet: 'tcp-ack', state: 'settled', mode: 'ipip', base: 0, slots: TABLE_SLOTS })
    fillSlots(object, TABLE_SLOTS, 'settled')
    for (const flows of flowCounts) yield { case: `xdp_lb/settled/ipv${family}`, flows, ...measureFlows(node, object, { family, packet: 'tcp-ack', flows }) }
    checkNoDrops(object)
  }
}
