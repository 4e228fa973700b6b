// Services: Maglev tables in the flat slot array, backends, and frontends that point at them. A changed table is
// written beside the old one, with what each slot has been through, then the frontend switches by one write. What the
// maps hold is what the next agent goes on from. Runs in the worker thread.
import { Forwarding, frontendKeyRecord, ServiceFlags, serviceRecord } from '../../bpf/index.ts'
import type { ServiceRecord } from '../../bpf/index.ts'
import type { ForwardingMode } from '../../manifests/index.ts'
import { takesNewFlows } from '../../manifests/index.ts'
import { AgentError } from '../errors.ts'
import { BackendMap, type BackendSpec, isSameBackend, sameBytes } from './backend-map.ts'
import { countChanging, handOver, settle, settledTable, SLOT_WORDS, type SlotTable, ticksAfter, ticksIn, ticksUntil } from './hand-over.ts'
import type { Admitted } from './admission.ts'
import type { MapPort, SizedMapPort } from './ports.ts'
import { type Region, SlotAllocator } from './slots.ts'

export type { BackendSpec } from './backend-map.ts'

export interface FrontendSpec extends Admitted {
  readonly address: Uint8Array
  readonly port: number
  readonly protocol: number
  readonly forwarding: ForwardingMode
  readonly vni: number
  readonly tableSize: number
  /** `always`: every flow is remembered, not only those of slots that change hands. */
  readonly tracking: 'changing' | 'always'
  /** Without a packet for so long a flow is forgotten, and a slot that changed hands is learned. */
  readonly idleSeconds: number
  readonly backends: readonly BackendSpec[]
}

/** Slots by backend number, for each frontend in the order that they were given. */
export type ServiceReport = readonly ReadonlyMap<number, number>[]

export interface MaglevPort {
  maglev(backends: readonly { hash: string; weight: number }[], slots: number): Uint32Array
}

export interface ServiceMapPorts {
  readonly frontends: SizedMapPort
  readonly backends: MapPort
  /** The arrays slots and slot_histories, in memory that programs read at the same time. */
  readonly table: SlotTable
}

/** What stands in the frontends map for one key. Another object stands here after every switch. */
export interface Programmed {
  readonly key: Uint8Array
  readonly record: ServiceRecord
  /** Undefined where there are no slots. */
  readonly region: Region | undefined
  /** The table before its size changed, while that goes on. */
  readonly former: Region | undefined
  /** What it was built from; undefined for what an earlier agent left, or where its size waits. */
  readonly spec: FrontendSpec | undefined
  readonly shares: ReadonlyMap<number, number>
  /** Slots that change hands. */
  readonly changing: number
}

/** A frontend while all flows are looked at. */
export interface Watched {
  /** As it was when the look began. */
  readonly programmed: Programmed
  readonly nowTicks: number
  /** Some of its slots change hands, or its table changes its size. */
  readonly settles: boolean
  /** Owner and previous owner of each slot, as they stand now; none where nothing is to settle. */
  readonly slots: Uint32Array
  /** 1 for each slot that has a flow at another backend than its owner; absent: none has. */
  foreign?: Uint8Array
}

const NOWHERE: Region = { base: 0, count: 0 }
const NO_SLOTS = new Uint32Array()

export class ServiceMaps {
  readonly #engine: MaglevPort
  readonly #maps: ServiceMapPorts
  readonly #nowTicks: () => number
  readonly #backends: BackendMap
  readonly #allocator: SlotAllocator
  readonly #programmed = new Map<string, Programmed>()
  #frontends: readonly FrontendSpec[] | undefined

  constructor(engine: MaglevPort, maps: ServiceMapPorts, nowTicks: () => number) {
    this.#engine = engine
    this.#maps = maps
    this.#nowTicks = nowTicks
    this.#backends = new BackendMap(maps.backends)
    this.#allocator = new SlotAllocator(Math.min(maps.table.slots.length, maps.table.histories.length) / SLOT_WORDS)
    for (const programmed of readFrontends(maps.frontends)) this.#adopt(programmed)
  }

