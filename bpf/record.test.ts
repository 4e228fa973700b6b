import test from 'ava'
import fc from 'fast-check'

import { enumName, Reason, records, RecordLayout } from './index.ts'
import type { Field } from './index.ts'

const INTEGER_BITS = { u8: 8, u16: 16, u32: 32, be16: 16, be32: 32 } as const

function arbitraryOf(field: Field): fc.Arbitrary<unknown> {
  if (field.record !== undefined) return arbitraryRecord(field.record.fields)
  if (field.kind === 'bytes') return fc.uint8Array({ minLength: field.size, maxLength: field.size })
  if (field.kind === 'u64') return fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })
  return fc.integer({ min: 0, max: 2 ** INTEGER_BITS[field.kind as keyof typeof INTEGER_BITS] - 1 })
}

function arbitraryRecord(fields: readonly Field[]): fc.Arbitrary<object> {
  return fc.record(Object.fromEntries(fields.map((field) => [field.name, arbitraryOf(field)])))
}

for (const [name, layout] of Object.entries(records) as [string, RecordLayout<object>][]) {
  test(`${name}: what was written is read again, and nothing beyond the record is touched`, (t) => {
    fc.assert(
      fc.property(arbitraryRecord(layout.fields), (value) => {
        const buffer = new Uint8Array(layout.size + 2).fill(0xa5)
        layout.write(value, new DataView(buffer.buffer), 1)
        t.deepEqual(Object.entries(layout.decode(buffer, 1)), layout.fields.map((f) => [f.name, (value as Record<string, unknown>)[f.name]]))
        t.deepEqual([buffer[0], buffer.at(-1)], [0xa5, 0xa5])
      }),
      { numRuns: 30 }
    )
  })
}

test('fields in network byte order are plain numbers; padding is zero', (t) => {
  const key = { low: 0x0a000001, high: 0x0a000002, lowPort: 80, highPort: 0x1234, protocol: 6, echo: 2 }
  t.deepEqual([...records.flow4_key.encode(key)], [10, 0, 0, 1, 10, 0, 0, 2, 0, 80, 0x12, 0x34, 6, 2, 0, 0])
})

test('a value that its field cannot hold, or that is missing, is an error and not another value', (t) => {
  const peer = { identity: 1, peerClass: 2, ifindex: 3, flags: 4 }
  t.throws(() => records.peer.encode({ ...peer, identity: 2 ** 32 }), { message: /identity of record peer wants .* 32 bits, not 4294967296/ })
  t.throws(() => records.peer.encode({ ...peer, flags: -1 }), { instanceOf: RangeError })
  t.throws(() => records.ip_address.encode({ words: new Uint8Array(4) }), { message: /wants 16 bytes, not 4 bytes/ })
  t.throws(() => records.peer.encode({ identity: 1 } as typeof peer), { message: /lacks its field peerClass/ })
})

test('names of enum values are those of the command line', (t) => {
  t.is(enumName(Reason, Reason.POLICY_DENIED), 'policy-denied')
  t.is(enumName(Reason, 99), '99')
})
