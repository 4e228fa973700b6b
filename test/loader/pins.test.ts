import { existsSync } from 'node:fs'
import { join } from 'node:path'

import test from 'ava'

import { BpfMap, BpfObject, listPins, makePinDirectory, Program, removePins } from '../../loader/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { checkLeaks } from './leaks.ts'

const PATH = 'build/fixtures/loader.bpf.o'
const PINS = `/sys/fs/bpf/sluice-pins-test-${process.pid}`
const KEY = Uint8Array.of(1, 0, 0, 0)
const VALUE = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)

checkLeaks(test)
test.beforeEach(() => removePins(PINS))
test.afterEach.always(() => removePins(PINS))

function pinOnce(): void {
  makePinDirectory(PINS)
  using object = BpfObject.open(PATH, { pinDirectory: PINS }).load()
  object.map('pairs').update(KEY, VALUE)
}

kernelTest('pinned maps are taken over with their contents, by an object and by their path', (t) => {
  pinOnce()
  t.deepEqual(listPins(PINS), ['mapped', 'pairs', 'prefixes', 'ring', 'runs'])
  using again = BpfObject.open(PATH, { pinDirectory: PINS }).load()
  t.deepEqual(again.map('pairs').lookup(KEY), VALUE)
  using opened = BpfMap.openPinned(join(PINS, 'pairs'))
  t.is(opened.id, again.map('pairs').id)
})

kernelTest('a pinned map of another size is refused, and stays as it is', (t) => {
  pinOnce()
  using object = BpfObject.open(PATH, { pinDirectory: PINS, mapSizes: { pairs: 2048 } })
  t.throws(() => object.load(), { code: 'INCOMPATIBLE', message: /pairs has another layout.*maxEntries is 1024, the object wants 2048/ })
  using opened = BpfMap.openPinned(join(PINS, 'pairs'))
  t.deepEqual(opened.lookup(KEY), VALUE)
})

kernelTest('a pinned map whose fields moved is refused, although sizes are equal', (t) => {
  pinOnce()
  using object = BpfObject.open('build/fixtures/relaid.bpf.o', { pinDirectory: PINS })
  t.throws(() => object.load(), { code: 'INCOMPATIBLE', message: /its value is struct of 8 bytes \{ 0 first: u32.*wants struct of 8 bytes \{ 0 second/ })
})

kernelTest('a pinned program outlives its object', (t) => {
  makePinDirectory(PINS)
  const path = join(PINS, 'drop')
  {
    using object = BpfObject.open(PATH, { programs: ['xdp_drop'] }).load()
    object.program('xdp_drop').pin(path)
  }
  using program = Program.openPinned(path)
  t.is(program.testRun({ data: new Uint8Array(64) }).result, 1)
})

kernelTest('what is not pinned is ENOENT, and a folder outside bpffs is refused', (t) => {
  t.throws(() => BpfMap.openPinned(join(PINS, 'nothing')), { code: 'SYSTEM', message: /ENOENT/ })
  const folder = `/tmp/sluice-no-bpffs-${process.pid}`
  t.throws(() => makePinDirectory(folder), { code: 'BAD_ARGUMENT', message: /on no bpffs/ })
  removePins(folder)
  t.false(existsSync(folder))
})
