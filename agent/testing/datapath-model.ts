// The rules of bpf/lib/track.h over maps in memory: for tests of what the agent writes there, without a kernel.
import {
  backendRecord, BackendState, balanced4KeyRecord, balancedFlowRecord, frontendKeyRecord, halfOpenBucketRecord, slotHistoryRecord, slotRecord, type ServiceRecord, serviceRecord,
} from '../../bpf/index.ts'
import { type SlotTable, slotOf, ticksUntil } from '../reconcilers/hand-over.ts'
import { MemoryMap } from './memory-map.ts'

export const modelFrontend = { address: Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1]), port: 80, protocol: 17 } as const

export interface ModelPacket {
  /** Tells the flow, with its slot. */
  readonly hash: number
  readonly opens: boolean
}

export class DatapathModel {
  readonly frontends = new MemoryMap('frontends', frontendKeyRecord.size, serviceRecord.size, 4)
  readonly backends = new MemoryMap('backends', 4, backendRecord.size, 64)
  readonly balanced4 = new MemoryMap('balanced4', balanced4KeyRecord.size, balancedFlowRecord.size, 4096)
  readonly balanced6 = new MemoryMap('balanced6', 40, balancedFlowRecord.size, 1)
  readonly half_open = new MemoryMap('half_open', 4, halfOpenBucketRecord.size, 1)
  readonly table: SlotTable
  nowTicks: number

  constructor(slots: number, nowTicks: number) {
    this.table = { slots: new Uint32Array((slots * slotRecord.size) / 4), histories: new Uint32Array((slots * slotHistoryRecord.size) / 4) }
    this.nowTicks = nowTicks
  }

  /** Number of the packet's backend; 0: there is none. */
  send({ hash, opens }: ModelPacket): number {
    const bytes = this.frontends.lookup(frontendKeyRecord.encode(modelFrontend))
    if (bytes === undefined) return 0
    const service = serviceRecord.decode(bytes)
    if (service.slotCount === 0) return 0
    const { settled, current, former } = this.#owners(service, hash)
    if (settled) return current
    const key = this.#key(hash)
    const known = this.#known(key, service.idle)
    const backend = known ?? (opens ? current : former)
    if (backend !== 0) this.balanced4.update(key, balancedFlowRecord.encode({ backend, hash, lastSeen: this.nowTicks >>> 0, flags: 0 }))
    return backend
  }

  #owners(service: ServiceRecord, hash: number): { settled: boolean; current: number; former: number } {
    const slot = this.#slot(service.slotBase, service.slotCount, hash)
    const own = { settled: slot.previous === 0, current: slot.backend, former: slot.owner || slot.backend }
    if (service.formerCount === 0) return own
    const before = this.#slot(service.formerBase, service.formerCount, hash)
    const learning = ticksUntil(service.learned, this.nowTicks >>> 0) > 0
    const former = before.owner || (learning ? this.#unlessDown(before.backend) : 0) || own.former
    return { settled: own.settled && before.previous === 0 && before.backend === slot.backend, current: slot.backend, former }
  }

  /** `owner`: of flows that nobody knows, while the slot is learned; else 0. */
  #slot(base: number, count: number, hash: number): { backend: number; previous: number; owner: number } {
    const at = (base + slotOf(hash, count)) * 2
    const [backend = 0, previous = 0] = this.table.slots.subarray(at, at + 2)
    const learning = previous !== 0 && ticksUntil(this.table.histories[at] ?? 0, this.nowTicks >>> 0) > 0
    return { backend, previous, owner: learning ? this.#unlessDown(previous) : 0 }
  }

  #unlessDown(backend: number): number {
    const bytes = this.backends.lookup(new Uint8Array(Uint32Array.of(backend).buffer))
    return bytes === undefined || backendRecord.decode(bytes).state === BackendState.DOWN ? 0 : backend
  }

  #known(key: Uint8Array, idleTicks: number): number | undefined {
    const bytes = this.balanced4.lookup(key)
    if (bytes === undefined) return undefined
    const { backend, lastSeen } = balancedFlowRecord.decode(bytes)
    return -ticksUntil(lastSeen, this.nowTicks >>> 0) <= idleTicks && this.#unlessDown(backend) !== 0 ? backend : undefined
  }

  #key(hash: number): Uint8Array {
    const destination = new DataView(modelFrontend.address.buffer).getUint32(12)
    return balanced4KeyRecord.encode({ source: hash, destination, sourcePort: 1, destinationPort: modelFrontend.port, protocol: modelFrontend.protocol })
  }
}
