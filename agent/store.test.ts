import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { DatabaseSync } from 'node:sqlite'
import test, { type ExecutionContext } from 'ava'
import { StateLock } from './lock.ts'
import { Store } from './store.ts'

function stateDir(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-state-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  return folder
}

test('a number is the same for ever, also after a restart', (t) => {
  const folder = stateDir(t)
  const first = Store.open(folder)
  const numbers = ['a', 'b', 'a'].map((key) => first.number('identity', key))
  t.deepEqual(numbers, [256, 257, 256])
  first[Symbol.dispose]()
  using second = Store.open(folder)
  t.is(second.number('identity', 'b'), 257)
  t.is(second.number('identity', 'c'), 258)
})

test('a freed number rests until all others were given', (t) => {
  const last = 1_000
  using store = Store.open(stateDir(t), { backend: last })
  store.transaction(() => {
    for (let index = 1; index <= last; index++) store.number('backend', `backend ${index}`)
  })
  t.throws(() => store.number('backend', 'one more'), { code: 'CAPACITY' })
  const all = new Set(store.numbersOf('backend').keys())
  store.keepNumbers('backend', all.difference(new Set(['backend 7', 'backend 5'])))
  t.is(store.number('backend', 'x'), 5)
  t.is(store.number('backend', 'y'), 7)
})

test('a number that its map became too small for is given anew', (t) => {
  const folder = stateDir(t)
  {
    using store = Store.open(folder, { backend: 255 })
    for (let index = 1; index <= 200; index++) store.number('backend', `backend ${index}`)
  }
  using store = Store.open(folder, { backend: 99 })
  store.keepNumbers('backend', new Set(['backend 7', 'backend 200']))
  t.is(store.number('backend', 'backend 7'), 7)
  t.is(store.number('backend', 'backend 200'), 1)
  t.is(store.number('backend', 'backend 200'), 1)
  t.is(store.number('backend', 'x'), 2)
})

test('a number that was just freed is not the next one', (t) => {
  using store = Store.open(stateDir(t))
  store.number('backend', 'a')
  store.keepNumbers('backend', new Set())
  t.is(store.number('backend', 'b'), 2)
})

test('a transaction that fails leaves nothing behind, also not in memory', (t) => {
  using store = Store.open(stateDir(t))
  t.throws(() =>
    store.transaction(() => {
      store.number('rule', 'lost')
      throw new Error('no')
    }),
  )
  t.is(store.number('rule', 'kept'), 1)
  t.deepEqual([...store.numbersOf('rule')], [['kept', 1]])
})

test('of writes that wait for their commit only those of the transaction that fails are taken back', (t) => {
  const folder = stateDir(t)
  {
    using store = Store.open(folder)
    store.number('rule', 'kept')
    t.throws(() =>
      store.transaction(() => {
        store.number('rule', 'lost')
        throw new Error('no')
      }),
    )
    store.number('rule', 'later')
    t.deepEqual([...store.numbersOf('rule').keys()], ['kept', 'later'])
  }
  using again = Store.open(folder)
  t.deepEqual([...again.numbersOf('rule')], [['kept', 1], ['later', 2]])
})

test('texts survive', (t) => {
  const folder = stateDir(t)
  const manifest = { kind: 'NetworkPolicy', namespace: 'demo', name: 'web', text: '{}' }
  {
    using store = Store.open(folder)
    store.changeApplied({ kept: [manifest, { ...manifest, name: 'gone' }], forgotten: [] })
    store.changeApplied({ kept: [], forgotten: [{ ...manifest, name: 'gone' }] })
    store.changeLastGood([{ file: 'a.yaml', text: 'a' }, { file: 'b.yaml', text: 'b' }])
    store.changeLastGood([{ file: 'a.yaml', text: undefined }, { file: 'b.yaml', text: 'changed' }])
  }
  using store = Store.open(folder)
  t.deepEqual(store.appliedManifests(), [manifest])
  t.deepEqual([...store.lastGood()], [['b.yaml', 'changed']])
})

test('a store of the former version keeps its numbers and texts', (t) => {
  const folder = stateDir(t)
  const database = new DatabaseSync(join(folder, 'state.db'))
  database.exec(`
    CREATE TABLE numbers (space TEXT NOT NULL, key TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (space, key), UNIQUE (space, number)) WITHOUT ROWID;
    CREATE TABLE last_numbers (space TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE applied (kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (kind, namespace, name)) WITHOUT ROWID;
    CREATE TABLE last_good (file TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
    INSERT INTO numbers VALUES ('rule', 'a', 7), ('identity', 'a', 300);
    INSERT INTO last_numbers VALUES ('rule', 9);
    INSERT INTO last_good VALUES ('a.yaml', 'text');
    PRAGMA user_version = 1;`)
  database.close()
  using store = Store.open(folder)
  t.deepEqual([store.number('rule', 'a'), store.number('identity', 'a'), store.number('rule', 'b')], [7, 300, 10])
  t.deepEqual([...store.lastGood()], [['a.yaml', 'text']])
})

test('after a write that failed nothing is given any more, until the next start', (t) => {
  const folder = stateDir(t)
  {
    using store = Store.open(folder)
    store.number('rule', 'kept')
    store.commit()
    const other = new DatabaseSync(join(folder, 'state.db'))
    other.exec('BEGIN EXCLUSIVE')
    t.throws(() => store.number('rule', 'lost'), { code: 'STORE', message: /cannot be written/ })
    other.close()
    t.throws(() => store.number('rule', 'more'), { code: 'STORE' }, 'though it could be written again')
    t.throws(() => store.commit(), { code: 'STORE' })
    t.is(store.number('rule', 'kept'), 1, 'what is known is known')
  }
  using again = Store.open(folder)
  t.deepEqual([...again.numbersOf('rule')], [['kept', 1]])
})

test('a store of a later version is refused, not touched', (t) => {
  const folder = stateDir(t)
  const database = new DatabaseSync(join(folder, 'state.db'))
  database.exec('PRAGMA user_version = 99')
  database.close()
  t.throws(() => Store.open(folder), { code: 'STORE', message: /version 99/ })
})

test('a damaged store is an error that says what to do', (t) => {
  const folder = stateDir(t)
  const database = new DatabaseSync(join(folder, 'state.db'))
  database.exec('PRAGMA user_version = 2') // says it is ours, but has no tables
  database.close()
  t.throws(() => Store.open(folder), { code: 'STORE' })
})

test('a state folder that cannot be made says who could', (t) => {
  const file = join(stateDir(t), 'file')
  writeFileSync(file, '')
  t.throws(() => StateLock.acquire(join(file, 'state')), { code: 'STORE', message: /^cannot make the state folder .*file\/state$/ })
})

test('a second agent on the same state folder is told which process has it', async (t) => {
  const folder = stateDir(t)
  const holder = fork(new URL('./testing/hold-lock.ts', import.meta.url).pathname, [folder])
  t.teardown(() => holder.kill('SIGKILL'))
  await once(holder, 'message')
  t.throws(() => StateLock.acquire(folder), { code: 'LOCKED', message: new RegExp(`process ${holder.pid}\\b`) })
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  using lock = StateLock.acquire(folder)
  t.truthy(lock, 'the kernel dropped the lock of the killed process')
})