  /** Makes the maps hold exactly `frontends`. Throws `CAPACITY` before the first write. */
  reconcile(frontends: readonly FrontendSpec[]): ServiceReport {
    const keys = frontends.map(keyOf)
    const wanted = new Map(frontends.map((frontend, index) => [keys[index] ?? '', frontend]))
    this.#checkRoom(wanted)
    this.#frontends = frontends
    const plans = this.#planAll([...wanted].filter(([key, frontend]) => !isSameFrontend(this.#programmed.get(key)?.spec, frontend)))
    this.#execute(plans)
    this.#prune(wanted)
    this.#backends.retire()
    return keys.map((key) => this.#programmed.get(key)?.shares ?? new Map())
  }

  isDown(backend: number): boolean {
    return this.#backends.isDown(backend)
  }

  /** Ends drains whose time is over. Returns every balanced frontend by its key, for a look at all flows. */
  watch(): Map<string, Watched> {
    const nowTicks = this.#nowTicks()
    this.#backends.endDrains(nowTicks)
    const watched = new Map<string, Watched>()
    for (const [key, programmed] of this.#programmed) {
      const { region = NOWHERE, former, record, changing } = programmed
      if (record.forwarding === Forwarding.NAT) continue
      const settles = changing > 0 || former !== undefined
      watched.set(key, { programmed, nowTicks, settles, slots: settles ? this.#view(region).slots : NO_SLOTS })
    }
    return watched
  }

  /** Once all flows were looked at. What changed meanwhile is left to the next look. */
  settle(key: string, { programmed, nowTicks, settles, foreign }: Watched): void {
    const { region = NOWHERE, former, record, changing } = programmed
    if (!settles || this.#programmed.get(key) !== programmed) return
    const next = { ...programmed, changing: changing - settle(this.#view(region), foreign, nowTicks) }
    if (former !== undefined && foreign === undefined && ticksUntil(record.learned, nowTicks) <= 0) this.#dropFormer(key, next)
    else this.#programmed.set(key, next)
  }

  /** Gives tables the sizes that have waited for the end of another change. */
  resume(): void {
    const waiting = [...this.#programmed.values()].some(({ spec, former }) => spec === undefined && former === undefined)
    if (waiting && this.#frontends !== undefined) this.reconcile(this.#frontends)
  }

  /** Slots that change hands, and frontends whose table changes its size. */
  get changes(): { readonly slots: number; readonly tables: number } {
    const all = [...this.#programmed.values()]
    return { slots: all.reduce((sum, { changing }) => sum + changing, 0), tables: all.filter(({ former }) => former !== undefined).length }
  }

  #dropFormer(key: string, programmed: Programmed): void {
    const record = { ...programmed.record, formerBase: 0, formerCount: 0, learned: 0 }
    this.#maps.frontends.update(programmed.key, serviceRecord.encode(record))
    this.#programmed.set(key, { ...programmed, record, former: undefined })
    this.#free(programmed.former)
  }

  /** Regions that overlap or lie outside were never written by an agent; such a frontend is rebuilt. */
  #adopt(programmed: Programmed): void {
    const reserved = (region: Region | undefined): Region | undefined =>
      region !== undefined && this.#allocator.reserve(region) ? region : undefined
    const region = reserved(programmed.region)
    const changing = countChanging(this.#view(region ?? NOWHERE).slots)
    this.#programmed.set(textOf(programmed.key), { ...programmed, region, former: reserved(programmed.former), changing })
  }

  #checkRoom(wanted: ReadonlyMap<string, FrontendSpec>): void {
    const { maxEntries } = this.#maps.frontends
    // Old frontends go last, so for a moment both stand there.
    const old = [...this.#programmed.keys()].filter((key) => !wanted.has(key))
    if (wanted.size + old.length <= maxEntries) return
    throw new AgentError('CAPACITY', `${wanted.size + old.length} service frontends do not fit the map frontends: it has ${maxEntries} entries`)
  }

  /** Builds every table and finds room for it; nothing is written yet. */
  #planAll(frontends: readonly (readonly [key: string, frontend: FrontendSpec])[]): Plan[] {
    const plans: Plan[] = []
    try {
      for (const [key, frontend] of frontends) plans.push(this.#plan(frontend, this.#programmed.get(key)))
    } catch (error) {
      for (const plan of plans) this.#abandon(plan)
      throw error
    }
    return plans
  }

  /** Where the owners of all slots stay, the table does too, with its history, and no second room is needed. */
  #plan(frontend: FrontendSpec, before: Programmed | undefined): Plan {
    const owners = this.#owners(frontend, before)
    const kept = before?.region
    if (before !== undefined && kept?.count === owners.length && this.#holds(kept, owners)) {
      const { learned } = before.record
      return { frontend, before, owners, region: kept, former: before.former, learned }
    }
    const region = owners.length === 0 ? undefined : this.#allocator.allocate(owners.length)
    if (frontend.forwarding === 'nat' || before === undefined || kept === undefined) return { frontend, before, owners, region, former: undefined, learned: 0 }
    if (kept.count === owners.length) return { frontend, before, owners, region, former: before.former, learned: before.record.learned }
    return { frontend, before, owners, region, former: kept, learned: ticksAfter(this.#nowTicks(), frontend.idleSeconds) }
  }

  /**
   * Backend number of each slot. While a table changes its size another size waits. Where nobody takes new flows the
   * slots stay, since their last owners may have some; conntrack knows those that are translated.
   */
  #owners({ backends, tableSize, forwarding }: FrontendSpec, before: Programmed | undefined): Uint32Array {
    const takers = backends.filter(takesNewFlows)
    if (takers.length === 0) return new Uint32Array(forwarding === 'nat' ? 0 : (before?.region?.count ?? 0))
    const size = before?.former === undefined ? tableSize : (before.region?.count ?? tableSize)
    const indexes = this.#engine.maglev(takers.map(({ hash, weight }) => ({ hash, weight })), size)
    return indexes.map((index) => takers[index]?.number ?? 0)
  }

  #holds(region: Region, owners: Uint32Array): boolean {
    const { slots } = this.#view(region)
    return owners.every((owner, slot) => slots[slot * SLOT_WORDS] === owner)
  }

  /** Where a map refuses a write, the frontends from there on keep their old tables and the new ones' room is free again. */
  #execute(plans: readonly Plan[]): void {
    let switched = 0
    try {
      for (const { frontend } of plans) this.#backends.setUser(keyOf(frontend), frontend)
      this.#backends.write(this.#nowTicks())
      for (const plan of plans) {
        this.#switch(plan)
        switched++
      }
    } catch (error) {
      for (const plan of plans.slice(switched)) this.#abandon(plan)
      throw error
    }
  }

  #abandon({ region, before }: Plan): void {
    if (region !== before?.region) this.#free(region)
  }

  #free(region: Region | undefined): void {
    if (region !== undefined) this.#allocator.free(region)
  }

  /** Writes the new table, then the frontend, which gives the old table's room back: every plan has its own already. */
  #switch(plan: Plan): void {
    const { frontend, before, owners, region, former } = plan
    const key = keyBytes(frontend)
    if (region !== undefined && region !== before?.region) this.#writeTable(plan, region)
    const record = recordOf(plan)
    if (before === undefined || !isSame(before.record, record)) this.#maps.frontends.update(key, serviceRecord.encode(record))
    const waits = owners.length !== frontend.tableSize && former !== undefined
    const spec = waits ? undefined : frontend
    const changing = countChanging(this.#view(region ?? NOWHERE).slots)
    this.#programmed.set(textOf(key), { key, record, region, former, spec, shares: countShares(owners), changing })
    for (const old of [before?.region, before?.former]) if (old !== region && old !== former) this.#free(old)
  }

  #writeTable({ frontend, before, owners }: Plan, region: Region): void {
    const nowTicks = this.#nowTicks()
    const alive = new Set(frontend.backends.filter(({ state }) => state !== 'down').map(({ number }) => number))
    const hasPast = frontend.forwarding !== 'nat' && before?.region?.count === owners.length
    const times = { alive, nowTicks, learnedTicks: ticksAfter(nowTicks, frontend.idleSeconds) }
    const table = hasPast ? handOver(this.#view(before.region), owners, times) : settledTable(owners)
    this.#maps.table.slots.set(table.slots, region.base * SLOT_WORDS)
    this.#maps.table.histories.set(table.histories, region.base * SLOT_WORDS)
  }

  #view({ base, count }: Region): SlotTable {
    const part = (words: Uint32Array): Uint32Array => words.subarray(base * SLOT_WORDS, (base + count) * SLOT_WORDS)
    return { slots: part(this.#maps.table.slots), histories: part(this.#maps.table.histories) }
  }

  #prune(wanted: ReadonlyMap<string, FrontendSpec>): void {
    for (const [key, programmed] of this.#programmed) {
      if (wanted.has(key)) continue
      this.#maps.frontends.delete(programmed.key)
      this.#backends.setUser(key, undefined)
      this.#programmed.delete(key)
      this.#free(programmed.region)
      this.#free(programmed.former)
    }
  }
}

interface Plan {
  readonly frontend: FrontendSpec
  readonly before: Programmed | undefined
  /** Backend number of each slot. */
  readonly owners: Uint32Array
  /** Where the table stands: its room until now where no slot changes its owner. */
  readonly region: Region | undefined
  readonly former: Region | undefined
  /** When the former table's owners are learned. */
  readonly learned: number
}

const FORWARDING: Readonly<Record<ForwardingMode, ServiceRecord['forwarding']>> = {
  nat: Forwarding.NAT,
  ipip: Forwarding.IPIP,
  gue: Forwarding.GUE,
  geneve: Forwarding.GENEVE,
  l2: Forwarding.L2,
}

function recordOf({ frontend, region, former, learned }: Plan): ServiceRecord {
  return {
    id: frontend.serviceId,
    slotBase: region?.base ?? 0,
    slotCount: region?.count ?? 0,
    forwarding: FORWARDING[frontend.forwarding],
    flags: flagsOf(frontend),
    formerBase: former?.base ?? 0,
    formerCount: former?.count ?? 0,
    learned: former === undefined ? 0 : learned,
    idle: ticksIn(frontend.idleSeconds),
    vni: frontend.vni,
  }
}

function flagsOf({ tracking, sourceRanges, rateLimits }: FrontendSpec): number {
  const tracked = tracking === 'always' ? ServiceFlags.TRACKED : 0
  const sources = sourceRanges === undefined ? 0 : ServiceFlags.SOURCES
  const allowed = sourceRanges === undefined || sourceRanges.allow.length === 0 ? 0 : ServiceFlags.ALLOWED_SOURCES
  return tracked | sources | allowed | (rateLimits === undefined ? 0 : ServiceFlags.LIMITED)
}

function isSame(a: ServiceRecord, b: ServiceRecord): boolean {
  return (Object.keys(a) as (keyof ServiceRecord)[]).every((field) => a[field] === b[field])
}

function* readFrontends(map: MapPort): Generator<Programmed> {
  for (const { count, keys, values } of map.entries()) {
    for (let index = 0; index < count; index++) {
      const key = keys.slice(index * map.keySize, (index + 1) * map.keySize)
      const record = serviceRecord.decode(values, index * map.valueSize)
      const region = { base: record.slotBase, count: record.slotCount }
      const former = { base: record.formerBase, count: record.formerCount }
      yield { key, record, region, former, spec: undefined, shares: new Map(), changing: 0 }
    }
  }
}

/** Nobody's slots are no share. */
function countShares(owners: Uint32Array): Map<number, number> {
  const shares = new Map<number, number>()
  for (const owner of owners) if (owner !== 0) shares.set(owner, (shares.get(owner) ?? 0) + 1)
  return shares
}

function keyBytes({ address, port, protocol }: FrontendSpec): Uint8Array {
  return frontendKeyRecord.encode({ address, port, protocol })
}

/** struct frontend_key as text. */
function keyOf({ address, port, protocol }: FrontendSpec): string {
  return textOf(address) + String.fromCharCode(port >> 8, port & 0xff, protocol, 0)
}

function isSameFrontend(a: FrontendSpec | undefined, b: FrontendSpec): boolean {
  if (a === b) return true
  if (a === undefined || a.backends.length !== b.backends.length) return false
  return (
    a.serviceId === b.serviceId && a.forwarding === b.forwarding && a.tableSize === b.tableSize && a.tracking === b.tracking &&
    a.idleSeconds === b.idleSeconds && flagsOf(a) === flagsOf(b) && a.port === b.port && a.protocol === b.protocol && sameBytes(a.address, b.address) &&
    a.backends.every((backend, index) => isSameBackend(backend, b.backends[index] as BackendSpec))
  )
}

/** Bytes as a key of a map: a character each. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}
