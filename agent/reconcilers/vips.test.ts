import test from 'ava'
import { MemoryMap } from '../testing/memory-map.ts'
import { reconcileVips } from './vips.ts'

const address = (last: number): Uint8Array => Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last])

test('VIPs are the addresses of frontends at the edge, each once; those of none go', (t) => {
  const map = new MemoryMap('vips', 16, 4, 8)
  const vips = (): number[] => [...map.entries()].flatMap(({ count, keys }) => Array.from({ length: count }, (_, index) => keys[index * 16 + 15] ?? 0)).sort()
  reconcileVips(map, [{ address: address(1), forwarding: 'gue' }, { address: address(1), forwarding: 'gue' }, { address: address(2), forwarding: 'nat' }, { address: address(3), forwarding: 'l2' }])
  t.deepEqual(vips(), [1, 3])
  reconcileVips(map, [{ address: address(3), forwarding: 'l2' }, { address: address(4), forwarding: 'ipip' }])
  t.deepEqual(vips(), [3, 4])
})
