import test from 'ava'
import { Tables } from '../tables.ts'
import type { Publication, PublishedState } from './protocol.ts'
import { Publisher } from './publisher.ts'

const state: PublishedState = { parts: {}, reconcilers: [], statistics: undefined, conntrack: undefined, flows: undefined }
const identity = (number: number, labels: string[] = []) => ({ number, labels, reserved: false, addresses: 1 })

function setUp() {
  const tables = new Tables()
  const sent: Publication[] = []
  return { tables, sent, publisher: new Publisher(tables.all, (publication) => sent.push(publication)) }
}

test('one message at a time, few changes in each, and the state with the last', (t) => {
  const { tables, sent, publisher } = setUp()
  for (let number = 0; number < 300; number++) tables.identities.set(identity(number))
  publisher.publish(state)
  t.is(sent.length, 1)
  while (sent.at(-1)?.state === undefined) publisher.acknowledged()
  t.deepEqual(sent.map(({ changes }) => changes.length), [128, 128, 44])
  const copy = new Tables()
  for (const { changes } of sent) copy.apply(changes)
  t.deepEqual(copy.identities.list().items, tables.identities.list().items)
})

test('of changes that were not sent yet only the last counts, removals too', (t) => {
  const { tables, sent, publisher } = setUp()
  publisher.publish(state)
  tables.identities.set(identity(1))
  tables.identities.set(identity(1, ['k8s:app=web']))
  tables.identities.set(identity(2))
  tables.identities.delete('2')
  publisher.publish(state)
  t.is(sent.length, 1, 'the first is not acknowledged yet')
  publisher.acknowledged()
  t.deepEqual(sent[1]?.changes, [
    { table: 'identities', key: '1', item: JSON.stringify(identity(1, ['k8s:app=web'])) },
    { table: 'identities', key: '2' },
  ])
})

test('flushed waits for the last acknowledgement', async (t) => {
  const { tables, publisher } = setUp()
  await publisher.flushed()
  tables.identities.set(identity(1))
  publisher.publish(state)
  let flushed = false
  const waiting = publisher.flushed().then(() => (flushed = true))
  await Promise.resolve()
  t.false(flushed)
  publisher.acknowledged()
  await waiting
  t.true(flushed)
})
