import test from 'ava'
import { backendRecord, BackendState, frontendKeyRecord, serviceRecord } from '../../bpf/index.ts'
import { MemoryMap } from '../testing/memory-map.ts'
import { ticksIn } from './hand-over.ts'
import { type BackendSpec, type FrontendSpec, type MaglevPort, ServiceMaps, type Watched } from './services.ts'

/** Round robin in the order of hashes: which table it is does not matter here, that it arrives does. */
const engine: MaglevPort = {
  maglev: (backends, slots) => Uint32Array.from({ length: slots }, (_, slot) => slot % backends.length),
}

function maps(slots = 64) {
  return {
    frontends: new MemoryMap('frontends', frontendKeyRecord.size, serviceRecord.size, 4),
    table: { slots: new Uint32Array(slots * 2), histories: new Uint32Array(slots * 2) },
    backends: new MemoryMap('backends', 4, backendRecord.size, 16),
  }
}

/** Of the datapath. */
let nowTicks = 1_000_000
const pass = (seconds: number): number => (nowTicks += ticksIn(seconds))

/** The agent that starts over these maps. */
function start(m: ReturnType<typeof maps>): ServiceMaps {
  return new ServiceMaps(engine, m, () => nowTicks)
}

function address(last: number): Uint8Array {
  return Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last])
}

function backend(number: number, weight = 1): BackendSpec {
  return { number, address: address(number), port: 80, weight, hash: `10.0.0.${number}:80`, state: 'active' }
}

function frontend(last: number, backends: readonly BackendSpec[], tableSize = 7): FrontendSpec {
  return { serviceId: last, address: address(last), port: 80, protocol: 6, forwarding: 'ipip', vni: 0, tableSize, tracking: 'changing', idleSeconds: 900, backends }
}

/** Backend numbers that the datapath would find for a frontend. */
function resolve(m: ReturnType<typeof maps>, last: number): number[] | undefined {
  const record = m.frontends.lookup(frontendKeyRecord.encode({ address: address(last), port: 80, protocol: 6 }))
  if (record === undefined) return undefined
  const { slotBase, slotCount } = serviceRecord.decode(record)
  return Array.from({ length: slotCount }, (_, index) => {
    const owner = m.table.slots[(slotBase + index) * 2]
    if (owner === undefined) throw new Error(`slot ${slotBase + index} lies outside`)
    return owner
  })
}

test('a frontend leads to its backends, and its report counts their slots', (t) => {
  const m = maps()
  const report = start(m).reconcile([frontend(1, [backend(3), backend(4)])])
  t.deepEqual(resolve(m, 1), [3, 4, 3, 4, 3, 4, 3])
  t.deepEqual(report, [new Map([[3, 4], [4, 3]])])
  t.is(backendRecord.decode(m.backends.lookup(new Uint8Array(Uint32Array.of(3).buffer)) ?? new Uint8Array()).port, 80)
})

test('an equal specification writes nothing', (t) => {
  const m = maps()
  const services = start(m)
  services.reconcile([frontend(1, [backend(3)])])
  const before = m.frontends.writes + m.backends.writes
  services.reconcile([frontend(1, [backend(3)])])
  t.is(m.frontends.writes + m.backends.writes, before)
})

test('the old table stays whole until the frontend switched', (t) => {
  const m = maps()
  const services = start(m)
  services.reconcile([frontend(1, [backend(3)])])
  const written = m.frontends.update.bind(m.frontends)
  m.frontends.update = (key, value) => {
    t.deepEqual(resolve(m, 1), [3, 3, 3, 3, 3, 3, 3], 'before the switch the old backend answers')
    written(key, value)
  }
  services.reconcile([frontend(1, [backend(5)])])
  t.deepEqual(resolve(m, 1), [5, 5, 5, 5, 5, 5, 5])
})

test('what is not wanted any more is pruned and its room used again', (t) => {
  const m = maps(14)
  const services = start(m)
  for (let last = 1; last <= 6; last++) {
    services.reconcile([frontend(last, [backend(last)])])
    t.is(m.frontends.contents.size, 1)
  }
  t.is(resolve(m, 1), undefined)
})

test('no room for one table: none is written', (t) => {
  const m = maps(13)
  const services = start(m)
  t.throws(() => services.reconcile([frontend(1, [backend(1)]), frontend(2, [backend(2)])]), { code: 'CAPACITY' })
  t.is(m.frontends.contents.size, 0)
  services.reconcile([frontend(1, [backend(1)])])
  t.deepEqual(resolve(m, 1), [1, 1, 1, 1, 1, 1, 1])
})

