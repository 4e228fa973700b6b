import test from 'ava'
import fc from 'fast-check'
import { balanced4KeyRecord, balanced6KeyRecord, BalancedFlags, balancedFlowRecord, Forwarding, halfOpenBucketRecord, halfOpenFlowRecord, steadyService } from '../../bpf/index.ts'
import { DatapathModel, modelFrontend } from '../testing/datapath-model.ts'
import { MemoryMap } from '../testing/memory-map.ts'
import { FlowTable } from './flow-table.ts'
import { ticksIn } from './hand-over.ts'
import { type BackendSpec, type FrontendSpec, type MaglevPort, ServiceMaps, textOf, type Watched } from './services.ts'

const SECONDS = 100
const LONGEST_WAIT = ticksIn(SECONDS / 4)
const START_TICKS = 2 ** 32 - 500 // The clock wraps.

/** Each slot's backend is the one whose hash with the slot is highest: few slots move when backends come and go. */
const engine: MaglevPort = {
  maglev: (backends, slots) =>
    Uint32Array.from({ length: slots }, (_, slot) => {
      const ranks = backends.map(({ hash, weight }) => (Math.imul(Number(hash) * 31 + slot + 1, 0x9e3779b1) >>> 0) * weight)
      return ranks.indexOf(Math.max(...ranks))
    }),
}

type State = BackendSpec['state'] | 'absent'

function frontend(states: readonly State[], tableSize: number): FrontendSpec {
  const backends = states.flatMap((state, index): BackendSpec[] => {
    const number = index + 1
    const address = Uint8Array.from([...modelFrontend.address.subarray(0, 15), 100 + number])
    return state === 'absent' ? [] : [{ number, address, port: 80, weight: 1, hash: String(number), state }]
  })
  return { serviceId: 1, ...modelFrontend, forwarding: 'ipip', vni: 0, tableSize, tracking: 'changing', idleSeconds: SECONDS, backends }
}

/** One service, its flows, and an agent that may start anew at any time. */
class Run {
  readonly datapath = new DatapathModel(64, START_TICKS)
  #services = this.#startAgent()
  #flowTable = this.#flows()
  #wanted: readonly FrontendSpec[] = []
  readonly flows = new Map<number, { readonly backend: number; sentAt: number }>()
  broken = 0

  #startAgent(): ServiceMaps {
    return new ServiceMaps(engine, this.datapath, () => this.datapath.nowTicks >>> 0)
  }

  #flows(): FlowTable {
    return new FlowTable(this.#services, this.datapath, () => 0, () => this.datapath.nowTicks >>> 0)
  }

  restart(): void {
    this.#services = this.#startAgent()
    this.#flowTable = this.#flows()
    this.#services.reconcile(this.#wanted)
  }

  change(states: readonly State[], tableSize: number): void {
    this.#wanted = [frontend(states, tableSize)]
    this.#services.reconcile(this.#wanted)
    for (const [hash, { backend }] of this.flows) if (['down', 'absent'].includes(states[backend - 1] ?? 'absent')) this.flows.delete(hash)
  }

  open(hash: number): void {
    if (this.flows.has(hash)) return
    const backend = this.datapath.send({ hash, opens: true })
    if (backend !== 0) this.flows.set(hash, { backend, sentAt: this.datapath.nowTicks })
  }

  /** Flows send that would be idle for too long otherwise, and some of the others; the agent looks at all of them. */
  wait(ticks: number): void {
    this.datapath.nowTicks += ticks
    const { nowTicks } = this.datapath
    for (const [hash, flow] of this.flows) {
      if (nowTicks - flow.sentAt + LONGEST_WAIT < ticksIn(SECONDS) && (hash + ticks) % 4 !== 0) continue
      if (this.datapath.send({ hash, opens: false }) !== flow.backend) this.broken++
      flow.sentAt = nowTicks
    }
    while (!this.#flowTable.step());
  }

  get changes() {
    return this.#services.changes
  }
}

const states = fc.array(fc.constantFrom<State>('active', 'active', 'draining', 'down', 'absent'), { minLength: 4, maxLength: 4 })
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('open' as const), hash: fc.nat(2 ** 32 - 1) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ticks: fc.integer({ min: 1, max: LONGEST_WAIT }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('change' as const), states, tableSize: fc.constantFrom(5, 7, 11) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
)

function take(run: Run, each: typeof step extends fc.Arbitrary<infer T> ? T : never): void {
  if (each.kind === 'open') run.open(each.hash)
  else if (each.kind === 'wait') run.wait(each.ticks)
  else if (each.kind === 'change') run.change(each.states, each.tableSize)
  else run.restart()
}

test('no flow leaves a backend that is neither removed nor down, while backends, sizes and agents change', (t) => {
  fc.assert(fc.property(fc.array(step, { minLength: 10, maxLength: 80 }), (steps) => {
    const run = new Run()
    run.change(['active', 'active', 'absent', 'absent'], 7)
    for (const each of steps) take(run, each)
    return run.broken === 0
  }), { numRuns: 2000 })
  t.pass()
})

test('once nothing changes and the flows have ended, every slot settles and every size is the wanted one', (t) => {
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    const run = new Run()
    for (const each of steps) take(run, each)
    run.change(['active', 'active', 'absent', 'absent'], 7)
    run.flows.clear()
    for (let looks = 0; looks < 8; looks++) run.wait(ticksIn(SECONDS / 2) + 1)
    const { slots, tables } = run.changes
    return slots === 0 && tables === 0 && run.datapath.balanced4.contents.size === 0
  }), { numRuns: 300 })
  t.pass()
})

