import test from 'ava'

import { LoaderError } from './errors.ts'
import { parseBtf } from './btf.ts'
import { parseElf } from './elf.ts'
import { summarize } from './verifier.ts'

/** A BTF of one struct {u32 first; u16 second[3]}, put together by hand after Documentation/bpf/btf.rst. */
function handMadeBtf(): Uint8Array {
  const strings = '\0u32\0u16\0pair\0first\0second\0'
  const at = (name: string): number => strings.indexOf(`\0${name}\0`) + 1
  const types = [
    [at('u32'), 1 << 24, 4, 32],
    [at('u16'), 1 << 24, 2, 16],
    [0, 3 << 24, 0, 2, 1, 3],
    [at('pair'), (4 << 24) | 2, 12, at('first'), 1, 0, at('second'), 3, 32]
  ].flat()
  const header = Uint32Array.of(0xeb9f | (1 << 16), 24, 0, types.length * 4, types.length * 4, strings.length)
  return new Uint8Array([...new Uint8Array(header.buffer), ...new Uint8Array(Uint32Array.from(types).buffer), ...Buffer.from(strings)])
}

test('types are found by kind and name, with sizes and offsets', (t) => {
  const btf = parseBtf(handMadeBtf())
  const pair = btf.find('struct', 'pair')
  t.deepEqual(pair?.members.map((each) => [each.name, each.offsetBits, btf.sizeOf(each.type)]), [['first', 0, 4], ['second', 32, 6]])
  t.is(btf.find('union', 'pair'), undefined)
})

test('what is no BTF or no ELF file is refused with the file’s name', (t) => {
  t.throws(() => parseBtf(new Uint8Array(40)), { instanceOf: LoaderError, code: 'BAD_OBJECT' })
  t.throws(() => parseElf(new Uint8Array(100), 'x.o'), { instanceOf: LoaderError, message: /x\.o: it is no ELF file/ })
})

test('a damaged ELF file is refused and does not read past its end', (t) => {
  const file = new Uint8Array(64)
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1])
  new DataView(file.buffer).setBigUint64(40, 1000n, true)
  new DataView(file.buffer).setUint16(60, 3, true)
  t.throws(() => parseElf(file, 'x.o'), { code: 'BAD_OBJECT', message: /cut short/ })
})

test('the summary of a verifier log is its last complaint and the source line that it is about', (t) => {
  const log = [
    '0: R1=ctx() R10=fp0',
    '; __u8 *data = (void *)(long)context->data; @ a.c:3',
    '0: (61) r1 = *(u32 *)(r1 +0)          ; R1_w=pkt(r=0)',
    'invalid access to packet, off=13 size=1, R1(id=0,off=13,r=0)',
    'processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0'
  ].join('\n')
  t.is(summarize(log), 'invalid access to packet, off=13 size=1, R1(id=0,off=13,r=0), at "__u8 *data = (void *)(long)context->data; @ a.c:3"')
  t.is(summarize(''), 'it gave no reason')
})
