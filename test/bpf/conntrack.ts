// The flows that a packet table left behind.

import { flow4KeyRecord, flow6KeyRecord, flowStateRecord, TICK_SHIFT } from '../../bpf/index.ts'
import type { Family, Maps } from './world.ts'

type FlowState = ReturnType<typeof flowStateRecord.decode>

export interface Flow {
  readonly key: Uint8Array<ArrayBuffer>
  readonly state: FlowState
}

export function flowsOf(map: Maps, family: Family): Flow[] {
  const keySize = family === 4 ? flow4KeyRecord.size : flow6KeyRecord.size
  return [...map(`conntrack${family}`).entries()].flatMap(({ keys, values, count }) =>
    Array.from({ length: count }, (_, i) => ({ key: keys.slice(i * keySize, (i + 1) * keySize), state: flowStateRecord.decode(values, i * flowStateRecord.size) })),
  )
}

/** The family’s only flow. */
export function onlyFlow(map: Maps, family: Family): Flow {
  const [flow, ...others] = flowsOf(map, family)
  if (flow === undefined || others.length > 0) throw new Error(`${others.length + (flow === undefined ? 0 : 1)} flows`)
  return flow
}

export function writeFlow(map: Maps, family: Family, key: Uint8Array<ArrayBuffer>, state: FlowState): void {
  map(`conntrack${family}`).update(key, flowStateRecord.encode(state))
}

/** Makes the only flow ask for its next hop again. */
export function forgetRoute(map: Maps, family: Family): void {
  const { key, state } = onlyFlow(map, family)
  writeFlow(map, family, key, { ...state, routeIfindex: 0 })
}

/** Makes the only flow look as if its last packet had come so many seconds earlier. */
export function age(map: Maps, family: Family, seconds: number): void {
  const { key, state } = onlyFlow(map, family)
  const ticks = Math.round((seconds * 1e9) / 2 ** TICK_SHIFT)
  writeFlow(map, family, key, { ...state, lastSeen: (state.lastSeen - ticks) >>> 0 })
}
