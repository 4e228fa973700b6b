// What the engine is told: what differs, in an order that it understands, and again until it was told.
import test from 'ava'
import type { AddressFact } from './addresses.ts'
import type { Identity } from './identities.ts'
import type { CompiledPolicy } from '../../manifests/index.ts'
import type { EndpointEntry } from '../../engine/index.ts'
import type { InputChange } from '../reconcilers/inputs.ts'
import { TrackedMap } from '../tracked-map.ts'
import { Inputs } from './inputs.ts'

function setUp() {
  const tables = {
    identities: new TrackedMap<Identity>(),
    policies: new TrackedMap<CompiledPolicy>(),
    addresses: new TrackedMap<AddressFact>(),
    endpoints: new TrackedMap<EndpointEntry>(),
  }
  const inputs = new Inputs(tables)
  const identify = (number: number, ...labels: string[]) => tables.identities.set(String(number), { number, labels })
  const address = (prefix: string) => tables.addresses.set(prefix, { prefix, identity: 300, flags: ['workload'], ifindex: 0, namedPorts: [] })
  return { tables, inputs, identify, address }
}

const told = (changes: readonly InputChange[]): string[] => changes.map(({ operation, input }) => `${operation} ${input.input}`)

test('what others build on is set first and removed last', (t) => {
  const { tables, inputs, identify, address } = setUp()
  address('10.0.0.1/32')
  identify(300, 'k8s:app=web')
  t.deepEqual(told(inputs.changes()), ['set identity', 'set address'])
  inputs.accepted()
  t.deepEqual(inputs.changes(), [])
  tables.identities.delete('300')
  tables.addresses.delete('10.0.0.1/32')
  t.deepEqual(told(inputs.changes()), ['remove address', 'remove identity'])
})

test('only what differs is told, and until it was taken', (t) => {
  const { inputs, identify } = setUp()
  identify(300, 'k8s:app=web')
  inputs.changes()
  inputs.accepted()
  identify(300, 'k8s:app=web')
  t.deepEqual(inputs.changes(), [])
  identify(300, 'k8s:app=db')
  t.is(inputs.changes().length, 1)
  t.deepEqual(inputs.changes(), [{ operation: 'set', input: { input: 'identity', number: 300, labels: ['k8s:app=db'] } }], 'nobody took it')
  inputs.accepted()
  t.deepEqual(inputs.changes(), [])
})

test('what changes while the engine is being told is told after it', (t) => {
  const { inputs, identify } = setUp()
  identify(300, 'k8s:app=web')
  inputs.changes()
  identify(300, 'k8s:app=db')
  inputs.accepted()
  t.deepEqual(inputs.changes(), [{ operation: 'set', input: { input: 'identity', number: 300, labels: ['k8s:app=db'] } }])
})

test('of what nobody knows whether the engine has it everything is told again, or removed', (t) => {
  const { tables, inputs, identify } = setUp()
  identify(300, 'k8s:app=web')
  identify(301, 'k8s:app=db')
  inputs.changes()
  inputs.doubted()
  tables.identities.delete('301')
  t.deepEqual(inputs.changes(), [
    { operation: 'set', input: { input: 'identity', number: 300, labels: ['k8s:app=web'] } },
    { operation: 'remove', input: { input: 'identity', number: 301 } },
  ])
})
