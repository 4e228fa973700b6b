import { setTimeout as sleep } from 'node:timers/promises'

import test from 'ava'

import { BpfObject, RingReader } from '../../loader/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { checkLeaks } from './leaks.ts'

const PATH = 'build/fixtures/loader.bpf.o'

checkLeaks(test)

function lengthsOf(reader: RingReader, limit?: number): number[] {
  const lengths: number[] = []
  reader.read((bytes, offset, length) => {
    const record = new DataView(bytes.buffer, bytes.byteOffset + offset, length)
    if (record.getUint32(0, true) === record.getUint32(4, true)) lengths.push(record.getUint32(0, true))
  }, limit)
  return lengths
}

kernelTest('records arrive in order, each once, many times around the ring; discarded ones are passed over', (t) => {
  using object = BpfObject.open(PATH).load()
  using reader = new RingReader(object.map('ring'))
  const program = object.program('xdp_record')
  const [written, read]: [number[], number[]] = [[], []]
  for (let length = 64; length < 1464; length++) {
    program.testRun({ data: new Uint8Array(length) })
    written.push(length)
    if (length % 7 === 0) read.push(...lengthsOf(reader))
  }
  read.push(...lengthsOf(reader))
  t.deepEqual(read, written)
})

kernelTest('a full ring takes no more until it is read, and a limit leaves the rest', (t) => {
  using object = BpfObject.open(PATH).load()
  using reader = new RingReader(object.map('ring'))
  const program = object.program('xdp_record')
  const results = Array.from({ length: 400 }, () => program.testRun({ data: new Uint8Array(64) }).result)
  const accepted = results.filter((result) => result === 2).length
  t.true(accepted > 200 && accepted < 400, `${accepted} accepted`)
  t.is(lengthsOf(reader, 10).length, 10)
  t.is(lengthsOf(reader).length, accepted - 10)
  t.is(reader.backlog, 0)
  t.is(program.testRun({ data: new Uint8Array(64) }).result, 2)
})

kernelTest('a handler that throws loses its own record only', (t) => {
  using object = BpfObject.open(PATH).load()
  using reader = new RingReader(object.map('ring'))
  for (const length of [64, 65, 66]) object.program('xdp_record').testRun({ data: new Uint8Array(length) })
  t.throws(() => reader.read(() => { throw new Error('handler') }), { message: 'handler' })
  t.deepEqual(lengthsOf(reader), [65, 66])
})

kernelTest('polling wakes for new records and stops with the signal', async (t) => {
  using object = BpfObject.open(PATH).load()
  using reader = new RingReader(object.map('ring'))
  const abort = new AbortController()
  const seen: number[] = []
  const readable = new Promise<void>((resolve) =>
    reader.poll(() => { seen.push(...lengthsOf(reader)); resolve() }, { signal: abort.signal })
  )
  object.program('xdp_record').testRun({ data: new Uint8Array(99) })
  await readable
  t.deepEqual(seen, [99])
  abort.abort()
  object.program('xdp_record').testRun({ data: new Uint8Array(100) })
  await sleep(50)
  t.deepEqual(seen, [99])
})

kernelTest('a view of the ring that is kept too long reads nothing', (t) => {
  using object = BpfObject.open(PATH).load()
  const reader = new RingReader(object.map('ring'))
  object.program('xdp_record').testRun({ data: new Uint8Array(64) })
  let kept = new Uint8Array(1)
  reader.read((bytes) => { kept = bytes as Uint8Array<ArrayBuffer> })
  t.true(kept.length > 0)
  reader[Symbol.dispose]()
  t.is(kept.length, 0)
})
