import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { Files } from './files.ts'

async function setUp(t: ExecutionContext) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-files-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const inside = (...path: string[]): string => join(folder, ...path)
  const write = (name: string, text: string): void => writeFileSync(inside(name), text)
  const files = new Files([folder])
  const texts = () => Object.fromEntries([...files.listing.files].map(([path, content]) => [path.slice(folder.length + 1), 'text' in content ? content.text : content.error]))
  write('a.yaml', 'a')
  write('b.yaml', 'b')
  await files.walk()
  return { files, inside, write, texts, look: (...names: string[]) => files.look(new Set(names.map((name) => inside(name)))) }
}

test('what was told of is read again, and nothing else', async (t) => {
  const { write, texts, look } = await setUp(t)
  write('a.yaml', 'A')
  write('b.yaml', 'B')
  t.true(look('b.yaml'))
  t.deepEqual(texts(), { 'a.yaml': 'a', 'b.yaml': 'B' })
})

test('files come and go without a look at all of them', async (t) => {
  const { inside, write, texts, look } = await setUp(t)
  write('0.yaml', 'new')
  write('notes.txt', 'other')
  rmSync(inside('a.yaml'))
  t.true(look('0.yaml', 'notes.txt', 'a.yaml', '.0.yaml.tmp'))
  t.deepEqual(Object.entries(texts()), [['0.yaml', 'new'], ['b.yaml', 'b']], 'in the order of paths')
})

test('folders and links want a look at everything', async (t) => {
  const { inside, look } = await setUp(t)
  mkdirSync(inside('team'))
  symlinkSync('a.yaml', inside('link.yaml'))
  t.false(look('team'))
  t.false(look('link.yaml'))
  writeFileSync(inside('team', 'c.yaml'), 'c')
  t.false(look(join('team', 'c.yaml')), 'a folder that was not read yet')
})

test('a walk sees every change, also of the same length and time', async (t) => {
  const { files, inside, write, texts } = await setUp(t)
  const { atime, mtime } = statSync(inside('a.yaml'))
  await sleep(1_100) // By now the time of the file is trusted.
  await files.walk()
  write('a.yaml', 'x')
  utimesSync(inside('a.yaml'), atime, mtime)
  await files.walk()
  t.is(texts()['a.yaml'], 'x')
  write('.b', 'y')
  renameSync(inside('.b'), inside('b.yaml'))
  await files.walk()
  t.is(texts()['b.yaml'], 'y')
})

test('an unchanged file is the same content again', async (t) => {
  const { files, inside, look } = await setUp(t)
  const before = files.listing.files.get(inside('a.yaml'))
  await sleep(1_100)
  await files.walk()
  t.is(files.listing.files.get(inside('a.yaml')), before)
  t.true(look('a.yaml'))
  t.is(files.listing.files.get(inside('a.yaml')), before)
})
