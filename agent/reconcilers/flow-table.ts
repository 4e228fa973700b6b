// The balancer's flow tables: flows that have ended are taken out, and a slot that changed hands settles once no flow is
// left that another backend than its owner has. One pass looks at all flows, some batches at a time, and counts anew, so
// that nothing depends on what an earlier agent knew. Runs in the worker thread.
import {
  BalancedFlags, balanced4KeyRecord, balanced6KeyRecord, balancedFlowRecord, BalancedLifetime, halfOpenFlowRecord, type RecordLayout,
} from '../../bpf/index.ts'
import { SLOT_WORDS, slotOf, ticksIn } from './hand-over.ts'
import type { MapBatch, MapPort } from './ports.ts'
import { textOf, type Watched } from './services.ts'

/** 2048 entries take about 2 ms to read and judge. */
const BATCH_ENTRIES = 2048
const BATCH_WORDS = 400_000

export interface FlowReport {
  /** Living flows of the last complete pass: those that are remembered, which are not all. */
  readonly established: number
  readonly halfOpen: number
  /** Living flows by backend. */
  readonly byBackend: ReadonlyMap<number, number>
  /** Flows that found no room: since the maps were made, and during the last pass. */
  readonly refused: number
  readonly refusedLately: number
  /** What is not settled: slots, and tables that change their size. */
  readonly changing: { readonly slots: number; readonly tables: number }
}

export interface FlowMapPorts {
  readonly half_open: MapPort
  readonly balanced4: MapPort
  readonly balanced6: MapPort
}

/** The services that the flows belong to. */
export interface WatchedServices {
  watch(): Map<string, Watched>
  settle(frontend: string, watched: Watched): void
  resume(): void
  isDown(backend: number): boolean
  readonly changes: FlowReport['changing']
}

export class FlowTable {
  readonly #services: WatchedServices
  readonly #maps: FlowMapPorts
  readonly #refused: () => number
  readonly #nowTicks: () => number
  #pass: Generator<void> | undefined
  #report: FlowReport | undefined

  constructor(services: WatchedServices, maps: FlowMapPorts, refused: () => number, nowTicks: () => number) {
    this.#services = services
    this.#maps = maps
    this.#refused = refused
    this.#nowTicks = nowTicks
  }

  /** Of the last complete pass. */
  get report(): FlowReport | undefined {
    return this.#report
  }

  /** One batch of the current pass; a pass begins anew after its last batch. Returns whether a pass ended. */
  step(): boolean {
    this.#pass ??= this.#look()
    try {
      if (this.#pass.next().done !== true) return false
    } catch (error) {
      this.#pass = undefined
      throw error
    }
    this.#pass = undefined
    return true
  }

  /** Half-open flows first: one that is established meanwhile is seen twice then, and not never. */
  *#look(): Generator<void> {
    const watched = this.#services.watch()
    const byBackend = new Map<number, number>()
    const halfOpen = yield* this.#lookAtHalfOpen(watched)
    const ipv4 = yield* this.#lookAt(this.#maps.balanced4, new FlowReader(balanced4KeyRecord), watched, byBackend)
    const ipv6 = yield* this.#lookAt(this.#maps.balanced6, new FlowReader(balanced6KeyRecord), watched, byBackend)
    yield* this.#settle(watched)
    const refused = this.#refused()
    const refusedLately = refused - (this.#report?.refused ?? refused)
    this.#report = { established: ipv4 + ipv6, halfOpen, byBackend, refused, refusedLately, changing: this.#services.changes }
  }

  /** Slots by the hundred thousand take a millisecond or two. */
  *#settle(watched: ReadonlyMap<string, Watched>): Generator<void> {
    let words = 0
    for (const [frontend, each] of watched) {
      this.#services.settle(frontend, each)
      words += each.slots.length
      if (words < BATCH_WORDS) continue
      words = 0
      yield
    }
    this.#services.resume()
  }

  /** An entry names its service and not the frontend: it holds a slot of each of them. */
  *#lookAtHalfOpen(watched: ReadonlyMap<string, Watched>): Generator<void, number> {
    const settling = [...watched.values()].filter(({ settles }) => settles)
    const byService = Map.groupBy(settling, ({ programmed }) => programmed.record.id)
    let living = 0
    for (const { count, values } of this.#maps.half_open.entries(BATCH_ENTRIES)) {
      const nowTicks = this.#nowTicks()
      const view = new DataView(values.buffer, values.byteOffset, count * this.#maps.half_open.valueSize)
      for (let at = 0; at < view.byteLength; at += halfOpenFlowRecord.size) {
        const flow = { backend: view.getUint32(at, true), hash: view.getUint32(at + 4, true), closing: false, idleSince: view.getUint32(at + HALF_OPEN_SEEN, true) }
        if (flow.backend === 0 || this.#isOver(flow, ticksIn(BalancedLifetime.HALF_OPEN_S), nowTicks)) continue
        living++
        for (const each of byService.get(view.getUint32(at + HALF_OPEN_SERVICE, true)) ?? []) noteForeign(each, flow)
      }
      yield
    }
    return living
  }

  /** Returns how many flows live. */
  *#lookAt(map: MapPort, reader: FlowReader, watched: ReadonlyMap<string, Watched>, byBackend: Map<number, number>): Generator<void, number> {
    let living = 0
    for (const batch of map.entries(BATCH_ENTRIES)) {
      const nowTicks = this.#nowTicks()
      for (const flow of reader.flows(batch)) {
        const service = watched.get(flow.frontend)
        const idleTicks = service?.programmed.record.idle ?? -1
        if (service === undefined || this.#isOver(flow, idleTicks, nowTicks)) {
          this.#remove(map, reader, flow.key, idleTicks, nowTicks)
          continue
        }
        living++
        byBackend.set(flow.backend, (byBackend.get(flow.backend) ?? 0) + 1)
        noteForeign(service, flow)
      }
      yield
    }
    return living
  }

