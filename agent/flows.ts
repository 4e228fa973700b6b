// The event ring and the per-CPU counters, read by the main thread: both are only memory, or a handful of lookups.
import { join } from 'node:path'
import { counterRecord } from '../bpf/index.ts'
import { BpfMap, RingReader } from '../loader/index.ts'
import { type DatapathCounters, type FlowPipeline, REASON_COUNTERS } from '../observe/index.ts'

/** Records a turn of the event loop: decoding takes a few microseconds each, and other work wants its turn. */
const RECORDS_PER_TURN = 256

export class EventReader implements Disposable {
  readonly #resources: DisposableStack

  private constructor(resources: DisposableStack) {
    this.#resources = resources
  }

  /** Reads until disposed of; what was written before is read first. */
  static open(mapDirectory: string, pipeline: FlowPipeline): EventReader {
    using resources = new DisposableStack()
    const map = resources.use(BpfMap.openPinned(join(mapDirectory, 'events')))
    const reader = resources.use(new RingReader(map))
    reader.poll(() => {
      reader.read((bytes, offset, length) => pipeline.accept(bytes.subarray(offset, offset + length)), RECORDS_PER_TURN)
    })
    return new EventReader(resources.move())
  }

  [Symbol.dispose](): void {
    this.#resources.dispose()
  }
}

export class CounterReader implements Disposable {
  readonly #resources = new DisposableStack()
  readonly #counters: BpfMap
  readonly #lost: BpfMap

  constructor(mapDirectory: string) {
    this.#counters = this.#resources.use(BpfMap.openPinned(join(mapDirectory, 'counters')))
    this.#lost = this.#resources.use(BpfMap.openPinned(join(mapDirectory, 'events_lost')))
  }

  read(): DatapathCounters {
    const reasons = Array.from({ length: REASON_COUNTERS }, (_, index) => this.#sum(index))
    const lost = this.#lost.lookupPerCpu(u32(0)) ?? []
    return { reasons, eventsLost: lost.reduce((sum, value) => sum + new DataView(value.buffer, value.byteOffset).getBigUint64(0, true), 0n) }
  }

  [Symbol.dispose](): void {
    this.#resources.dispose()
  }

  #sum(index: number): { packets: bigint; bytes: bigint } {
    const perCpu = (this.#counters.lookupPerCpu(u32(index)) ?? []).map((value) => counterRecord.decode(value))
    return {
      packets: perCpu.reduce((sum, { packets }) => sum + packets, 0n),
      bytes: perCpu.reduce((sum, { bytes }) => sum + bytes, 0n),
    }
  }
}

function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer)
}
