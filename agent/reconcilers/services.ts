// Services: Maglev tables in the flat slot array, backends, and frontends that point at them. A changed table is
// written beside the old one, then the frontend switches by one write. Runs in the worker thread.
import { isDeepStrictEqual } from 'node:util'
import { backendRecord, Forwarding, frontendKeyRecord, serviceRecord, slotRecord } from '../../bpf/index.ts'
import type { ServiceRecord } from '../../bpf/index.ts'
import { AgentError } from '../errors.ts'
import type { MapPort, SizedMapPort } from './ports.ts'
import { type Region, SlotAllocator } from './slots.ts'

export interface BackendSpec {
  /** Index of the array `backends`, from the store. */
  readonly number: number
  /** Mapped form. */
  readonly address: Uint8Array
  readonly port: number
  readonly weight: number
  /** What Maglev hashes: the same backend has the same places on every balancer. */
  readonly hash: string
}

export interface FrontendSpec {
  readonly serviceId: number
  readonly address: Uint8Array
  readonly port: number
  readonly protocol: number
  readonly forwarding: 'nat' | 'ipip'
  readonly tableSize: number
  readonly backends: readonly BackendSpec[]
}

/** Slots by backend number, for each frontend in the order that they were given. */
export type ServiceReport = readonly ReadonlyMap<number, number>[]

export interface MaglevPort {
  maglev(backends: readonly { hash: string; weight: number }[], slots: number): Uint32Array
}

export interface ServiceMapPorts {
  readonly frontends: SizedMapPort
  readonly slots: SizedMapPort
  readonly backends: MapPort
}

/** What stands in the frontends map for one key. */
interface Programmed {
  readonly key: Uint8Array
  readonly record: ServiceRecord
  /** Undefined where there are no slots. */
  readonly region: Region | undefined
  /** Of the specification it was built from; undefined for what an earlier agent left. */
  readonly signature: string | undefined
  readonly shares: ReadonlyMap<number, number>
}

const SLICE_SLOTS = 8192

export class ServiceMaps {
  readonly #engine: MaglevPort
  readonly #maps: ServiceMapPorts
  readonly #allocator: SlotAllocator
  readonly #programmed = new Map<string, Programmed>()

  constructor(engine: MaglevPort, maps: ServiceMapPorts) {
    this.#engine = engine
    this.#maps = maps
    this.#allocator = new SlotAllocator(maps.slots.maxEntries)
    for (const programmed of readFrontends(maps.frontends)) this.#adopt(programmed)
  }

  /** Makes the maps hold exactly `frontends`. Throws `CAPACITY` before the first write. */
  reconcile(frontends: readonly FrontendSpec[]): ServiceReport {
    this.#checkRoom(frontends)
    const changed = frontends.filter((frontend) => this.#programmed.get(keyOf(frontend))?.signature !== signatureOf(frontend))
    const plans = this.#plan(changed.filter((frontend) => !this.#keep(frontend)))
    this.#execute(plans, changed)
    this.#prune(new Set(frontends.map(keyOf)))
    return frontends.map((frontend) => this.#programmed.get(keyOf(frontend))?.shares ?? new Map())
  }

  /** Regions that overlap or lie outside were never written by an agent; such a frontend is rebuilt. */
  #adopt(programmed: Programmed): void {
    const region = programmed.region
    const valid = region !== undefined && this.#allocator.reserve(region)
    this.#programmed.set(hex(programmed.key), valid ? programmed : { ...programmed, region: undefined })
  }

  #checkRoom(frontends: readonly FrontendSpec[]): void {
    const { maxEntries } = this.#maps.frontends
    // Old frontends go last, so for a moment both stand there.
    const keys = new Set([...this.#programmed.keys(), ...frontends.map(keyOf)])
    if (keys.size <= maxEntries) return
    throw new AgentError('CAPACITY', `${keys.size} service frontends do not fit the map frontends: it has ${maxEntries} entries`)
  }

  /** Whether an earlier agent left exactly this; then it is ours as it is, and needs no room for a second table. */
  #keep(frontend: FrontendSpec): boolean {
    const left = this.#programmed.get(keyOf(frontend))
    if (left === undefined || left.signature !== undefined) return false
    const table = this.#table(frontend)
    const { record } = left
    const equal = isDeepStrictEqual(record, { ...recordOf(frontend, left.region), slotCount: table.length })
    if (!equal || !this.#holds(left.region, table)) return false
    this.#programmed.set(keyOf(frontend), { ...left, signature: signatureOf(frontend), shares: countShares(table) })
    return true
  }

  #holds(region: Region | undefined, table: Uint32Array): boolean {
    return table.every((backend, index) => {
      const slot = this.#maps.slots.lookup(u32((region?.base ?? 0) + index))
      return slot !== undefined && slotRecord.decode(slot).backend === backend
    })
  }

  /** Builds every table and finds room for it; nothing is written yet. */
  #plan(frontends: readonly FrontendSpec[]): Plan[] {
    const plans: Plan[] = []
    try {
      for (const frontend of frontends) {
        const table = this.#table(frontend)
        plans.push({ frontend, table, region: table.length === 0 ? undefined : this.#allocator.allocate(table.length) })
      }
    } catch (error) {
      for (const { region } of plans) this.#free(region)
      throw error
    }
    return plans
  }

  /** Where a map refuses a write, the frontends from there on keep their old tables and the new ones' room is free again. */
  #execute(plans: readonly Plan[], changed: readonly FrontendSpec[]): void {
    let switched = 0
    try {
      this.#writeBackends(changed)
      for (const plan of plans) {
        this.#switch(plan)
        switched++
      }
    } catch (error) {
      for (const { region } of plans.slice(switched)) this.#free(region)
      throw error
    }
  }

  #free(region: Region | undefined): void {
    if (region !== undefined) this.#allocator.free(region)
  }

