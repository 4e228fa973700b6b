// Cases of the load balancer: packets of established TCP connections to a frontend whose slots are all settled.

import { activeBackend, backendRecord, Forwarding, frontendKeyRecord, serviceRecord, slotRecord, steadyService } from '../../bpf/index.ts'
import { BpfObject } from '../../loader/index.ts'
import { measure } from './measure.ts'
import type { Measurement } from './measure.ts'
import type { BenchNode } from './node.ts'
import { checkNoDrops } from './outcome.ts'
import { buildPacket, fieldOffsets, mappedBytes, TcpFlag } from './packets.ts'
import type { Station } from './packets.ts'
import { word } from './tables.ts'
import { Wrapper } from './wrapper.ts'

const XDP_PASS = 2
const XDP_TX = 3
const PROTOCOL_TCP = 6
const PORT = 80
const SLOTS = 65_537
const BACKENDS = 100
const ROUNDS = 7
const PACKETS = 200_000

const FRONTEND = { ipv4: '10.77.9.1', ipv6: 'fd77:9::1' } as const

export function* measureBalancer(node: BenchNode, flowCounts: readonly number[]): Generator<Measurement> {
  for (const family of [4, 6] as const) {
    using object = BpfObject.open('build/bpf/xdp_lb.bpf.o').load()
    fillBalancerTables(object, family)
    for (const flows of flowCounts) yield measureSettled(node, object, flows, family)
    checkNoDrops(object)
  }
}

function measureSettled(node: BenchNode, object: BpfObject, flows: number, family: 4 | 6): Measurement {
  const offsets = fieldOffsets(family)
  const frontend: Station = { mac: node.uplink.nodeMac, ...FRONTEND }
  const packet = buildPacket({ family, from: node.remote, to: frontend, sourcePort: 1024, destinationPort: PORT, flags: TcpFlag.ACK })
  const fields = { lowOffset: offsets.sourcePort, lowBase: 1024, highOffset: offsets.sourceAddress, highBase: 0 }
  const traffic = { packet, ...fields, firstFlow: 0, flows, order: 'random' } as const
  using wrapper = node.run(() => new Wrapper('xdp', traffic, node.uplink.ifindex))
  const figures = measure(
    ROUNDS,
    () => node.run(() => wrapper.run(wrapper.nothing, PACKETS, XDP_PASS)),
    () => node.run(() => wrapper.run(object.program('xdp_lb'), PACKETS, XDP_TX))
  )
  return { case: `xdp_lb/settled/ipv${family}`, flows, ...figures }
}

/** One service on a table of the usual size; slots are spread over the backends as evenly as Maglev does. */
function fillBalancerTables(object: BpfObject, family: 4 | 6): void {
  const key = frontendKeyRecord.encode({ address: mappedBytes(FRONTEND[`ipv${family}`]), port: PORT, protocol: PROTOCOL_TCP })
  object.map('frontends').update(key, serviceRecord.encode({ ...steadyService, id: 1, slotBase: 0, slotCount: SLOTS, forwarding: Forwarding.IPIP }))
  for (let id = 1; id <= BACKENDS; id++) {
    const address = family === 4 ? `10.77.0.${id}` : `fd77::${id.toString(16)}`
    object.map('backends').update(word(id), backendRecord.encode({ ...activeBackend, address: mappedBytes(address), port: PORT, protocol: PROTOCOL_TCP }))
  }
  using slots = object.map('slots').mmap()
  const view = new DataView(slots.buffer)
  // A multiplier prime to the number of slots: neighbours get unrelated backends.
  for (let slot = 0; slot < SLOTS; slot++)
    slotRecord.write({ backend: (Math.imul(slot, 40_503) >>> 4) % BACKENDS + 1, previous: 0 }, view, slot * slotRecord.size)
}
