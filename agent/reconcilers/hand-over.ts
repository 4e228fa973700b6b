// How slots change hands: from what a table's slots have been through and from their next owners to what the datapath
// is told. A slot that gets another owner keeps its oldest previous one until everything that one had is known (see
// bpf/lib/track.h), however many owners follow meanwhile. Two words a slot, as in the maps.
import { slotHistoryRecord, slotRecord, TICK_SHIFT } from '../../bpf/index.ts'

export const SLOT_WORDS = 2

/** `slots` are backend and previous of each, `histories` when it is learned and a pad. */
export interface SlotTable {
  readonly slots: Uint32Array
  readonly histories: Uint32Array
}

export interface HandOver {
  /** Backends that may have flows. What was removed, or is down, has no previous role. */
  readonly alive: ReadonlySet<number>
  readonly nowTicks: number
  /** When the flows of an owner that loses its slot now are all known. */
  readonly learnedTicks: number
}

if (slotRecord.size !== 8 || slotHistoryRecord.size !== 8) throw new Error('struct slot or slot_history changed: this file packs them by hand')

/** A new table, of owners by slot: no slot has a past. */
export function settledTable(owners: Uint32Array): SlotTable {
  const slots = new Uint32Array(owners.length * SLOT_WORDS)
  owners.forEach((owner, slot) => (slots[slot * SLOT_WORDS] = owner))
  return { slots, histories: new Uint32Array(slots.length) }
}

/** `before` has as many slots as there are owners. 0 is nobody. */
export function handOver(before: SlotTable, owners: Uint32Array, { alive, nowTicks, learnedTicks }: HandOver): SlotTable {
  const next = settledTable(owners)
  for (let at = 0; at < next.slots.length; at += SLOT_WORDS) {
    const [owner = 0, oldest = 0] = [before.slots[at], before.slots[at + 1]]
    if (oldest !== 0) {
      next.slots[at + 1] = oldest
      next.histories[at] = alive.has(oldest) ? (before.histories[at] ?? 0) : nowTicks
    } else if (owner !== next.slots[at] && alive.has(owner)) {
      next.slots[at + 1] = owner
      next.histories[at] = learnedTicks
    }
  }
  return next
}

/**
 * Settles the slots that were learned by then and have no flow at another backend than their owner; `foreign` is 1 for
 * those that have. Returns how many it settled.
 */
export function settle({ slots, histories }: SlotTable, foreign: Uint8Array | undefined, nowTicks: number): number {
  let settled = 0
  for (let at = 0; at < slots.length; at += SLOT_WORDS) {
    if (slots[at + 1] === 0 || foreign?.[at / SLOT_WORDS] === 1 || ticksUntil(histories[at] ?? 0, nowTicks) > 0) continue
    slots[at + 1] = 0
    settled++
  }
  return settled
}

export function countChanging(slots: Uint32Array): number {
  let changing = 0
  for (let at = 1; at < slots.length; at += SLOT_WORDS) if (slots[at] !== 0) changing++
  return changing
}

/** The datapath's arithmetic (bpf/lib/track.h). */
export function slotOf(hash: number, slots: number): number {
  return Math.floor((hash * slots) / 2 ** 32) // exact: tables are far smaller than 2^21
}

/** The datapath's clock, which wraps. */
export function ticksOf(monotonicNs: bigint): number {
  return Number((monotonicNs >> BigInt(TICK_SHIFT)) & 0xffff_ffffn)
}

export function ticksIn(seconds: number): number {
  return Math.ceil((seconds * 1e9) / 2 ** TICK_SHIFT)
}

/** Negative in the past. */
export function ticksUntil(ticks: number, nowTicks: number): number {
  return (ticks - nowTicks) | 0
}

export function ticksAfter(nowTicks: number, seconds: number): number {
  return (nowTicks + ticksIn(seconds)) >>> 0
}
