// What bench/lb.ts measures: packets of so many flows to one service, by what its slots have been through, and to many
// services hit at random.

import { BpfObject } from '../../loader/index.ts'
import { type Figures, measure } from '../datapath/measure.ts'
import type { BenchNode } from '../datapath/node.ts'
import { checkNoDrops } from '../datapath/outcome.ts'
import { buildPacket, fieldOffsets, macBytes } from '../datapath/packets.ts'
import type { Station } from '../datapath/packets.ts'
import { type Traffic, Wrapper } from '../datapath/wrapper.ts'
import { type Family, fillBackends, fillFrontend, fillSlots, FLAGS, FRONTEND, type FrontendSpec, type PacketKind, PORT, type SlotState, TABLE_SLOTS } from './tables.ts'

const XDP_PASS = 2
const XDP_TX = 3
const ROUNDS = 7
const PACKETS = 200_000
const SERVICES = 10_000
const SERVICE_SLOTS = 1009
const FIRST_PORT = 1024
const PROGRAM = 'build/bpf/xdp_lb.bpf.o'

export interface Line extends Figures {
  readonly case: string
  readonly flows: number
  readonly services?: number
}

interface Flows {
  readonly family: Family
  readonly packet: PacketKind
  readonly flows: number
  /** How many frontends, from FIRST_PORT on; by default the one at PORT. */
  readonly services?: number
}

type Case = Pick<FrontendSpec, 'state' | 'packet' | 'family' | 'mode'>

export function* measureOneService(node: BenchNode, flowCounts: readonly number[]): Generator<Line> {
  for (const state of ['settled', 'changing', 'tracked'] as const)
    for (const packet of ['tcp-ack', 'tcp-syn', 'udp'] as const)
      for (const family of [4, 6] as const)
        for (const mode of ['ipip', 'gue', 'l2'] as const) yield* measureCase(node, flowCounts, { state, packet, family, mode })
}

/** As the agent loads it on the interface that the packets are for. */
export function loadBalancer(node: BenchNode, mapSizes: Readonly<Record<string, number>> = {}): BpfObject {
  return BpfObject.open(PROGRAM, { mapSizes, constants: { station_mac: Uint8Array.of(...macBytes(node.uplink.nodeMac), 0, 0) } }).load()
}

function* measureCase(node: BenchNode, flowCounts: readonly number[], { state, packet, family, mode }: Case): Generator<Line> {
  using object = loadBalancer(node, { [`balanced${family}`]: 2 * Math.max(...flowCounts) })
  fillBackends(object, family, mode)
  fillFrontend(object, { family, packet, state, mode, base: 0, slots: TABLE_SLOTS })
  fillSlots(object, TABLE_SLOTS, state)
  for (const flows of flowCounts) {
    if (state !== 'settled') openFlows(node, object, { family, packet, flows })
    yield { case: `${state}/${packet}/ipv${family}/${mode}`, flows, ...measureFlows(node, object, { family, packet, flows }) }
    checkRemembered(object, state, packet, family, flows)
  }
  checkNoDrops(object)
}

/** As many services as an edge has, one flow after the other to another of them. */
export function* measureManyServices(node: BenchNode, flows: number): Generator<Line> {
  for (const family of [4, 6] as const) {
    using object = loadBalancer(node, { slots: SERVICES * SERVICE_SLOTS, slot_histories: SERVICES * SERVICE_SLOTS })
    fillBackends(object, family)
    fillSlots(object, SERVICES * SERVICE_SLOTS, 'settled')
    for (let index = 0; index < SERVICES; index++)
      fillFrontend(object, { family, packet: 'tcp-ack', state: 'settled', mode: 'ipip', base: index * SERVICE_SLOTS, slots: SERVICE_SLOTS, port: FIRST_PORT + index })
    const figures = measureFlows(node, object, { family, packet: 'tcp-ack', flows, services: SERVICES })
    yield { case: `settled/tcp-ack/ipv${family}/ipip`, flows, services: SERVICES, ...figures }
    checkNoDrops(object)
  }
}

/** Nanoseconds a packet, of flows that come in random order. */
export function measureFlows(node: BenchNode, object: BpfObject, spec: Flows): Figures {
  using wrapper = node.run(() => new Wrapper('xdp', trafficOf(node, spec, 'random'), node.uplink.ifindex))
  return measure(
    ROUNDS,
    () => node.run(() => wrapper.run(wrapper.nothing, PACKETS, XDP_PASS)),
    () => node.run(() => wrapper.run(object.program('xdp_lb'), PACKETS, XDP_TX))
  )
}

/** Each flow sends once, so that the flow table knows all of them. */
function openFlows(node: BenchNode, object: BpfObject, spec: Flows): void {
  using wrapper = node.run(() => new Wrapper('xdp', trafficOf(node, spec, 'sequential'), node.uplink.ifindex))
  node.run(() => wrapper.run(object.program('xdp_lb'), spec.flows, XDP_TX))
}

function trafficOf(node: BenchNode, { family, packet, flows, services }: Flows, order: Traffic['order']): Traffic {
  const offsets = fieldOffsets(family)
  const frontend: Station = { mac: node.uplink.nodeMac, ...FRONTEND }
  const bytes = buildPacket({ family, from: node.remote, to: frontend, sourcePort: FIRST_PORT, destinationPort: PORT, ...FLAGS[packet] })
  const low = services === undefined ? { lowOffset: offsets.sourcePort } : { lowOffset: offsets.destinationPort, lowValues: services }
  return { packet: bytes, ...low, lowBase: FIRST_PORT, highOffset: offsets.sourceAddress, highBase: 0, firstFlow: 0, flows, order }
}

/** A figure counts only if the packets did what its case speaks of. SYNs are remembered elsewhere. */
function checkRemembered(object: BpfObject, state: SlotState, packet: PacketKind, family: Family, flows: number): void {
  const wanted = state === 'settled' || packet === 'tcp-syn' ? 0 : flows
  const remembered = [...object.map(`balanced${family}`).entries()].reduce((sum, { count }) => sum + count, 0)
  if (remembered !== wanted) throw new Error(`${state}/${packet}: ${remembered} flows are remembered, not ${wanted}`)
}
