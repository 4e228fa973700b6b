// VLAN devices as the datapath sees them.
import { vlanDeviceRecord } from '../../bpf/index.ts'
import type { VlanDevice } from '../vlan-devices.ts'
import { setEntries } from './contents.ts'
import type { MapPort } from './ports.ts'

/** Makes the map `vlan_devices` hold exactly these. */
export function reconcileVlanDevices(map: MapPort, devices: readonly VlanDevice[]): void {
  setEntries(map, devices.map(({ ifindex, parent, tags: [outerTag = 0, innerTag = 0] }) => {
    const key = new Uint8Array(Uint32Array.of(ifindex).buffer)
    return [key, vlanDeviceRecord.encode({ parent, outerTag, innerTag })]
  }))
}
