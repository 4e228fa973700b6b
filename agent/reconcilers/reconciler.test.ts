import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { Logger } from '../log.ts'
import { Reconciler } from './reconciler.ts'

const log = new Logger('error', () => undefined)

test('a failure shows and is tried again by itself until it succeeds', async (t) => {
  let attempts = 0
  const reconciler = new Reconciler({
    name: 'x',
    log,
    backOffMs: [1],
    reconcile: async () => {
      if (++attempts < 3) throw Object.assign(new Error('map is full'), { code: 'CAPACITY', hint: 'raise its size' })
    },
  })
  await t.throwsAsync(reconciler.trigger(), { message: 'map is full' })
  t.deepEqual(reconciler.state.error, { code: 'CAPACITY', message: 'map is full', hint: 'raise its size' })
  while (reconciler.state.error !== undefined) await sleep(1)
  t.is(attempts, 3)
  t.is(reconciler.state.failures, 2)
  await reconciler.stop()
})

test('who triggers during a run waits for a run that began later', async (t) => {
  const gates: PromiseWithResolvers<void>[] = []
  const reconciler = new Reconciler({
    name: 'x',
    log,
    reconcile: () => {
      const gate = Promise.withResolvers<void>()
      gates.push(gate)
      return gate.promise
    },
  })
  const first = reconciler.trigger()
  const second = reconciler.trigger()
  const third = reconciler.trigger()
  t.is(gates.length, 1)
  gates[0]?.resolve()
  await first
  while (gates.length < 2) await sleep(1)
  gates[1]?.resolve()
  await Promise.all([second, third])
  t.is(gates.length, 2, 'waiting triggers share one run')
})

test('after stop nothing runs', async (t) => {
  let runs = 0
  const reconciler = new Reconciler({ name: 'x', log, everyMs: 1, reconcile: async () => void runs++ })
  await reconciler.trigger()
  await reconciler.stop()
  await sleep(10)
  await reconciler.trigger()
  t.is(runs, 1)
})

test('a failure that repeats is logged once, another one and the recovery too', async (t) => {
  const lines: string[] = []
  const failures = ['map is full', 'map is full', 'no memory']
  const reconciler = new Reconciler({
    name: 'x',
    log: new Logger('info', (line) => lines.push(line)),
    backOffMs: [1],
    reconcile: async () => {
      const failure = failures.shift()
      if (failure !== undefined) throw new Error(failure)
    },
  })
  await t.throwsAsync(reconciler.trigger())
  while (reconciler.state.error !== undefined) await sleep(1)
  await reconciler.stop()
  t.is(reconciler.state.failures, 3)
  t.deepEqual(lines.map((line) => JSON.parse(line).error?.message ?? 'works'), ['map is full', 'no memory', 'works'])
})
