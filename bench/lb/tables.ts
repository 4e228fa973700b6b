// The balancer's maps as the agent would fill them: services whose slots are settled, or change hands, or are tracked.

import { activeBackend, backendRecord, Forwarding, frontendKeyRecord, ServiceFlags, serviceRecord, steadyService } from '../../bpf/index.ts'
import type { BpfObject } from '../../loader/index.ts'
import { mappedBytes, Protocol, TcpFlag } from '../datapath/packets.ts'
import { ROUTER } from '../datapath/node.ts'
import { word } from '../datapath/tables.ts'

export type Family = 4 | 6
export type SlotState = 'settled' | 'changing' | 'tracked'
export type Mode = 'ipip' | 'gue' | 'l2'
export type PacketKind = 'tcp-ack' | 'tcp-syn' | 'udp'

export const FRONTEND = { ipv4: '10.77.9.1', ipv6: 'fd77:9::1' } as const
export const PORT = 80
export const TABLE_SLOTS = 65_537
export const FLAGS: Readonly<Record<PacketKind, { readonly flags?: number }>> = { 'tcp-ack': { flags: TcpFlag.ACK }, 'tcp-syn': { flags: TcpFlag.SYN }, udp: {} }

const BACKENDS = 100
/** Longer than any run. */
const HOUR_TICKS = Math.round(3600e9 / 2 ** 24)

/** One more than any slot has: the previous owner of slots that change hands. */
const FORMER_BACKEND = BACKENDS + 1

/** On the segment they are one and the same station. */
export function fillBackends(object: BpfObject, family: Family, mode: Mode = 'ipip'): void {
  for (let id = 1; id <= FORMER_BACKEND; id++) {
    const far = family === 4 ? `10.77.0.${id}` : `fd77::${id.toString(16)}`
    const address = mode === 'l2' ? ROUTER[`ipv${family}`] : far
    object.map('backends').update(word(id), backendRecord.encode({ ...activeBackend, address: mappedBytes(address), port: PORT, protocol: 0 }))
  }
}

export interface FrontendSpec {
  readonly family: Family
  readonly packet: PacketKind
  readonly state: SlotState
  readonly mode: Mode
  readonly base: number
  readonly slots: number
  readonly port?: number
}

const MODES = { ipip: Forwarding.IPIP, gue: Forwarding.GUE, l2: Forwarding.L2 } as const

export function fillFrontend(object: BpfObject, { family, packet, state, mode, base, slots, port = PORT }: FrontendSpec): void {
  const protocol = packet === 'udp' ? Protocol.UDP : Protocol.TCP
  const key = frontendKeyRecord.encode({ address: mappedBytes(FRONTEND[`ipv${family}`]), port, protocol })
  const flags = state === 'tracked' ? ServiceFlags.TRACKED : 0
  object.map('frontends').update(key, serviceRecord.encode({ ...steadyService, id: 1, slotBase: base, slotCount: slots, forwarding: MODES[mode], flags, idle: HOUR_TICKS }))
}

/** The first slots, spread over the backends as evenly as Maglev does. */
export function fillSlots(object: BpfObject, count: number, state: SlotState): void {
  using slots = object.map('slots').mmap()
  using histories = object.map('slot_histories').mmap()
  const [owners, past] = [new Uint32Array(slots.buffer), new Uint32Array(histories.buffer)]
  const learned = Number((process.hrtime.bigint() >> 24n) & 0xffff_ffffn) + HOUR_TICKS
  for (let slot = 0; slot < count; slot++) {
    // A multiplier prime to the number of slots: neighbours get unrelated backends.
    owners[slot * 2] = ((Math.imul(slot, 40_503) >>> 4) % BACKENDS) + 1
    owners[slot * 2 + 1] = state === 'changing' ? FORMER_BACKEND : 0
    past[slot * 2] = learned
  }
}