interface Entries {
  readonly established?: readonly Entry[]
  readonly halfOpen?: readonly Entry[]
}

interface Entry {
  readonly service?: number
  readonly backend?: number
  readonly idleS?: number
  readonly closing?: boolean
  readonly port?: number
}

const NOW = 1_000_000
const IPV6 = new Uint8Array(16).fill(0xfd)

function flow({ backend = 1, idleS = 0, closing = false }: Entry): Uint8Array {
  return balancedFlowRecord.encode({ backend, hash: 0, lastSeen: NOW - ticksIn(idleS), flags: closing ? BalancedFlags.CLOSING : 0 })
}

function maps({ established = [], halfOpen = [] }: Entries) {
  const balanced4 = new MemoryMap('balanced4', balanced4KeyRecord.size, balancedFlowRecord.size, 16)
  const balanced6 = new MemoryMap('balanced6', balanced6KeyRecord.size, balancedFlowRecord.size, 16)
  const half_open = new MemoryMap('half_open', 4, halfOpenBucketRecord.size, 16)
  established.forEach((entry, index) => {
    const { port = 80 } = entry
    balanced4.update(balanced4KeyRecord.encode({ source: index, destination: 0x0a00_0001, sourcePort: 1, destinationPort: port, protocol: 17 }), flow(entry))
    balanced6.update(balanced6KeyRecord.encode({ source: new Uint8Array(16), destination: IPV6, sourcePort: index, destinationPort: port, protocol: 6 }), flow(entry))
  })
  halfOpen.forEach(({ backend = 1, idleS = 0, service = 5 }, index) => {
    const bucket = new Uint8Array(halfOpenBucketRecord.size)
    halfOpenFlowRecord.write({ hashBackend: BigInt(backend), lastSeen: NOW - ticksIn(idleS), service }, new DataView(bucket.buffer), 16 * (index % 4))
    half_open.update(new Uint8Array(Uint32Array.of(index).buffer), bucket)
  })
  return { half_open, balanced4, balanced6 }
}

/** Looks once; the service has two frontends, of one slot each, which backend 1 owns. Backend 9 is down. */
function look(entries: Entries) {
  const m = maps(entries)
  const record = { ...steadyService, id: 5, slotBase: 0, slotCount: 1, forwarding: Forwarding.IPIP, idle: ticksIn(900) }
  const programmed = { key: new Uint8Array(), record, region: undefined, former: undefined, spec: undefined, shares: new Map(), changing: 1 }
  const watch = (): Watched => ({ programmed, nowTicks: NOW, settles: true, slots: Uint32Array.of(1, 2) })
  const [ipv4, ipv6] = [watch(), watch()]
  const frontends = new Map([[textOf(Uint8Array.from([...modelFrontend.address, 0, 80, 17, 0])), ipv4], [textOf(Uint8Array.from([...IPV6, 0, 80, 6, 0])), ipv6]])
  const services = { watch: () => frontends, settle: () => {}, resume: () => {}, changes: { slots: 1, tables: 0 }, isDown: (backend: number) => backend === 9 }
  const table = new FlowTable(services, m, () => 3, () => NOW)
  while (!table.step());
  return { m, report: table.report, foreign: [ipv4, ipv6].map(({ foreign }) => foreign?.[0] === 1) }
}

test('living flows are counted by backend, and those of another than their slot’s owner are noted', (t) => {
  const { report, foreign } = look({ established: [{ backend: 1 }, { backend: 2 }, { backend: 2 }] })
  t.deepEqual(report, { established: 6, halfOpen: 0, byBackend: new Map([[1, 2], [2, 4]]), refused: 3, refusedLately: 0, changing: { slots: 1, tables: 0 } })
  t.deepEqual(foreign, [true, true])
  t.deepEqual(look({ established: [{ backend: 1 }] }).foreign, [false, false])
})

test('half-open flows keep their service’s slots from settling too', (t) => {
  t.deepEqual(look({ halfOpen: [{ backend: 2 }] }).foreign, [true, true])
  t.deepEqual(look({ halfOpen: [{ backend: 1 }, { backend: 2, service: 6 }] }).foreign, [false, false])
  t.is(look({ halfOpen: [{ backend: 2 }, { backend: 2 }, { backend: 2 }, { backend: 2 }] }).report?.halfOpen, 4)
})

test('what is over is taken out, and keeps no slot from settling', (t) => {
  const established: readonly Entry[] = [{ idleS: 901 }, { idleS: 62, closing: true }, { backend: 9 }, { port: 81 }].map((entry) => ({ backend: 2, ...entry }))
  const { m, report, foreign } = look({ established, halfOpen: [{ backend: 2, idleS: 62 }, { backend: 9 }] })
  t.deepEqual([m.balanced4.contents.size, m.balanced6.contents.size], [0, 0])
  t.deepEqual([report?.established, report?.halfOpen, foreign], [0, 0, [false, false]])
})

test('what may still send is left', (t) => {
  const { report } = look({ established: [{ idleS: 890 }, { idleS: 58, closing: true }], halfOpen: [{ idleS: 58 }] })
  t.deepEqual([report?.established, report?.halfOpen], [4, 1])
})
