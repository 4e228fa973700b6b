// The balancer's world for random frames: every way of forwarding, to backends of both families, near and far, behind VLAN
// devices, behind a narrow link, and unreachable.

import { activeBackend, backendRecord, Forwarding, frontendKeyRecord, PREFILTER_SERVICE, ServiceFlags, serviceRecord, slotRecord, sourceRangeKeyRecord, SourceVerdict, steadyService, vlanDeviceRecord } from '../../bpf/index.ts'
import { BACKENDS, edgeNode, VIPS, VNI } from '../bpf/edge.ts'
import { GATEWAY, NARROW, type TestNode, UPLINK, VLAN } from '../bpf/node.ts'
import { FAMILIES, key32, mapped, SCTP, TCP, UDP } from '../bpf/world.ts'
import { macBytes } from '../wire.ts'
import type { Packet } from './parse.ts'

export type Tunnel = 'ipip' | 'gue' | 'geneve'

/** How packets of a service reach one of its backends. */
export interface Way {
  /** Undefined: on the segment, as they are. */
  readonly tunnel: Tunnel | undefined
  /** 16 bytes, mapped. */
  readonly address: Uint8Array
  /** Undefined: there is no route. */
  readonly mtu: number | undefined
  readonly onSegment: boolean
  readonly tags: readonly number[]
}

interface Service {
  readonly forwarding: number
  /** Of clients in REFUSED. */
  readonly refuses?: boolean
  readonly tunnel?: Tunnel
  readonly slotCount: number
}

const SLOTS = 251
const WITH_SERVICES: readonly number[] = [TCP, UDP, SCTP]
/** By port, of TCP, UDP and SCTP. */
const SERVICES: Readonly<Record<number, Service>> = {
  80: { forwarding: Forwarding.IPIP, tunnel: 'ipip', slotCount: SLOTS },
  81: { forwarding: Forwarding.GUE, tunnel: 'gue', slotCount: SLOTS, refuses: true },
  82: { forwarding: Forwarding.GENEVE, tunnel: 'geneve', slotCount: SLOTS },
  83: { forwarding: Forwarding.L2, slotCount: SLOTS },
  84: { forwarding: Forwarding.NAT, slotCount: SLOTS },
  85: { forwarding: Forwarding.IPIP, tunnel: 'ipip', slotCount: 0 },
}
/** Clients that nothing is taken from, and others that one service takes nothing from. */
const PREFILTERED = ['192.0.2.9', '2001:db8::9'].map(mapped)
const REFUSED = ['192.0.2.8', '2001:db8::8'].map(mapped)

/** One more than there are. */
export const PORTS = [80, 81, 82, 83, 84, 85, 86]

interface Place {
  readonly address: string
  readonly mtu?: number
  readonly onSegment?: boolean
  readonly tags?: readonly number[]
}
const PLACES: readonly Place[] = [
  { address: BACKENDS[4][0], mtu: 1500 },
  { address: BACKENDS[6][0], mtu: 1500 },
  { address: GATEWAY.ipv4, mtu: 1500, onSegment: true },
  { address: GATEWAY.ipv6, mtu: 1500, onSegment: true },
  { address: VLAN.one.address, mtu: 1500, onSegment: true, tags: VLAN.one.tags },
  { address: VLAN.two.address, mtu: 1500, onSegment: true, tags: VLAN.two.tags },
  { address: NARROW[4], mtu: NARROW.mtu },
  { address: NARROW[6], mtu: NARROW.mtu },
  { address: '198.51.100.1' },
]

export class EdgeWorld implements Disposable {
  readonly node: TestNode
  readonly stationMac = macBytes(UPLINK.mac)
  readonly #vips = new Set(FAMILIES.map((family) => mapped(VIPS[family]).toString()))

  constructor(objects?: string) {
    this.node = edgeNode(objects)
    const { map, ifindexes } = this.node
    for (const family of FAMILIES) map('vips').update(mapped(VIPS[family]), key32(1))
    for (const [ifindex, { tags: [outerTag, innerTag = 0] }] of [[ifindexes.vlanOne, VLAN.one], [ifindexes.vlanTwo, VLAN.two]] as const)
      map('vlan_devices').update(key32(ifindex), vlanDeviceRecord.encode({ parent: ifindexes.uplink, outerTag, innerTag }))
    this.#writeServices()
  }

  #writeServices(): void {
    const { map } = this.node
    const deny = (service: number, address: Uint8Array): void => map('source_ranges').update(sourceRangeKeyRecord.encode({ prefixLength: 32 + 128, service, address }), key32(SourceVerdict.DENIED))
    for (const address of PREFILTERED) deny(PREFILTER_SERVICE, address)
    map('prefilter_size').update(key32(0), key32(PREFILTERED.length))
    for (const [port, { refuses }] of Object.entries(SERVICES)) if (refuses === true) for (const address of REFUSED) deny(Number(port), address)
    for (const [port, { forwarding, slotCount, refuses }] of Object.entries(SERVICES))
      for (const family of FAMILIES)
        for (const protocol of [TCP, UDP, SCTP])
          map('frontends').update(
            frontendKeyRecord.encode({ address: mapped(VIPS[family]), port: Number(port), protocol }),
            serviceRecord.encode({ ...steadyService, id: Number(port), slotBase: 0, slotCount, forwarding, vni: VNI, flags: refuses === true ? ServiceFlags.SOURCES : 0 }),
          )
    PLACES.forEach(({ address }, index) => map('backends').update(key32(index + 1), backendRecord.encode({ ...activeBackend, address: mapped(address), port: 80, protocol: 0 })))
    for (let slot = 0; slot < SLOTS; slot++) map('slots').update(key32(slot), slotRecord.encode({ backend: (slot % PLACES.length) + 1, previous: 0 }))
  }

  isVip(address: Uint8Array): boolean {
    return this.#vips.has(mappedBytes(address).toString())
  }

  isPrefiltered(source: Uint8Array): boolean {
    return includes(PREFILTERED, source)
  }

  refusesClient({ refuses }: Service, source: Uint8Array): boolean {
    return refuses === true && includes(REFUSED, source)
  }

  /** Of those that are not translated. */
  serviceOf({ destination, destinationPort, protocol }: Packet): Service | undefined {
    const service = SERVICES[destinationPort]
    const isServed = destination !== undefined && this.isVip(destination) && WITH_SERVICES.includes(protocol)
    return isServed && service?.forwarding !== Forwarding.NAT ? service : undefined
  }

  wayTo({ tunnel, slotCount }: Service, hash: number): Way | undefined {
    const place = PLACES[Math.floor((hash * slotCount) / 2 ** 32) % PLACES.length]
    if (slotCount === 0 || place === undefined) return undefined
    return { tunnel, address: mapped(place.address), mtu: place.mtu, onSegment: place.onSegment ?? false, tags: place.tags ?? [] }
  }

  /** Of what was sent in fragments. */
  forgetDatagrams(): void {
    for (const name of ['fragments', 'fragment_parts']) {
      const map = this.node.map(name)
      const batches = [...map.entries()].map(({ keys, count }) => ({ keys: keys.slice(), count }))
      for (const { keys, count } of batches) map.deleteBatch(keys, count)
    }
  }

  [Symbol.dispose](): void {
    this.node[Symbol.dispose]()
  }
}

const includes = (addresses: readonly Uint8Array[], address: Uint8Array): boolean => addresses.some((each) => `${each}` === `${mappedBytes(address)}`)

export function mappedBytes(address: Uint8Array): Uint8Array {
  return address.byteLength === 16 ? address : Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...address)
}