test('more frontends than the map holds are refused before the first write', (t) => {
  const m = maps()
  const five = [1, 2, 3, 4, 5].map((last) => frontend(last, [backend(last)]))
  t.throws(() => start(m).reconcile(five), { code: 'CAPACITY', message: /frontends/ })
  t.is(m.frontends.writes, 0)
})

test('a service without backends has no slots', (t) => {
  const m = maps()
  start(m).reconcile([frontend(1, [backend(1, 0)])])
  t.deepEqual(resolve(m, 1), [])
})

test('a new agent takes the tables of the old one over: its regions are not overwritten', (t) => {
  const m = maps(21)
  start(m).reconcile([frontend(1, [backend(1)]), frontend(2, [backend(2)])])
  const successor = start(m)
  const written = m.frontends.update.bind(m.frontends)
  m.frontends.update = (key, value) => {
    t.deepEqual(resolve(m, 2)?.every((number) => number === 2 || number === 3), true)
    written(key, value)
  }
  successor.reconcile([frontend(2, [backend(3)])])
  t.is(resolve(m, 1), undefined)
  t.deepEqual(resolve(m, 2), [3, 3, 3, 3, 3, 3, 3])
})

test('what an earlier agent left as it is wanted is not written again, and needs no second room', (t) => {
  const m = maps(7)
  const wanted = [frontend(1, [backend(1), backend(2)])]
  const [before] = start(m).reconcile(wanted)
  const writes = m.frontends.writes
  const [after] = start(m).reconcile(wanted)
  t.deepEqual(after, before)
  t.is(m.frontends.writes, writes)
})

test('a table of an earlier agent that differs in one slot is built again', (t) => {
  const m = maps()
  start(m).reconcile([frontend(1, [backend(1)])])
  m.table.slots[3 * 2] = 9
  start(m).reconcile([frontend(1, [backend(1)])])
  t.deepEqual(resolve(m, 1), [1, 1, 1, 1, 1, 1, 1])
})

test('where a map refuses a write, the room for new tables is free again and the old ones still stand', (t) => {
  const m = maps(28) // Two tables and their successors.
  const services = start(m)
  services.reconcile([frontend(1, [backend(3)]), frontend(2, [backend(3)])])
  const wanted = [frontend(1, [backend(4)]), frontend(2, [backend(4)])]
  for (const refusing of [m.backends, m.frontends]) {
    refusing.failure = new Error('no memory')
    t.throws(() => services.reconcile(wanted), { message: 'no memory' })
    refusing.failure = undefined
    t.deepEqual([resolve(m, 1), resolve(m, 2)], [Array(7).fill(3), Array(7).fill(3)])
  }
  services.reconcile(wanted)
  t.deepEqual([resolve(m, 1), resolve(m, 2)], [Array(7).fill(4), Array(7).fill(4)])
})

test('what switched before a refused write gave the room of its old table back', (t) => {
  const m = maps(28)
  const services = start(m)
  services.reconcile([frontend(1, [backend(3)]), frontend(2, [backend(3)])])
  const update = m.frontends.update.bind(m.frontends)
  const writes: number[] = []
  m.frontends.update = (key, value) => {
    if (writes.push(value.length) === 2) throw new Error('no memory')
    update(key, value)
  }
  t.throws(() => services.reconcile([frontend(1, [backend(4)]), frontend(2, [backend(4)])]), { message: 'no memory' })
  services.reconcile([frontend(1, [backend(5)]), frontend(2, [backend(5)])])
  t.deepEqual([resolve(m, 1), resolve(m, 2)], [Array(7).fill(5), Array(7).fill(5)])
})

/** Previous owners of a frontend's slots; 0: settled. */
function previous(m: ReturnType<typeof maps>, last: number): number[] {
  const { slotBase, slotCount } = recordOf(m, last)
  return Array.from({ length: slotCount }, (_, index) => m.table.slots[(slotBase + index) * 2 + 1] ?? 0)
}

function recordOf(m: ReturnType<typeof maps>, last: number) {
  return serviceRecord.decode(m.frontends.lookup(frontendKeyRecord.encode({ address: address(last), port: 80, protocol: 6 })) ?? new Uint8Array())
}

