import test from 'ava'
import type { TableEvent } from './api/types.ts'
import { Table } from './table.ts'

interface Item {
  readonly name: string
  readonly value: number
}

function table(...items: Item[]): Table<Item> {
  const made = new Table<Item>('items', ({ name }) => name)
  made.replaceAll(items)
  return made
}

test('a watcher sees what there is, then synced, then changes, then nothing more', (t) => {
  const items = table({ name: 'a', value: 1 })
  const seen: TableEvent<Item>[] = []
  const stop = items.watch((event) => seen.push(event))
  items.set({ name: 'b', value: 2 })
  items.delete('a')
  stop()
  items.set({ name: 'c', value: 3 })
  t.deepEqual(seen.map(({ type }) => type), ['update', 'synced', 'update', 'delete'])
})

test('replacing by equal items is no change', (t) => {
  const items = table({ name: 'a', value: 1 })
  const { revision } = items.list()
  items.replaceAll([{ name: 'a', value: 1 }])
  items.delete('nobody')
  t.is(items.list().revision, revision)
  items.replaceAll([{ name: 'a', value: 2 }])
  t.is(items.list().revision, revision + 1)
})
