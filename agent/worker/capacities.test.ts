import test from 'ava'
import { mapSpecs } from '../../bpf/index.ts'
import { EngineError } from '../../engine/index.ts'
import { capacitiesOf, inOptions } from './capacities.ts'

test('the engine refuses what the map of prefixes could not hold', (t) => {
  const sizes: Partial<Record<keyof typeof mapSpecs, number>> = { addresses: 64, prefixes: 16 }
  t.is(capacitiesOf((name) => sizes[name] ?? 8).addresses, 16)
  t.is(capacitiesOf((name) => (name === 'prefixes' ? 64 : 16)).addresses, 16)
})

test('by default prefixes take no room from addresses', (t) => {
  t.is(mapSpecs.prefixes.maxEntries, mapSpecs.addresses.maxEntries)
})

test('a lack of room names the options of the daemon that give more', (t) => {
  const told = (capacity: 'addresses' | 'policyEntries' | 'rules') =>
    Object(inOptions(new EngineError('CAPACITY', 'the first listing: no room', { capacity }), () => 64)) as { code: string; message: string }
  t.like(told('policyEntries'), { code: 'CAPACITY', message: 'the first listing: no room; start sluiced with --map-size policy=N, N above 64' })
  t.regex(told('addresses').message, /--map-size addresses=N --map-size prefixes=N, N above 64$/)
  t.regex(told('rules').message, /there is room for \d+ rules, which no option raises$/)
  const other = new EngineError('CAPACITY', 'split the policy')
  t.is(inOptions(other, () => 64), other)
})