function stateOf(m: ReturnType<typeof maps>, number: number): number {
  return backendRecord.decode(m.backends.lookup(new Uint8Array(Uint32Array.of(number).buffer)) ?? new Uint8Array()).state
}

/** All flows were looked at, and the slots `foreign` of the one frontend have some that are not their owner's. */
function lookAtFlows(services: ServiceMaps, foreign: readonly number[] = []): void {
  for (const [key, each] of services.watch()) {
    note(each, foreign)
    services.settle(key, each)
  }
  services.resume()
}

function note(watched: Watched, foreign: readonly number[]): void {
  if (foreign.length === 0) return
  watched.foreign = new Uint8Array(watched.slots.length / 2)
  for (const slot of foreign) watched.foreign[slot] = 1
}

test('a slot that gets another owner remembers the one before, and settles once it is learned and has no flow of another', (t) => {
  const m = maps()
  const services = start(m)
  services.reconcile([frontend(1, [backend(3)])])
  services.reconcile([frontend(1, [backend(3), backend(4)])])
  t.deepEqual(previous(m, 1), [0, 3, 0, 3, 0, 3, 0])
  t.deepEqual(services.changes, { slots: 3, tables: 0 })
  lookAtFlows(services)
  t.deepEqual(previous(m, 1), [0, 3, 0, 3, 0, 3, 0], 'not learned yet')
  pass(901)
  lookAtFlows(services, [3])
  t.deepEqual(previous(m, 1), [0, 0, 0, 3, 0, 0, 0])
  lookAtFlows(services)
  t.deepEqual(previous(m, 1), Array(7).fill(0))
  t.deepEqual(services.changes, { slots: 0, tables: 0 })
})

test('what changes while flows are looked at does not settle by that look', (t) => {
  const m = maps()
  const services = start(m)
  services.reconcile([frontend(1, [backend(3)])])
  services.reconcile([frontend(1, [backend(4), backend(3)])])
  pass(901)
  const watched = services.watch()
  services.reconcile([frontend(1, [backend(3), backend(4)])])
  for (const [key, each] of watched) services.settle(key, each)
  t.deepEqual(previous(m, 1), Array(7).fill(3))
  t.deepEqual(services.changes, { slots: 7, tables: 0 })
})

test('the next agent goes on from what the slots have been through', (t) => {
  const m = maps()
  start(m).reconcile([frontend(1, [backend(3)])])
  const wanted = [frontend(1, [backend(4), backend(5)])].map((each) => ({ ...each, backends: [...each.backends, { ...backend(3), state: 'draining' as const }] }))
  start(m).reconcile(wanted)
  t.deepEqual(previous(m, 1), Array(7).fill(3))
  const successor = start(m)
  const writes = m.frontends.writes
  successor.reconcile(wanted)
  t.deepEqual(previous(m, 1), Array(7).fill(3))
  t.is(m.frontends.writes, writes)
  lookAtFlows(successor)
  t.deepEqual(previous(m, 1), Array(7).fill(3), 'its learning goes on')
  pass(901)
  lookAtFlows(successor)
  t.deepEqual(previous(m, 1), Array(7).fill(0))
})

test('a backend that is removed or down has no previous role, and its flows are over', (t) => {
  const m = maps()
  const services = start(m)
  services.reconcile([frontend(1, [backend(3)]), frontend(2, [backend(4), backend(5)])])
  services.reconcile([frontend(1, [{ ...backend(3), state: 'down' }, backend(6)]), frontend(2, [backend(4)])])
  t.deepEqual([previous(m, 1), previous(m, 2)], [Array(7).fill(0), Array(7).fill(0)])
  t.deepEqual([3, 4, 5, 6].map((number) => stateOf(m, number)), [BackendState.DOWN, BackendState.ACTIVE, BackendState.DOWN, BackendState.ACTIVE])
  services.reconcile([frontend(1, [backend(3)]), frontend(2, [backend(4)])])
  t.is(stateOf(m, 3), BackendState.ACTIVE, 'it is back')
})

test('a backend that an earlier agent left and nobody wants is down', (t) => {
  const m = maps()
  start(m).reconcile([frontend(1, [backend(3), backend(4)])])
  start(m).reconcile([frontend(1, [backend(4)])])
  t.is(stateOf(m, 3), BackendState.DOWN)
})

