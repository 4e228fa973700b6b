import test from 'ava'

import { BatchError, BpfMap, BpfObject, SplitMap, systemLibbpf } from '../../loader/index.ts'
import type { Libbpf } from '../../loader/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { checkLeaks } from './leaks.ts'

const PATH = 'build/fixtures/loader.bpf.o'
const ENOTSUPP = 524

/** TypeScript declares it for browsers only. */
declare const WebAssembly: { readonly Memory: new (size: { initial: number }) => { readonly buffer: ArrayBuffer } }

checkLeaks(test)

/** libbpf as on a kernel whose maps have no batch operations. */
function withoutBatches(): Libbpf {
  const refuse = () => -ENOTSUPP
  return { ...systemLibbpf(), mapUpdateBatch: refuse, mapDeleteBatch: refuse, mapLookupBatch: refuse }
}

function words(...values: number[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Uint32Array.from(values).buffer)
}

function toWords(bytes: Uint8Array): number[] {
  return [...new Uint32Array(bytes.slice().buffer)]
}

function entriesOf(map: BpfMap | SplitMap, batchSize?: number): Map<number, number[]> {
  const entries = new Map<number, number[]>()
  for (const { count, keys, values } of map.entries(batchSize)) {
    const [keyWords, valueWords] = [toWords(keys), toWords(values)]
    for (let index = 0; index < count; index++) entries.set(keyWords[index] ?? -1, valueWords.slice(index * 2, index * 2 + 2))
  }
  return entries
}

kernelTest('single entries: update, look up, delete; a missing key is undefined and no error', (t) => {
  using object = BpfObject.open(PATH).load()
  const pairs = object.map('pairs')
  t.is(pairs.lookup(words(1)), undefined)
  pairs.update(words(1), words(10, 11))
  t.deepEqual(toWords(pairs.lookup(words(1)) ?? new Uint8Array()), [10, 11])
  t.true(pairs.delete(words(1)))
  t.false(pairs.delete(words(1)))
})

kernelTest('keys and values of a wrong size are refused before the kernel would read past them', (t) => {
  using object = BpfObject.open(PATH).load()
  t.throws(() => object.map('pairs').update(words(1), words(1)), { code: 'BAD_ARGUMENT', message: /8 bytes, not 4/ })
  t.throws(() => object.map('pairs').updateBatch(words(1), words(1, 2), 2), { code: 'BAD_ARGUMENT' })
})

for (const [kind, libbpf] of [['batches', systemLibbpf], ['single operations', withoutBatches]] as const) {
  kernelTest(`${kind}: write, read and delete 1,000 entries`, (t) => {
    using object = BpfObject.open(PATH, { libbpf: libbpf() }).load()
    const pairs = object.map('pairs')
    const numbers = Array.from({ length: 1000 }, (_, index) => index)
    const keys = words(...numbers)
    pairs.updateBatch(keys, words(...numbers.flatMap((n) => [n * 2, n * 3])), 1000)
    const read = entriesOf(pairs, 128)
    t.is(read.size, 1000)
    t.true(numbers.every((n) => read.get(n)?.[0] === n * 2 && read.get(n)?.[1] === n * 3))
    t.true(pairs.delete(words(500)))
    t.is(pairs.deleteBatch(keys, 1000), 999)
    t.is(entriesOf(pairs).size, 0)
  })

  kernelTest(`${kind}: a map that gets full says how many entries were written`, (t) => {
    using object = BpfObject.open(PATH, { libbpf: libbpf(), mapSizes: { prefixes: 3 } }).load()
    const keys = words(32, 1, 32, 2, 32, 3, 32, 4, 32, 5)
    const error = t.throws(() => object.map('prefixes').updateBatch(keys, words(1, 2, 3, 4, 5), 5), { instanceOf: BatchError })
    t.is(error?.completed, 3)
    t.regex(error?.message ?? '', /cannot update map prefixes.*the map is full.*3 of 5/)
  })
}

kernelTest('keys and values are taken from the middle of WebAssembly memory', (t) => {
  using object = BpfObject.open(PATH).load()
  const memory = new WebAssembly.Memory({ initial: 1 })
  new Uint32Array(memory.buffer, 4096, 6).set([7, 8, 70, 71, 80, 81])
  object.map('pairs').updateBatch(new Uint8Array(memory.buffer, 4096, 8), new Uint8Array(memory.buffer, 4104, 16), 2)
  t.deepEqual([...entriesOf(object.map('pairs'))].sort(), [[7, [70, 71]], [8, [80, 81]]])
})

kernelTest('an mmapable array is one memory with the kernel’s; after disposal it cannot be read', (t) => {
  using object = BpfObject.open(PATH).load()
  const map = object.map('mapped')
  const memory = map.mmap()
  const view = new Uint32Array(memory.buffer, 999 * 8, 2)
  view.set([5, 6])
  t.deepEqual(toWords(map.lookup(words(999)) ?? new Uint8Array()), [5, 6])
  map.update(words(999), words(8, 9))
  t.deepEqual([...view], [8, 9])
  memory[Symbol.dispose]()
  t.is(view.length, 0)
  t.throws(() => memory.buffer, { code: 'CLOSED' })
  t.throws(() => object.map('pairs').mmap(), { code: 'BAD_ARGUMENT' })
})

kernelTest('a table in two maps: low keys in the array, the others in the hash', (t) => {
  using object = BpfObject.open(PATH).load()
  const [direct, beyond] = [object.map('mapped'), object.map('pairs')]
  const table = new SplitMap(direct, beyond)
  const keys = words(999, 1000, 5, 0xffff_ffff)
  table.updateBatch(keys, words(1, 2, 3, 4, 5, 6, 7, 8), 4)
  t.deepEqual([...entriesOf(beyond)].sort(), [[1000, [3, 4]], [0xffff_ffff, [7, 8]]])
  t.deepEqual([...entriesOf(table, 7)].sort(), [[1000, [3, 4]], [0xffff_ffff, [7, 8]], [5, [5, 6]], [999, [1, 2]]])
  t.deepEqual(toWords(table.lookup(words(999)) ?? new Uint8Array()), [1, 2])
  t.is(table.deleteBatch(words(999, 998, 1000), 3), 2)
  t.deepEqual([table.lookup(words(999)), table.lookup(words(1000))], [undefined, undefined])
  t.deepEqual([...entriesOf(table)].sort(), [[0xffff_ffff, [7, 8]], [5, [5, 6]]])
})

kernelTest('a low key that the hash has from a time with a smaller array goes from both', (t) => {
  using object = BpfObject.open(PATH).load()
  const [direct, beyond] = [object.map('mapped'), object.map('pairs')]
  const table = new SplitMap(direct, beyond)
  beyond.update(words(7), words(1, 2))
  t.true(table.delete(words(7)))
  table.update(words(7), words(3, 4))
  beyond.update(words(7), words(1, 2))
  t.true(table.delete(words(7)))
  t.deepEqual([...entriesOf(table)], [])
  t.false(table.delete(words(7)))
})

kernelTest('a per-CPU map has one value a CPU', (t) => {
  using object = BpfObject.open(PATH).load()
  object.program('tc_constants').testRun({ data: new Uint8Array(64), repeat: 10 })
  const values = object.map('runs').lookupPerCpu(words(0)) ?? []
  t.is(values.length, systemLibbpf().possibleCpus)
  const sum = values.reduce((total, value) => total + new DataView(value.buffer, value.byteOffset).getBigUint64(0, true), 0n)
  t.is(sum, 10n)
})
