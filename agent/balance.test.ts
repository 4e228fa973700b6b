import test from 'ava'
import { mapSpecs } from '../bpf/index.ts'
import type { BalancedService } from '../manifests/index.ts'
import { balancedFrontends, lastBackendNumber, serviceItem } from './balance.ts'

test('the smaller of the two arrays that backends index says which number is their last', (t) => {
  t.is(lastBackendNumber({}), Math.min(mapSpecs.backends.maxEntries, mapSpecs.next_hops.maxEntries) - 1)
  t.is(lastBackendNumber({ backends: 256 }), 255)
  t.is(lastBackendNumber({ next_hops: 128 }), 127)
  t.is(lastBackendNumber({ backends: 64, next_hops: 128 }), 63)
})

test('a service shows the state of each backend, and the size of the table that is programmed', (t) => {
  const backends = (['active', 'draining'] as const).map((state, index) => ({ name: `b${index}`, address: `10.0.0.${index}`, port: 80, weight: 1, state }))
  const service: BalancedService = {
    kind: 'LoadBalancer', namespace: 'demo', name: 'shop', forwarding: 'ipip', vni: 0, algorithm: 'maglev', tracking: 'changing', tableSize: 1021,
    frontends: [{ address: '10.77.9.1', protocol: 6, port: 80, idleSeconds: 900, backends }], location: { file: 'shop.yaml', line: 1, column: 1 },
  }
  let number = 0
  const [frontend] = balancedFrontends(service, { number: () => ++number })
  if (frontend === undefined) return t.fail()
  const [first] = frontend.spec.backends
  const item = serviceItem(frontend, new Map([[first?.number ?? 0, 251]]))
  t.is(item.tableSize, 251, 'another size waits')
  t.deepEqual(item.backends.map(({ state, slots }) => [state, slots]), [['active', 251], ['draining', 0]])
})
