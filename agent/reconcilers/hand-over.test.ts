// Slots that change hands, against flows: whatever happens to a service, a flow stays with the backend that it was given
// as long as that one is neither removed nor down.
import test from 'ava'
import fc from 'fast-check'
import { handOver, settle, settledTable, slotOf, type SlotTable, ticksAfter, ticksIn, ticksUntil } from './hand-over.ts'

const SLOTS = 5
const BACKENDS = [1, 2, 3, 4] as const
const IDLE_TICKS = 100
/** The clock wraps in the middle of a run. */
const START_TICKS = 2 ** 32 - 1_000

interface Flow {
  readonly slot: number
  backend: number
}

/** The rules of bpf/lib/track.h for one table, with a flow table that is never full. */
class Datapath {
  table: SlotTable = settledTable(new Uint32Array(SLOTS).fill(1))
  nowTicks = START_TICKS
  readonly down = new Set<number>()
  readonly known = new Map<Flow, { backend: number; lastSeen: number }>()

  backendOf(flow: Flow, opens: boolean): number {
    const [owner = 0, previous = 0] = [this.table.slots[flow.slot * 2], this.table.slots[flow.slot * 2 + 1]]
    if (previous === 0) return owner
    const known = this.known.get(flow)
    const stands = known !== undefined && this.nowTicks - known.lastSeen <= IDLE_TICKS && !this.down.has(known.backend)
    const learning = ticksUntil(this.table.histories[flow.slot * 2] ?? 0, this.nowTicks >>> 0) > 0
    const backend = stands ? known.backend : !opens && learning && !this.down.has(previous) ? previous : owner
    this.known.set(flow, { backend, lastSeen: this.nowTicks })
    return backend
  }

  /** As ServiceMaps and FlowTable do. */
  settle(): void {
    const foreign = new Uint8Array(SLOTS)
    for (const [flow, { backend, lastSeen }] of this.known) {
      const lives = this.nowTicks - lastSeen <= IDLE_TICKS && !this.down.has(backend)
      if (lives && backend !== this.table.slots[flow.slot * 2]) foreign[flow.slot] = 1
    }
    settle(this.table, foreign, this.nowTicks >>> 0)
  }
}

/** A run: flows send before each of them is idle for too long; backends come and go meanwhile. */
class Run {
  readonly datapath = new Datapath()
  readonly flows: Flow[] = []
  breaks = 0

  open(slot: number): void {
    const flow = { slot, backend: 0 }
    flow.backend = this.datapath.backendOf(flow, true)
    if (flow.backend !== 0) this.flows.push(flow)
    else this.datapath.known.delete(flow)
  }

  /** Every flow sends once a step; the time between is any that keeps it alive. */
  wait(ticks: number): void {
    this.datapath.nowTicks += ticks
    for (const flow of this.flows) if (this.datapath.backendOf(flow, false) !== flow.backend) this.breaks++
    this.datapath.settle()
  }

  /** A backend that is not among them is removed or down, unless it drains: then it loses its slots only. */
  change(owners: Uint32Array, draining: ReadonlySet<number>): void {
    const { datapath } = this
    const alive = new Set([...owners, ...draining])
    const nowTicks = datapath.nowTicks >>> 0
    datapath.table = handOver(datapath.table, owners, { alive, nowTicks, learnedTicks: (nowTicks + IDLE_TICKS) >>> 0 })
    for (const backend of BACKENDS) {
      if (alive.has(backend)) datapath.down.delete(backend)
      else datapath.down.add(backend)
    }
    this.flows.splice(0, Infinity, ...this.flows.filter(({ backend }) => alive.has(backend)))
  }
}

const backendSet = fc.subarray([...BACKENDS]).map((each) => new Set<number>(each))
const step = fc.oneof(
  fc.record({ kind: fc.constant('open' as const), slot: fc.nat(SLOTS - 1) }),
  fc.record({ kind: fc.constant('wait' as const), ticks: fc.integer({ min: 1, max: IDLE_TICKS - 1 }) }),
  fc.record({ kind: fc.constant('change' as const), owners: fc.array(fc.constantFrom(0, ...BACKENDS), { minLength: SLOTS, maxLength: SLOTS }), draining: backendSet }),
)

