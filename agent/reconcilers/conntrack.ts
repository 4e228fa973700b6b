// Collection of dead conntrack entries. The datapath itself treats them as dead and the LRU makes room, but a map full
// of the dead costs cache misses and lets the LRU evict the living. Runs in the worker thread, some batches at a time.
import { FlowFlags, FlowLifetime, flow4KeyRecord, flow6KeyRecord, flowStateRecord, TICK_SHIFT } from '../../bpf/index.ts'
import type { MapBatch, MapPort } from './ports.ts'

const TCP = 6
const SCTP = 132

/** 4096 entries take about 2 ms to read and judge. */
const BATCH_ENTRIES = 4096

export interface ConntrackReport {
  /** Living entries of the last complete pass. */
  readonly entries: number
  /** Entries removed since the agent started. */
  readonly collected: number
}

export class ConntrackCollector {
  readonly #maps: readonly { readonly map: MapPort; readonly protocolOffset: number }[]
  readonly #monotonicNs: () => bigint
  #pass: Generator<void> | undefined
  #living = 0
  #entries = 0
  #collected = 0

  constructor(maps: { conntrack4: MapPort; conntrack6: MapPort }, monotonicNs: () => bigint) {
    this.#maps = [
      { map: maps.conntrack4, protocolOffset: offsetOf(flow4KeyRecord, 'protocol') },
      { map: maps.conntrack6, protocolOffset: offsetOf(flow6KeyRecord, 'protocol') },
    ]
    this.#monotonicNs = monotonicNs
  }

  /** One batch of the current pass; a pass begins anew after its last batch. Returns whether a pass ended. */
  step(): boolean {
    this.#pass ??= this.#batches()
    if (this.#pass.next().done !== true) return false
    this.#pass = undefined
    this.#entries = this.#living
    return true
  }

  get report(): ConntrackReport {
    return { entries: this.#entries, collected: this.#collected }
  }

  *#batches(): Generator<void> {
    this.#living = 0
    for (const { map, protocolOffset } of this.#maps) {
      for (const batch of map.entries(BATCH_ENTRIES)) {
        this.#collect(map, protocolOffset, batch)
        yield
      }
    }
  }

  /**
   * Both keys of a translated flow share their state's life: the datapath writes `last_seen` of both, so both are
   * found dead in the same pass, give or take its granularity.
   */
  #collect(map: MapPort, protocolOffset: number, { count, keys, values }: MapBatch): void {
    const nowTicks = Number((this.#monotonicNs() >> BigInt(TICK_SHIFT)) & 0xffff_ffffn)
    for (let index = 0; index < count; index++) {
      const key = keys.subarray(index * map.keySize, (index + 1) * map.keySize)
      const protocol = key[protocolOffset] ?? 0
      if (!isDead(values, index * map.valueSize, protocol, nowTicks)) this.#living++
      else if (this.#stillDead(map, key, protocol, nowTicks) && map.delete(key)) this.#collected++
    }
  }

  /** A packet may have revived it since the batch was read; what is left is a window of microseconds. */
  #stillDead(map: MapPort, key: Uint8Array, protocol: number, nowTicks: number): boolean {
    const value = map.lookup(key)
    return value !== undefined && isDead(value, 0, protocol, nowTicks)
  }
}

const LAST_SEEN = offsetOf(flowStateRecord, 'lastSeen')
const FLAGS = offsetOf(flowStateRecord, 'flags')

function isDead(values: Uint8Array, at: number, protocol: number, nowTicks: number): boolean {
  const view = new DataView(values.buffer, values.byteOffset + at)
  const idleTicks = (nowTicks - view.getUint32(LAST_SEEN, true)) | 0 // wraps, as the datapath's clock does
  return idleTicks > (lifetimeS(view.getUint32(FLAGS, true), protocol) * 1e9) / 2 ** TICK_SHIFT
}

function lifetimeS(flags: number, protocol: number): number {
  if ((flags & FlowFlags.CLOSING) !== 0) return FlowLifetime.CLOSING_S
  if ((flags & FlowFlags.REPLIED) === 0) return FlowLifetime.OTHER_S
  return protocol === TCP ? FlowLifetime.TCP_S : protocol === SCTP ? FlowLifetime.SCTP_S : FlowLifetime.OTHER_S
}

function offsetOf(record: { readonly fields: readonly { readonly name: string; readonly offset: number }[] }, name: string): number {
  const field = record.fields.find((each) => each.name === name)
  if (field === undefined) throw new Error(`no field ${name}: bpf/types.h changed`)
  return field.offset
}