  /** Backend number of each slot. */
  #table({ backends, tableSize }: FrontendSpec): Uint32Array {
    const weighted = backends.filter(({ weight }) => weight > 0)
    if (weighted.length === 0) return new Uint32Array()
    const indexes = this.#engine.maglev(weighted.map(({ hash, weight }) => ({ hash, weight })), tableSize)
    return Uint32Array.from(indexes, (index) => weighted[index]?.number ?? 0)
  }

  #writeBackends(frontends: readonly FrontendSpec[]): void {
    for (const { backends, protocol } of frontends) {
      for (const { number, address, port } of backends) {
        this.#maps.backends.update(u32(number), backendRecord.encode({ address, port, protocol }))
      }
    }
  }

  /** Writes the new table, then the frontend, which gives the old table's room back: every plan has its own already. */
  #switch({ frontend, table, region }: Plan): void {
    const key = keyBytes(frontend)
    const previous = this.#programmed.get(hex(key))
    if (region !== undefined) this.#writeSlots(region, table)
    const record = recordOf(frontend, region)
    this.#maps.frontends.update(key, serviceRecord.encode(record))
    this.#programmed.set(hex(key), { key, record, region, signature: signatureOf(frontend), shares: countShares(table) })
    this.#free(previous?.region)
  }

  #writeSlots(region: Region, table: Uint32Array): void {
    for (let from = 0; from < table.length; from += SLICE_SLOTS) {
      const part = table.subarray(from, from + SLICE_SLOTS)
      const keys = Uint32Array.from(part, (_, index) => region.base + from + index)
      const values = new Uint32Array(part.length * 2) // struct slot: backend, previous
      part.forEach((backend, index) => (values[index * 2] = backend))
      this.#maps.slots.updateBatch(new Uint8Array(keys.buffer), new Uint8Array(values.buffer), part.length)
    }
  }

  #prune(wanted: ReadonlySet<string>): void {
    for (const [key, programmed] of this.#programmed) {
      if (wanted.has(key)) continue
      this.#maps.frontends.delete(programmed.key)
      this.#programmed.delete(key)
      this.#free(programmed.region)
    }
  }
}

interface Plan {
  readonly frontend: FrontendSpec
  readonly table: Uint32Array
  readonly region: Region | undefined
}

if (slotRecord.size !== 8) throw new Error('struct slot changed: writeSlots packs it by hand')

function recordOf({ serviceId, forwarding }: FrontendSpec, region: Region | undefined): ServiceRecord {
  return {
    id: serviceId,
    slotBase: region?.base ?? 0,
    slotCount: region?.count ?? 0,
    forwarding: forwarding === 'ipip' ? Forwarding.IPIP : Forwarding.NAT,
  }
}

function* readFrontends(map: MapPort): Generator<Programmed> {
  for (const { count, keys, values } of map.entries()) {
    for (let index = 0; index < count; index++) {
      const key = keys.slice(index * map.keySize, (index + 1) * map.keySize)
      const record = serviceRecord.decode(values, index * map.valueSize)
      const region = { base: record.slotBase, count: record.slotCount }
      yield { key, record, region, signature: undefined, shares: new Map() }
    }
  }
}

function countShares(table: Uint32Array): Map<number, number> {
  const shares = new Map<number, number>()
  for (const backend of table) shares.set(backend, (shares.get(backend) ?? 0) + 1)
  return shares
}

function keyBytes({ address, port, protocol }: FrontendSpec): Uint8Array {
  return frontendKeyRecord.encode({ address, port, protocol })
}

function keyOf(frontend: FrontendSpec): string {
  return hex(keyBytes(frontend))
}

function signatureOf(frontend: FrontendSpec): string {
  return JSON.stringify(frontend, (_key, value: unknown) => (value instanceof Uint8Array ? hex(value) : value))
}

function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer)
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
