import test from 'ava'

import { BpfObject, LoaderError, VerifierError } from '../../loader/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { checkLeaks } from './leaks.ts'

const PATH = 'build/fixtures/loader.bpf.o'
const PACKET = new Uint8Array(64)

checkLeaks(test)

function resultWith(constants: Record<string, number | Uint8Array>): number {
  using object = BpfObject.open(PATH, { constants }).load()
  return object.program('tc_constants').testRun({ data: PACKET }).result
}

kernelTest('constants keep the source’s values, and take those that the loader sets', (t) => {
  t.is(resultWith({}), 0 - 1 + 1)
  t.is(resultWith({ result: 40, signed_offset: 3 }), 44)
  t.is(resultWith({ result: 40, signed_offset: -30, bytes: Uint8Array.of(9, 0, 0, 0) }), 19)
})

kernelTest('a constant that does not exist or does not fit is refused by name', (t) => {
  t.throws(() => BpfObject.open(PATH, { constants: { results: 1 } }), {
    code: 'NOT_FOUND',
    message: /no constant results; it has result, signed_offset, bytes/
  })
  t.throws(() => BpfObject.open(PATH, { constants: { signed_offset: 40000 } }), { code: 'BAD_ARGUMENT', message: /40000 does not fit/ })
  t.throws(() => BpfObject.open(PATH, { constants: { bytes: 1 } }), { code: 'BAD_ARGUMENT', message: /give its 4 bytes/ })
  t.throws(() => BpfObject.open(PATH, { mapSizes: { pair: 1 } }), { code: 'NOT_FOUND', message: /no map pair; it has .*pairs/ })
})

kernelTest('only the programs asked for are loaded, and the kernel tells of them', (t) => {
  using object = BpfObject.open(PATH, { programs: ['xdp_record'] }).load()
  t.deepEqual(object.programs.map((program) => program.name), ['xdp_record'])
  const { info } = object.program('xdp_record')
  t.is(info.name, 'xdp_record')
  t.true(info.instructions > 10 && info.verifiedInstructions >= 10, JSON.stringify({ ...info, runTimeNs: 0, runCount: 0 }))
  t.throws(() => object.program('xdp_drop'), { code: 'NOT_FOUND' })
})

kernelTest('map sizes are set before loading', (t) => {
  using object = BpfObject.open(PATH, { mapSizes: { pairs: 77 } }).load()
  t.is(object.map('pairs').maxEntries, 77)
  t.is(object.map('mapped').maxEntries, 1000)
})

kernelTest('two objects share a map that one of them made', (t) => {
  using first = BpfObject.open(PATH).load()
  using second = BpfObject.open(PATH, { maps: { pairs: first.map('pairs') } }).load()
  t.is(second.map('pairs').id, first.map('pairs').id)
  t.not(second.map('mapped').id, first.map('mapped').id)
})

kernelTest('a program that the verifier refuses is named, with the reason and the whole log', (t) => {
  using object = BpfObject.open('build/fixtures/refused.bpf.o')
  const error = t.throws(() => object.load(), { instanceOf: VerifierError })
  t.is(error?.program, 'xdp_unchecked')
  t.regex(error?.summary ?? '', /outside of the packet.*data\[13\]/)
  t.regex(error?.log ?? '', /processed \d+ insns/)
})

kernelTest('a resource that is used after its disposal says so', (t) => {
  const object = BpfObject.open(PATH).load()
  const map = object.map('pairs')
  object[Symbol.dispose]()
  t.throws(() => map.lookup(new Uint8Array(4)), { instanceOf: LoaderError, code: 'CLOSED' })
  t.notThrows(() => object[Symbol.dispose]())
})

kernelTest('a file that is no object is refused', (t) => {
  const error = t.throws(() => BpfObject.open('package.json'), { instanceOf: LoaderError })
  t.regex(error?.message ?? '', /package\.json/)
})
