import test from 'ava'
import { backendRecord, frontendKeyRecord, serviceRecord, slotRecord } from '../../bpf/index.ts'
import { MemoryMap } from '../testing/memory-map.ts'
import { type BackendSpec, type FrontendSpec, type MaglevPort, ServiceMaps } from './services.ts'

/** Round robin in the order of hashes: which table it is does not matter here, that it arrives does. */
const engine: MaglevPort = {
  maglev: (backends, slots) => Uint32Array.from({ length: slots }, (_, slot) => slot % backends.length),
}

function maps(slots = 64) {
  return {
    frontends: new MemoryMap('frontends', frontendKeyRecord.size, serviceRecord.size, 4),
    slots: new MemoryMap('slots', 4, slotRecord.size, slots),
    backends: new MemoryMap('backends', 4, backendRecord.size, 16),
  }
}

function address(last: number): Uint8Array {
  return Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last])
}

function backend(number: number, weight = 1): BackendSpec {
  return { number, address: address(number), port: 80, weight, hash: `10.0.0.${number}:80` }
}

function frontend(last: number, backends: readonly BackendSpec[], tableSize = 7): FrontendSpec {
  return { serviceId: last, address: address(last), port: 80, protocol: 6, forwarding: 'ipip', tableSize, backends }
}

/** Backend numbers that the datapath would find for a frontend. */
function resolve(m: ReturnType<typeof maps>, last: number): number[] | undefined {
  const record = m.frontends.lookup(frontendKeyRecord.encode({ address: address(last), port: 80, protocol: 6 }))
  if (record === undefined) return undefined
  const { slotBase, slotCount } = serviceRecord.decode(record)
  return Array.from({ length: slotCount }, (_, index) => {
    const slot = m.slots.lookup(new Uint8Array(Uint32Array.of(slotBase + index).buffer))
    if (slot === undefined) throw new Error(`slot ${slotBase + index} was never written`)
    return slotRecord.decode(slot).backend
  })
}

test('a frontend leads to its backends, and its report counts their slots', (t) => {
  const m = maps()
  const report = new ServiceMaps(engine, m).reconcile([frontend(1, [backend(3), backend(4)])])
  t.deepEqual(resolve(m, 1), [3, 4, 3, 4, 3, 4, 3])
  t.deepEqual(report, [new Map([[3, 4], [4, 3]])])
  t.is(backendRecord.decode(m.backends.lookup(new Uint8Array(Uint32Array.of(3).buffer)) ?? new Uint8Array()).port, 80)
})

test('an equal specification writes nothing', (t) => {
  const m = maps()
  const services = new ServiceMaps(engine, m)
  services.reconcile([frontend(1, [backend(3)])])
  const before = m.slots.writes + m.frontends.writes + m.backends.writes
  services.reconcile([frontend(1, [backend(3)])])
  t.is(m.slots.writes + m.frontends.writes + m.backends.writes, before)
})

test('the old table stays whole until the frontend switched', (t) => {
  const m = maps()
  const services = new ServiceMaps(engine, m)
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
  const services = new ServiceMaps(engine, m)
  for (let last = 1; last <= 6; last++) {
    services.reconcile([frontend(last, [backend(last)])])
    t.is(m.frontends.contents.size, 1)
  }
  t.is(resolve(m, 1), undefined)
})

test('no room for one table: none is written', (t) => {
  const m = maps(13)
  const services = new ServiceMaps(engine, m)
  t.throws(() => services.reconcile([frontend(1, [backend(1)]), frontend(2, [backend(2)])]), { code: 'CAPACITY' })
  t.is(m.frontends.contents.size, 0)
  services.reconcile([frontend(1, [backend(1)])])
  t.deepEqual(resolve(m, 1), [1, 1, 1, 1, 1, 1, 1])
})

test('more frontends than the map holds are refused before the first write', (t) => {
  const m = maps()
  const five = [1, 2, 3, 4, 5].map((last) => frontend(last, [backend(last)]))
  t.throws(() => new ServiceMaps(engine, m).reconcile(five), { code: 'CAPACITY', message: /frontends/ })
  t.is(m.frontends.writes, 0)
})

test('a service without backends has no slots', (t) => {
  const m = maps()
  new ServiceMaps(engine, m).reconcile([frontend(1, [backend(1, 0)])])
  t.deepEqual(resolve(m, 1), [])
})

test('a new agent takes the tables of the old one over: its regions are not overwritten', (t) => {
  const m = maps(21)
  new ServiceMaps(engine, m).reconcile([frontend(1, [backend(1)]), frontend(2, [backend(2)])])
  const successor = new ServiceMaps(engine, m)
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
  const [before] = new ServiceMaps(engine, m).reconcile(wanted)
  const writes = m.slots.writes + m.frontends.writes
  const [after] = new ServiceMaps(engine, m).reconcile(wanted)
  t.deepEqual(after, before)
  t.is(m.slots.writes + m.frontends.writes, writes)
})

test('a table of an earlier agent that differs in one slot is built again', (t) => {
  const m = maps()
  new ServiceMaps(engine, m).reconcile([frontend(1, [backend(1)])])
  m.slots.update(new Uint8Array(Uint32Array.of(3).buffer), slotRecord.encode({ backend: 9, previous: 0 }))
  new ServiceMaps(engine, m).reconcile([frontend(1, [backend(1)])])
  t.deepEqual(resolve(m, 1), [1, 1, 1, 1, 1, 1, 1])
})

test('where a map refuses a write, the room for new tables is free again and the old ones still stand', (t) => {
  const m = maps(28) // Two tables and their successors.
  const services = new ServiceMaps(engine, m)
  services.reconcile([frontend(1, [backend(3)]), frontend(2, [backend(3)])])
  const wanted = [frontend(1, [backend(4)]), frontend(2, [backend(4)])]
  for (const refusing of [m.backends, m.slots, m.frontends]) {
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
  const services = new ServiceMaps(engine, m)
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
