import test from 'ava'
import type { Interface } from './interfaces.ts'
import { vlanDevices } from './vlan-devices.ts'

const plain = { mac: undefined, kind: undefined, up: true, peerIfindex: undefined, peerNamespaceId: undefined, addresses: [], xdpMode: undefined }
const uplink: Interface = { ...plain, name: 'eth0', ifindex: 2, peerName: undefined, vlan: undefined }
const vlan = (name: string, ifindex: number, below: string | undefined, id: number, protocol = '802.1Q'): Interface => ({ ...plain, name, ifindex, peerName: below, vlan: { protocol, id } })

test('VLAN devices by what stands below them, with their tags from the outside in', (t) => {
  const links = [uplink, vlan('eth0.7', 3, 'eth0', 7), vlan('outer', 4, 'eth0', 100, '802.1ad'), vlan('inner', 5, 'outer', 8)]
  t.deepEqual(vlanDevices(links), [
    { ifindex: 3, parent: 2, tags: [0x8100_0007] },
    { ifindex: 4, parent: 2, tags: [0x88a8_0064] },
    { ifindex: 5, parent: 2, tags: [0x88a8_0064, 0x8100_0008] },
  ])
})

test('devices over another namespace’s interface, or with three tags, are none of the datapath’s', (t) => {
  const nested = [vlan('one', 3, 'eth0', 1), vlan('two', 4, 'one', 2), vlan('three', 5, 'two', 3)]
  t.deepEqual(vlanDevices([uplink, ...nested, vlan('foreign', 6, undefined, 9)]).map(({ ifindex }) => ifindex), [3, 4])
})
