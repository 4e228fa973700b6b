import test from 'ava'
import { mapSpecs } from '../../bpf/index.ts'
import { capacitiesOf } from './kernel.ts'

test('the engine refuses what the map of prefixes could not hold', (t) => {
  const sizes: Partial<Record<keyof typeof mapSpecs, number>> = { addresses: 64, prefixes: 16 }
  t.is(capacitiesOf((name) => sizes[name] ?? 8).addresses, 16)
  t.is(capacitiesOf((name) => (name === 'prefixes' ? 64 : 16)).addresses, 16)
})

test('by default prefixes take no room from addresses', (t) => {
  t.is(mapSpecs.prefixes.maxEntries, mapSpecs.addresses.maxEntries)
})
