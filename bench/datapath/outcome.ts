// What became of the packets: a figure counts only if every packet took the way that its case speaks of.

import { counterRecord, enumName, Reason } from '../../bpf/index.ts'
import { RingReader } from '../../loader/index.ts'
import type { BpfMap, BpfObject } from '../../loader/index.ts'
import { word } from './tables.ts'

/** Throws if any program of the object's maps has dropped a packet. */
export function checkNoDrops(object: BpfObject): void {
  const drops = Object.values(Reason).filter((reason) => reason !== Reason.FORWARDED && reason !== Reason.COUNT)
  for (const reason of drops) {
    const packets = [0, 1].reduce((sum, direction) => sum + packetsOf(object.map('counters'), (reason << 1) | direction), 0)
    if (packets > 0) throw new Error(`${object.path} dropped ${packets} packets of a benchmark: ${enumName(Reason, reason)}`)
  }
}

function packetsOf(counters: BpfMap, index: number): number {
  const values = counters.lookupPerCpu(word(index)) ?? []
  return values.reduce((sum, value) => sum + Number(counterRecord.decode(value).packets), 0)
}

/** Empties the event ring, so that the flows measured next find room for their events. */
export function drainEvents(object: BpfObject): void {
  using reader = new RingReader(object.map('events'))
  reader.read(() => {})
}

/** Throws if events found no room: then a new flow cost less than it should. */
export function checkNoLostEvents(object: BpfObject, before: number): void {
  const lost = lostEvents(object) - before
  if (lost > 0) throw new Error(`${lost} events of a benchmark found no room in the ring`)
}

export function lostEvents(object: BpfObject): number {
  const values = object.map('events_lost').lookupPerCpu(word(0)) ?? []
  return values.reduce((sum, value) => sum + Number(new DataView(value.buffer, value.byteOffset).getBigUint64(0, true)), 0)
}
