import test from 'ava'
import { backendRecord, BackendState } from '../../bpf/index.ts'
import { MemoryMap } from '../testing/memory-map.ts'
import { BackendMap, type BackendSpec } from './backend-map.ts'

type State = BackendSpec['state']

function backend(number: number, state: State = 'active', drainSeconds?: number): BackendSpec {
  const address = new Uint8Array(16).fill(number)
  return { number, address, port: 80, weight: 1, hash: String(number), state, ...(drainSeconds !== undefined && { drainSeconds }) }
}

function make() {
  const map = new MemoryMap('backends', 4, backendRecord.size, 16)
  const backends = new BackendMap(map)
  const tell = (name: string, ...specs: readonly BackendSpec[]): void => backends.setUser(name, { protocol: 6, backends: specs })
  const write = (nowTicks = 0): void => {
    backends.write(nowTicks)
    backends.retire()
  }
  const stateOf = (number: number): number | undefined => {
    const bytes = map.lookup(new Uint8Array(Uint32Array.of(number).buffer))
    return bytes && backendRecord.decode(bytes).state
  }
  return { map, backends, tell, write, stateOf }
}

test('where users disagree about a backend the most alive state holds', (t) => {
  const { tell, write, stateOf, backends } = make()
  const states: State[] = []
  for (const [one, two] of [['active', 'down'], ['draining', 'active'], ['draining', 'down'], ['down', 'down']] as const) {
    tell('one', backend(1, one))
    tell('two', backend(1, two))
    write()
    states.push((['active', 'draining', 'down'] as const)[stateOf(1) ?? 2] as State)
  }
  t.deepEqual(states, ['active', 'active', 'draining', 'down'])
  backends.setUser('one', undefined)
  tell('two', backend(1))
  write()
  t.is(stateOf(1), BackendState.ACTIVE)
  backends.setUser('two', undefined)
  write()
  t.is(stateOf(1), BackendState.DOWN)
})

test('only what differs is written', (t) => {
  const { map, tell, write } = make()
  tell('one', backend(1), backend(2))
  write()
  const writes = map.writes
  tell('one', backend(1), { ...backend(2), weight: 3 })
  write()
  t.is(map.writes, writes)
  tell('one', backend(1), { ...backend(2), port: 81 })
  write()
  t.is(map.writes, writes + 1)
})

test('a backend goes down only after the slots that named it were written', (t) => {
  const { backends, tell, write, stateOf } = make()
  tell('one', backend(1), backend(2))
  write()
  tell('one', backend(1, 'down'))
  backends.write(0)
  t.deepEqual([stateOf(1), stateOf(2)], [BackendState.ACTIVE, BackendState.ACTIVE])
  backends.retire()
  t.deepEqual([stateOf(1), stateOf(2)], [BackendState.DOWN, BackendState.DOWN])
})

test('what was left by an earlier agent and no user names goes down', (t) => {
  const { map, tell, write, stateOf } = make()
  tell('one', backend(1), backend(2))
  write()
  const successor = new BackendMap(map)
  successor.setUser('one', { protocol: 6, backends: [backend(2)] })
  successor.write(0)
  successor.retire()
  t.deepEqual([stateOf(1), stateOf(2)], [BackendState.DOWN, BackendState.ACTIVE])
})

test('a backend that is back after its drain was over takes flows, and a new drain has its whole time', (t) => {
  const { backends, tell, write, stateOf } = make()
  const second = 60 // ticks, about
  tell('one', backend(1, 'draining', 10))
  write(0)
  backends.endDrains(11 * second)
  t.is(stateOf(1), BackendState.DOWN)
  tell('one', backend(1))
  write(11 * second)
  t.is(stateOf(1), BackendState.ACTIVE)
  tell('one', backend(1, 'draining', 10))
  write(12 * second)
  backends.endDrains(20 * second)
  t.is(stateOf(1), BackendState.DRAINING)
})
