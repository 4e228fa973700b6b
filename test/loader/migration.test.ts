import { join } from 'node:path'

import test from 'ava'

import { BpfMap, BpfObject, FormerMaps, listPins, makePinDirectory, MapMigration, removePins, SplitMap } from '../../loader/index.ts'
import type { BpfObjectOptions, SplitTable } from '../../loader/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { checkLeaks } from './leaks.ts'

const PATH = 'build/fixtures/loader.bpf.o'
const ROOT = `/sys/fs/bpf/sluice-migration-test-${process.pid}`
const FOLDERS = { pins: join(ROOT, 'maps'), staging: join(ROOT, 'maps-new'), former: join(ROOT, 'maps-old') }
type Sizes = NonNullable<BpfObjectOptions['mapSizes']>

checkLeaks(test)
test.beforeEach(() => removePins(ROOT))
test.afterEach.always(() => removePins(ROOT))

const word = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer)
const words = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer)

/** For what the fixture has no map of. */
const [HOST_OBJECT, small] = ['build/bpf/tc_host.bpf.o', { policy_rows: 16, slots: 16, addresses: 16, prefixes: 16, policy: 16, events: 4096 }]
const key = (value: number) => new Uint8Array(40).fill(value)
const value = (first: number) => new Uint8Array(8).fill(first)

function pinOnce(fill: (object: BpfObject) => void, mapSizes: Sizes = {}, path = PATH): void {
  makePinDirectory(FOLDERS.pins)
  using object = BpfObject.open(path, { pinDirectory: FOLDERS.pins, mapSizes, programs: [] }).load()
  fill(object)
}

/** As an agent does it; `meanwhile` is what programs with the old maps do before their links are updated. */
function migrate(mapSizes: Sizes, meanwhile: () => void = () => undefined, path = PATH, splits: readonly SplitTable[] = []): readonly string[] {
  using specification = BpfObject.open(path, { mapSizes })
  const resized = specification.resizedPins(FOLDERS.pins)
  using migration = new MapMigration(FOLDERS, resized, splits)
  using _object = BpfObject.open(path, { mapSizes, pinDirectory: FOLDERS.staging, programs: [] }).load()
  migration.copy()
  meanwhile()
  migration.commit()
  return resized
}

function pinned(name: string): BpfMap {
  return BpfMap.openPinned(join(FOLDERS.pins, name))
}

function fillPairs(object: BpfObject, count: number): void {
  for (let key = 1; key <= count; key++) object.map('pairs').update(word(key), words(key, key * 2))
}

kernelTest('hash, trie, arrays and ring take another size; entries and the other maps stay', (t) => {
  pinOnce((object) => {
    fillPairs(object, 700)
    object.map('prefixes').update(words(24, 0x00070a0a), word(9))
    object.map('mapped').update(word(999), words(5, 6))
    const runs = object.map('runs')
    runs.update(word(0), new Uint8Array(runs.valueSize).fill(3))
  })
  const resized = migrate({ pairs: 2048, prefixes: 128, mapped: 4000, ring: 16384 })
  t.deepEqual([...resized].sort(), ['mapped', 'pairs', 'prefixes', 'ring'])
  using pairs = pinned('pairs')
  using prefixes = pinned('prefixes')
  using mapped = pinned('mapped')
  using runs = pinned('runs')
  using ring = pinned('ring')
  t.deepEqual([pairs, prefixes, mapped, ring].map(({ maxEntries }) => maxEntries), [2048, 128, 4000, 16384])
  t.deepEqual(pairs.lookup(word(700)), words(700, 1400))
  t.deepEqual(prefixes.lookup(words(24, 0x00070a0a)), word(9))
  t.deepEqual(mapped.lookup(word(999)), words(5, 6))
  t.is(runs.lookup(word(0))?.[0], 3)
  t.deepEqual(listPins(ROOT), ['maps'])
  using again = BpfObject.open(PATH, { pinDirectory: FOLDERS.pins, mapSizes: { pairs: 2048, prefixes: 128, mapped: 4000, ring: 16384 } })
  t.notThrows(() => again.load())
})

kernelTest('a smaller size is taken where all entries fit', (t) => {
  pinOnce((object) => {
    fillPairs(object, 16)
    object.map('mapped').update(word(9), words(5, 6))
  })
  migrate({ pairs: 16, mapped: 10 })
  using pairs = pinned('pairs')
  using mapped = pinned('mapped')
  t.deepEqual(pairs.lookup(word(16)), words(16, 32))
  t.deepEqual(mapped.lookup(word(9)), words(5, 6))
})