test('no flow leaves a backend that is neither removed nor down, whatever happens to its slot', (t) => {
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const run = new Run()
    for (const each of steps) {
      if (each.kind === 'open') run.open(each.slot)
      else if (each.kind === 'wait') run.wait(each.ticks)
      else run.change(Uint32Array.from(each.owners), each.draining)
    }
    return run.breaks === 0
  }), { numRuns: 3000 })
  t.pass()
})

test('once nothing changes every slot settles', (t) => {
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    const run = new Run()
    for (const each of steps) {
      if (each.kind === 'open') run.open(each.slot)
      else if (each.kind === 'change') run.change(Uint32Array.from(each.owners), each.draining)
    }
    run.flows.splice(0) // They end.
    for (let waited = 0; waited <= 3 * IDLE_TICKS; waited += IDLE_TICKS - 1) run.wait(IDLE_TICKS - 1)
    return run.datapath.table.slots.every((word, index) => index % 2 === 0 || word === 0)
  }), { numRuns: 300 })
  t.pass()
})

test('the owner before the first change stays the previous one, and its time with it', (t) => {
  const times = { alive: new Set([1, 2, 3]), nowTicks: 10 }
  const first = handOver(settledTable(Uint32Array.of(1, 1, 1)), Uint32Array.of(2, 1, 3), { ...times, learnedTicks: 100 })
  t.deepEqual([...first.slots], [2, 1, 1, 0, 3, 1])
  t.deepEqual([first.histories[0], first.histories[4]], [100, 100])
  const second = handOver(first, Uint32Array.of(3, 2, 1), { ...times, nowTicks: 20, learnedTicks: 110 })
  t.deepEqual([...second.slots], [3, 1, 2, 1, 1, 1])
  t.deepEqual([second.histories[0], second.histories[2], second.histories[4]], [100, 110, 100])
})

test('a previous owner that goes leaves nothing to learn', (t) => {
  const times = { alive: new Set([1, 2]), nowTicks: 10, learnedTicks: 100 }
  const changing = handOver(settledTable(Uint32Array.of(1)), Uint32Array.of(2), times)
  t.is(handOver(changing, Uint32Array.of(2), { ...times, nowTicks: 20, alive: new Set([2]) }).histories[0], 20)
  t.is(handOver(changing, Uint32Array.of(2), { ...times, nowTicks: 20 }).histories[0], 100)
})

test('the clock wraps', (t) => {
  const table = { slots: Uint32Array.of(2, 1), histories: Uint32Array.of(5, 0) }
  t.deepEqual([settle(table, undefined, 2 ** 32 - 5), settle(table, undefined, 5)], [0, 1])
  t.is(ticksAfter(2 ** 32 - 1, 1), ticksIn(1) - 1)
})

test('a flow’s slot is the datapath’s', (t) => {
  t.deepEqual([0, 1, 2 ** 31, 2 ** 32 - 1].map((hash) => slotOf(hash, 65_537)), [0, 0, 32_768, 65_536])
  fc.assert(fc.property(fc.nat(2 ** 32 - 1), fc.integer({ min: 1, max: 131_071 }), (hash, slots) => slotOf(hash, slots) === Number((BigInt(hash) * BigInt(slots)) >> 32n)))
})

test('65,537 slots change hands well within 5 ms', (t) => {
  const before = settledTable(new Uint32Array(65_537).map((_, slot) => (slot % 100) + 1))
  const owners = new Uint32Array(65_537).map((_, slot) => (slot % 101) + 1)
  const alive = new Set(Array.from({ length: 101 }, (_, index) => index + 1))
  const times = Array.from({ length: 20 }, () => {
    const start = performance.now()
    handOver(before, owners, { alive, nowTicks: 1, learnedTicks: 2 })
    return performance.now() - start
  })
  const least = Math.min(...times)
  t.log(`${least.toFixed(2)} ms`)
  t.true(least < 5)
})
