import test from 'ava'
import { mapSpecs } from '../bpf/index.ts'
import { lastBackendNumber } from './balance.ts'

test('the smaller of the two arrays that backends index says which number is their last', (t) => {
  t.is(lastBackendNumber({}), Math.min(mapSpecs.backends.maxEntries, mapSpecs.next_hops.maxEntries) - 1)
  t.is(lastBackendNumber({ backends: 256 }), 255)
  t.is(lastBackendNumber({ next_hops: 128 }), 127)
  t.is(lastBackendNumber({ backends: 64, next_hops: 128 }), 63)
})
