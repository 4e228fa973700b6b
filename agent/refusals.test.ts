import test from 'ava'
import { formatRefusals, groupRefusals } from './refusals.ts'

const missing = (object: string) => ({ object, message: `cannot open /o/${object}: ENOENT` })

test('one fault of several objects is told once, others by themselves', (t) => {
  const refused = [missing('a.bpf.o'), { object: 'b.bpf.o', message: 'the verifier refused b' }, missing('c.bpf.o')]
  t.deepEqual(groupRefusals(refused), [
    { objects: ['a.bpf.o', 'c.bpf.o'], message: 'cannot open /o/a.bpf.o: ENOENT' },
    { objects: ['b.bpf.o'], message: 'the verifier refused b' },
  ])
  t.is(formatRefusals(refused), 'cannot open /o/a.bpf.o: ENOENT (likewise c.bpf.o); the verifier refused b')
  t.is(formatRefusals([]), '')
})