  #isOver({ backend, idleSince, closing }: Pick<Flow, 'backend' | 'idleSince' | 'closing'>, lifetimeTicks: number, nowTicks: number): boolean {
    const ticks = closing ? Math.min(lifetimeTicks, ticksIn(BalancedLifetime.CLOSING_S)) : lifetimeTicks
    return ((nowTicks - idleSince) | 0) > ticks || this.#services.isDown(backend) // wraps, as the datapath's clock does
  }

  /** A packet may have revived it since the batch was read; what is left is a window of microseconds. */
  #remove(map: MapPort, reader: FlowReader, key: Uint8Array, lifetimeTicks: number, nowTicks: number): void {
    const value = map.lookup(key)
    if (value === undefined) return
    const [now] = reader.flows({ count: 1, keys: key, values: value })
    if (now !== undefined && this.#isOver(now, lifetimeTicks, nowTicks)) map.delete(key)
  }
}

interface Flow {
  readonly key: Uint8Array
  /** Key of its frontend. */
  readonly frontend: string
  readonly backend: number
  readonly hash: number
  /** Ticks. */
  readonly idleSince: number
  readonly closing: boolean
}

/** Reads entries of one layout of keys by hand: a pass may be about a million of them. */
class FlowReader {
  readonly #layout: RecordLayout<object>
  readonly #destination: number
  readonly #port: number
  readonly #protocol: number
  /** struct frontend_key. */
  readonly #frontend = new Uint8Array(20)

  constructor(layout: RecordLayout<object>) {
    this.#layout = layout
    this.#destination = offsetOf(layout, 'destination')
    this.#port = offsetOf(layout, 'destinationPort')
    this.#protocol = offsetOf(layout, 'protocol')
    if (layout.size === balanced4KeyRecord.size) this.#frontend.set([0xff, 0xff], 10) // mapped
  }

  *flows({ count, keys, values }: MapBatch): Generator<Flow> {
    const size = this.#layout.size
    const view = new DataView(values.buffer, values.byteOffset)
    for (let index = 0; index < count; index++) {
      const key = keys.subarray(index * size, (index + 1) * size)
      const at = index * balancedFlowRecord.size
      yield {
        key,
        frontend: this.#frontendOf(key),
        backend: view.getUint32(at + BACKEND, true),
        hash: view.getUint32(at + HASH, true),
        idleSince: view.getUint32(at + LAST_SEEN, true),
        closing: (view.getUint32(at + FLAGS, true) & BalancedFlags.CLOSING) !== 0,
      }
    }
  }

  #frontendOf(key: Uint8Array): string {
    const destination = key.subarray(this.#destination, this.#destination + (this.#layout.size === balanced4KeyRecord.size ? 4 : 16))
    this.#frontend.set(destination, 16 - destination.length)
    this.#frontend.set(key.subarray(this.#port, this.#port + 2), 16)
    this.#frontend[18] = key[this.#protocol] ?? 0
    return textOf(this.#frontend)
  }
}

const BACKEND = offsetOf(balancedFlowRecord, 'backend')
const HASH = offsetOf(balancedFlowRecord, 'hash')
const LAST_SEEN = offsetOf(balancedFlowRecord, 'lastSeen')
const FLAGS = offsetOf(balancedFlowRecord, 'flags')
const HALF_OPEN_SEEN = offsetOf(halfOpenFlowRecord, 'lastSeen')
const HALF_OPEN_SERVICE = offsetOf(halfOpenFlowRecord, 'service')

function noteForeign(service: Watched, { hash, backend }: Pick<Flow, 'hash' | 'backend'>): void {
  if (!service.settles) return
  const slots = service.slots.length / SLOT_WORDS
  const slot = slotOf(hash, slots)
  if (service.slots[slot * SLOT_WORDS] === backend) return
  service.foreign ??= new Uint8Array(slots)
  service.foreign[slot] = 1
}

function offsetOf(record: { readonly fields: readonly { readonly name: string; readonly offset: number }[] }, name: string): number {
  const field = record.fields.find((each) => each.name === name)
  if (field === undefined) throw new Error(`no field ${name}: bpf/types.h changed`)
  return field.offset
}