for (const [what, fill, mapSizes] of [
  ['hash', (object: BpfObject) => fillPairs(object, 17), { pairs: 16 }],
  ['array', (object: BpfObject) => object.map('mapped').update(word(10), words(0, 1)), { mapped: 10 }],
  ['trie', (object: BpfObject) => [1, 2, 3].forEach((key) => object.map('prefixes').update(words(32, key), word(1))), { prefixes: 2 }],
] as const) {
  kernelTest(`a size that the entries of a ${what} do not fit is refused, and all stays as it was`, (t) => {
    pinOnce(fill)
    t.throws(() => migrate(mapSizes), { code: 'INCOMPATIBLE', message: /cannot become one of \d+ entries: it holds .*; give it a larger size/ })
    t.deepEqual(listPins(ROOT), ['maps'])
    using again = BpfObject.open(PATH, { pinDirectory: FOLDERS.pins })
    t.notThrows(() => again.load())
  })
}

kernelTest('what programs write into an LRU after the copy comes too, and newer entries win', (t) => {
  pinOnce((object) => object.map('fragments').update(key(1), value(1)), { ...small, fragments: 1024 }, HOST_OBJECT)
  using old = pinned('fragments')
  migrate({ ...small, fragments: 4096 }, () => {
    old.update(key(1), value(9))
    old.update(key(2), value(2))
  }, HOST_OBJECT)
  const former = new FormerMaps(FOLDERS)
  former.copyLate()
  former.remove()
  using fragments = pinned('fragments')
  t.is(fragments.maxEntries, 4096)
  t.deepEqual([fragments.lookup(key(1)), fragments.lookup(key(2))], [value(1), value(2)])
  t.deepEqual(listPins(ROOT), ['maps'])
})

kernelTest('nor is it lost when the next migration comes before any link was updated', (t) => {
  pinOnce(() => undefined, { ...small, fragments: 1024 }, HOST_OBJECT)
  using first = pinned('fragments')
  migrate({ ...small, fragments: 4096 }, undefined, HOST_OBJECT)
  using second = pinned('fragments')
  migrate({ ...small, fragments: 2048 }, undefined, HOST_OBJECT)
  first.update(key(1), value(1))
  second.update(key(2), value(2))
  new FormerMaps(FOLDERS).copyLate()
  using fragments = pinned('fragments')
  t.is(fragments.maxEntries, 2048)
  t.deepEqual([fragments.lookup(key(1)), fragments.lookup(key(2))], [value(1), value(2)])
})

kernelTest('a process that died while maps changed places has lost nothing', (t) => {
  pinOnce((object) => object.map('fragments').update(key(1), value(1)), { ...small, fragments: 1024 }, HOST_OBJECT)
  const former = new FormerMaps(FOLDERS)
  using fragments = pinned('fragments')
  former.keep(fragments)
  t.notThrows(() => former.copyLate())
  migrate({ ...small, fragments: 4096 }, () => fragments.update(key(2), value(2)), HOST_OBJECT)
  former.copyLate()
  using larger = pinned('fragments')
  t.deepEqual([larger.lookup(key(1)), larger.lookup(key(2))], [value(1), value(2)])
})

const SPLIT = { direct: 'mapped', beyond: 'pairs' }

for (const [change, size] of [['grows', 4096], ['shrinks', 500]] as const) {
  kernelTest(`a table in two maps keeps its entries when its array ${change}`, (t) => {
    const keys = words(3, 700, 2000, 5000)
    pinOnce((object) => new SplitMap(object.map(SPLIT.direct), object.map(SPLIT.beyond)).updateBatch(keys, words(1, 2, 3, 4, 5, 6, 7, 8), 4))
    migrate({ mapped: size }, undefined, PATH, [SPLIT])
    using direct = pinned(SPLIT.direct)
    using beyond = pinned(SPLIT.beyond)
    const table = new SplitMap(direct, beyond)
    t.is(direct.maxEntries, size)
    t.deepEqual([3, 700, 2000, 5000].map((key) => table.lookup(word(key))), [words(1, 2), words(3, 4), words(5, 6), words(7, 8)])
    t.is([...table.entries()].reduce((sum, { count }) => sum + count, 0), 4, 'each in one of them')
    t.deepEqual(listPins(ROOT), ['maps'])
  })
}

kernelTest('a boundary that leaves more entries beyond it than the hash takes is refused', (t) => {
  pinOnce((object) => {
    const table = new SplitMap(object.map(SPLIT.direct), object.map(SPLIT.beyond))
    for (let key = 1; key <= 20; key++) table.update(word(key), words(key, key))
  })
  t.throws(() => migrate({ mapped: 1, pairs: 10 }, undefined, PATH, [SPLIT]), { code: 'INCOMPATIBLE', message: /mapped and pairs cannot become/ })
  t.deepEqual(listPins(ROOT), ['maps'])
})

kernelTest('a process that died in the middle leaves nothing that hinders the next one', (t) => {
  pinOnce((object) => fillPairs(object, 3))
  makePinDirectory(FOLDERS.staging)
  using half = pinned('runs')
  half.pin(join(FOLDERS.staging, 'pairs'))
  migrate({ pairs: 2048 })
  using pairs = pinned('pairs')
  t.deepEqual(pairs.lookup(word(3)), words(3, 6))
})
