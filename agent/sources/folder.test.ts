import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { Logger } from '../log.ts'
import { type FolderListing, FolderSource } from './folder.ts'

class Watched {
  readonly folder: string
  readonly listings: FolderListing[] = []

  constructor(folder: string) {
    this.folder = folder
  }

  get latest(): Record<string, string> {
    const files = [...(this.listings.at(-1)?.files ?? [])]
    return Object.fromEntries(files.map(([name, content]) => [name.slice(this.folder.length + 1), 'text' in content ? content.text : content.error]))
  }

  /** A test that waits for ever fails by its time-out. */
  async until(expected: Record<string, string>): Promise<void> {
    while (JSON.stringify(this.latest) !== JSON.stringify(expected)) await sleep(5)
  }
}

async function start(t: ExecutionContext, { exists = true } = {}): Promise<Watched> {
  const parent = mkdtempSync(join(tmpdir(), 'sluice-folder-'))
  const watched = new Watched(join(parent, 'manifests'))
  if (exists) mkdirSync(watched.folder)
  const stop = new AbortController()
  t.teardown(() => {
    stop.abort()
    rmSync(parent, { recursive: true })
  })
  const onListing = async (listing: FolderListing): Promise<void> => void watched.listings.push(listing)
  new FolderSource([watched.folder], onListing, { log: new Logger('error', () => undefined), signal: stop.signal }).start()
  while (watched.listings.length === 0) await sleep(1)
  return watched
}

test('lists at the start, then whenever a file changes, also below new folders', async (t) => {
  const watched = await start(t)
  t.deepEqual(watched.latest, {})
  writeFileSync(join(watched.folder, 'b.yaml'), 'b')
  await watched.until({ 'b.yaml': 'b' })
  mkdirSync(join(watched.folder, 'team'))
  writeFileSync(join(watched.folder, 'team', 'a.json'), '{}')
  await watched.until({ 'b.yaml': 'b', 'team/a.json': '{}' })
  rmSync(join(watched.folder, 'b.yaml'))
  await watched.until({ 'team/a.json': '{}' })
  t.pass()
})

test('a file that is replaced by renaming is read once, whole', async (t) => {
  const watched = await start(t)
  writeFileSync(join(watched.folder, '.a.yaml.tmp'), 'new')
  renameSync(join(watched.folder, '.a.yaml.tmp'), join(watched.folder, 'a.yaml'))
  await watched.until({ 'a.yaml': 'new' })
  t.true(watched.listings.every(({ files }) => [...files.keys()].every((name) => !name.includes('.tmp'))))
})

test('other files do not count', async (t) => {
  const watched = await start(t)
  for (const name of ['README.md', '.hidden.yaml', 'a.yaml~', 'b.yml']) writeFileSync(join(watched.folder, name), name)
  await watched.until({ 'b.yml': 'b.yml' })
  t.pass()
})

test('links are followed once: a loop is said, and its files are read by one path', async (t) => {
  const watched = await start(t)
  const inside = (...path: string[]): string => join(watched.folder, ...path)
  mkdirSync(inside('team', 'deep'), { recursive: true })
  symlinkSync(watched.folder, inside('team', 'deep', 'loop'))
  symlinkSync('team', inside('again'))
  mkdirSync(join(watched.folder, '..', 'elsewhere'))
  writeFileSync(join(watched.folder, '..', 'elsewhere', 'b.yaml'), 'b')
  symlinkSync('../elsewhere', inside('linked'))
  writeFileSync(inside('team', 'deep', 'a.yaml'), 'a')
  const already = (target: string): string => `it leads to ${target}, which is read already: remove the link`
  const expected = { 'linked/b.yaml': 'b', 'team/deep/a.yaml': 'a', 'again': already(inside('team')), 'team/deep/loop': already(watched.folder) }
  await watched.until(expected)
  t.pass()
})

test('a mounted ConfigMap has its files once, through links into a hidden folder', async (t) => {
  const watched = await start(t)
  mkdirSync(join(watched.folder, '..2026_11_21'))
  writeFileSync(join(watched.folder, '..2026_11_21', 'a.yaml'), 'a')
  symlinkSync('..2026_11_21', join(watched.folder, '..data'))
  symlinkSync('..data/a.yaml', join(watched.folder, 'a.yaml'))
  await watched.until({ 'a.yaml': 'a' })
  t.pass()
})

test('a folder that is not there is said, and taken up when it comes', async (t) => {
  const watched = await start(t, { exists: false })
  t.true(watched.listings[0]?.unreadable.has(watched.folder))
  mkdirSync(watched.folder)
  writeFileSync(join(watched.folder, 'a.yaml'), 'a')
  await watched.until({ 'a.yaml': 'a' })
  t.is(watched.listings.at(-1)?.unreadable.size, 0)
})