test('a draining backend takes no new flows, and is down when its time is over', (t) => {
  const m = maps()
  const draining = { ...backend(3), state: 'draining' as const, drainSeconds: 60 }
  const services = start(m)
  services.reconcile([frontend(1, [backend(3), backend(4)])])
  services.reconcile([frontend(1, [draining, backend(4)])])
  t.deepEqual([resolve(m, 1), previous(m, 1)], [Array(7).fill(4), [3, 0, 3, 0, 3, 0, 3]])
  t.is(stateOf(m, 3), BackendState.DRAINING)
  pass(50)
  const successor = start(m)
  successor.reconcile([frontend(1, [draining, backend(4)])])
  lookAtFlows(successor)
  t.is(stateOf(m, 3), BackendState.DRAINING, 'another agent does not begin it anew')
  pass(11)
  lookAtFlows(successor)
  t.is(stateOf(m, 3), BackendState.DOWN)
  successor.reconcile([frontend(1, [draining, backend(4)]), frontend(2, [backend(4)])])
  t.is(stateOf(m, 3), BackendState.DOWN, 'it stays so')
})

test('where all backends drain, nobody owns the slots and their last owners keep their flows', (t) => {
  const m = maps()
  const services = start(m)
  services.reconcile([frontend(1, [backend(3)])])
  const [shares] = services.reconcile([frontend(1, [{ ...backend(3), state: 'draining' }])])
  t.deepEqual([resolve(m, 1), previous(m, 1)], [Array(7).fill(0), Array(7).fill(3)])
  t.is(shares?.size, 0)
})

test('a table that changes its size stands beside the former one until its flows are learned or gone', (t) => {
  const m = maps()
  const services = start(m)
  services.reconcile([frontend(1, [backend(3)])])
  services.reconcile([frontend(1, [backend(3), backend(4)], 11)])
  const { formerBase, formerCount, slotCount } = recordOf(m, 1)
  t.deepEqual([slotCount, formerCount], [11, 7])
  t.deepEqual([...m.table.slots.subarray(formerBase * 2, formerBase * 2 + 14)], [3, 0, 3, 0, 3, 0, 3, 0, 3, 0, 3, 0, 3, 0])
  t.deepEqual(previous(m, 1), Array(11).fill(0))
  lookAtFlows(services)
  t.is(recordOf(m, 1).formerCount, 7, 'not learned yet')
  pass(901)
  lookAtFlows(services, [2])
  t.is(recordOf(m, 1).formerCount, 7, 'a flow is not its owner’s')
  lookAtFlows(services)
  t.deepEqual([recordOf(m, 1).formerCount, services.changes.tables], [0, 0])
})

test('while a table changes its size its owners change and another size waits, also for the next agent', (t) => {
  const m = maps()
  const services = start(m)
  services.reconcile([frontend(1, [backend(3)])])
  services.reconcile([frontend(1, [backend(3), backend(4)], 11)])
  services.reconcile([frontend(1, [backend(4)], 13)])
  t.deepEqual(resolve(m, 1), Array(11).fill(4))
  const successor = start(m)
  successor.reconcile([frontend(1, [backend(4)], 13)])
  t.is(recordOf(m, 1).formerCount, 7)
  pass(901)
  lookAtFlows(successor)
  t.deepEqual([recordOf(m, 1).slotCount, recordOf(m, 1).formerCount], [13, 11])
  pass(901)
  lookAtFlows(successor)
  t.deepEqual([resolve(m, 1), recordOf(m, 1).formerCount], [Array(13).fill(4), 0])
})

test('an agent that has not heard what is wanted settles slots, and prunes nothing', (t) => {
  const m = maps()
  start(m).reconcile([frontend(1, [backend(3)])])
  start(m).reconcile([frontend(1, [backend(3), backend(4)], 11)])
  pass(901)
  lookAtFlows(start(m))
  t.deepEqual([m.frontends.contents.size, recordOf(m, 1).formerCount], [1, 0])
})

test('translated services have no history: conntrack knows their flows', (t) => {
  const m = maps()
  const services = start(m)
  services.reconcile([{ ...frontend(1, [backend(3)]), forwarding: 'nat' }])
  services.reconcile([{ ...frontend(1, [backend(4)], 11), forwarding: 'nat' }])
  t.deepEqual([previous(m, 1), recordOf(m, 1).formerCount], [Array(11).fill(0), 0])
})
