import test from 'ava'
import fc from 'fast-check'
import { CLOCK, DENIED, DIRECTORY } from './fixtures.ts'
import { toFlow } from './flow.ts'
import type { Flow } from './flow.ts'
import { FlowHistory } from './history.ts'

const FLOW = toFlow(DENIED, DIRECTORY, CLOCK)
const flow = (length: number): Flow => ({ ...FLOW, length })
const lengths = (flows: readonly Flow[]) => flows.map(({ length }) => length)

test('the last flows are those of a list without an end, cut to the capacity', (t) => {
  const property = fc.property(fc.integer({ min: 1, max: 8 }), fc.nat(30), fc.nat(12), (capacity, pushed, count) => {
    const history = new FlowHistory(capacity)
    const all = Array.from({ length: pushed }, (_, i) => i)
    for (const i of all) history.push(flow(i))
    const kept = all.slice(-capacity)
    t.deepEqual(lengths(history.last(count)), count === 0 ? [] : kept.slice(-count))
    t.is(history.size, kept.length)
  })
  t.notThrows(() => fc.assert(property))
})

test('the newest that match, oldest first', (t) => {
  const history = new FlowHistory(10)
  for (let i = 0; i < 10; i++) history.push(flow(i))
  t.deepEqual(lengths(history.last(2, ({ length }) => length % 3 === 0)), [6, 9])
})

test('a subscriber sees what matches until it is disposed of', (t) => {
  const history = new FlowHistory(2)
  const seen: Flow[] = []
  {
    using _ = history.subscribe((next) => seen.push(next), ({ length }) => length > 1)
    for (let i = 0; i < 4; i++) history.push(flow(i))
  }
  history.push(flow(4))
  t.deepEqual(lengths(seen), [2, 3])
})

test('a capacity of nothing is an error', (t) => {
  t.throws(() => new FlowHistory(0), { message: /capacity of flows is 0/ })
})
