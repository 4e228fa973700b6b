// A node for packet tables: a network namespace with the interfaces of the small world, and the programs loaded in it.

import { execFileSync } from 'node:child_process'

import { enumName, eventRecord, HOST_IFINDEX, Reason } from '../../bpf/index.ts'
import type { EventRecord } from '../../bpf/index.ts'
import { BpfObject, inNetworkNamespace, interfaceIndex, RingReader } from '../../loader/index.ts'
import type { BpfMap, ConstantValue, Program } from '../../loader/index.ts'
import { enableForwarding } from '../helpers/forwarding.ts'
import { concat, macBytes } from '../wire.ts'
import { key32, removeEndpoint, setAddresses, setEndpoint } from './world.ts'
import type { Local } from './world.ts'

export type TcHook = 'from_endpoint' | 'to_endpoint' | 'from_world' | 'to_world' | 'decap_tc'
export type XdpHook = 'xdp_lb' | 'decap'
export type Hook = TcHook | XdpHook
export type Port = Local | 'uplink'
export type Verdict = 'pass' | 'drop' | 'redirect' | 'transmit'

export interface Seen {
  readonly verdict: Verdict
  readonly data: Uint8Array
  readonly mark: number
  /** Events that the packet caused, in order. */
  readonly events: readonly EventRecord[]
  /** Of the drop, in words. */
  readonly reason?: string
}

const INTERFACES: Readonly<Record<Port, string>> = { a: 'ep-a', b: 'ep-b', uplink: 'up0' }
const TC_VERDICTS: Readonly<Record<number, Verdict>> = { 0: 'pass', 2: 'drop', 7: 'redirect', 0xffffffff: 'pass' }
const XDP_VERDICTS: Readonly<Record<number, Verdict>> = { 1: 'drop', 2: 'pass', 3: 'transmit', 4: 'redirect' }

const BROADCAST = 'ff:ff:ff:ff:ff:ff'

/** Of b's interface: past the end of the array `endpoints`. */
const BEYOND_ARRAYS = 70_000

/** Of an interface that is neither the uplink nor a workload's. */
const ELSEWHERE = 60_000

/** Offsets in struct __sk_buff (linux/bpf.h), and its size. */
const SKB = { mark: 8, ingressIfindex: 36, ifindex: 40, gsoSize: 176, size: 192 } as const

/** Small maps: a table's packets are few, and a node is made for each test file. */
const MAP_SIZES: Readonly<Record<string, number>> = {
  conntrack4: 4096,
  conntrack6: 4096,
  policy_rows: 262_144,
  slots: 4096,
  slot_histories: 4096,
  balanced4: 64,
  balanced6: 64,
  backends: 256,
  next_hops: 256,
  events: 1 << 20,
}

/** The gateway answers nobody; its MAC address is fixed. */
export const GATEWAY = { ipv4: '10.9.0.1', ipv6: 'fd09::1', mac: '02:09:00:00:00:01' } as const
export const UPLINK = { ipv4: '10.9.0.2', ipv6: 'fd09::2', mac: '02:09:00:00:00:02' } as const

/** Destinations whose route is narrower than its interface, and others that lie behind the workload a's interface. */
export const NARROW = { 4: '198.18.0.1', 6: '2001:db8:13::1', mtu: 1300 } as const
/** Behind what the map `vlan_devices` says are VLAN devices of the uplink: not every kernel can make them. */
export const VLAN = {
  one: { device: 'up0-7', address: '10.9.7.1', tags: [0x8100_0007] },
  two: { device: 'up0-8', address: '10.9.8.1', tags: [0x88a8_0064, 0x8100_0008] },
} as const
export const BEHIND_WORKLOAD = { 4: '10.30.0.1', 6: 'fd30::1' } as const

const OBJECT_OF: Readonly<Record<Hook, string>> = {
  from_endpoint: 'tc_endpoint',
  to_endpoint: 'tc_endpoint',
  from_world: 'tc_host',
  to_world: 'tc_host',
  xdp_lb: 'xdp_lb',
  decap: 'decap',
  decap_tc: 'decap',
}

/** What a packet has beside its bytes. */
export interface Metadata {
  readonly mark?: number
  /** Bytes a segment; 0: it is one packet. */
  readonly gsoSize?: number
  /** Where the stack got the packet that it forwards, `elsewhere` where no hook is; without it the stack made it. */
  readonly cameInBy?: Port | 'elsewhere'
  /** Comes in from the world in a frame for every station. */
  readonly broadcast?: boolean
}

export interface NodeOptions {
  readonly hooks: readonly Hook[]
  readonly constants?: Readonly<Record<string, ConstantValue>>
  /** Folder of the objects. */
  readonly objects?: string
}

let nodes = 0

export class TestNode implements Disposable {
  readonly #stack = new DisposableStack()
  readonly #namespace: string
  readonly #objects: string
  readonly #programs = new Map<Hook, Program>()
  readonly #maps = new Map<string, BpfMap>()
  readonly #ring: RingReader | undefined
  readonly ifindexes: Readonly<Record<Port | 'vlanOne' | 'vlanTwo', number>>

  constructor({ hooks, constants = {}, objects = 'build/bpf' }: NodeOptions) {
    const name = `sl-bpf-${process.pid}-${++nodes}`
    this.#objects = objects
    this.#namespace = `/run/netns/${name}`
    execFileSync('ip', ['netns', 'add', name])
    this.#stack.defer(() => execFileSync('ip', ['netns', 'delete', name]))
    try {
      execFileSync('ip', ['-n', name, '-batch', '-'], { input: setupCommands() })
      enableForwarding(this.#namespace)
      this.ifindexes = inNetworkNamespace(this.#namespace, () => ({ a: interfaceIndex('ep-a'), b: interfaceIndex('ep-b'), uplink: interfaceIndex('up0'), vlanOne: interfaceIndex(VLAN.one.device), vlanTwo: interfaceIndex(VLAN.two.device) }))
      for (const hook of hooks) this.#load(hook, { uplink_ifindex: this.ifindexes.uplink, ...constants })
      const events = this.#maps.get('events')
      this.#ring = events === undefined ? undefined : this.#stack.use(new RingReader(events))
    } catch (error) {
      this.#stack.dispose()
      throw error
    }
  }

  #load(hook: Hook, constants: Readonly<Record<string, ConstantValue>>): void {
    if (this.#programs.has(hook)) return
    const path = `${this.#objects}/${OBJECT_OF[hook]}.bpf.o`
    using spec = BpfObject.open(path)
    const has = (name: string): boolean => spec.mapSpecs.some((map) => map.name === name)
    const maps = Object.fromEntries([...this.#maps].filter(([name]) => has(name)))
    const mapSizes = Object.fromEntries(Object.entries(MAP_SIZES).filter(([name]) => has(name) && !(name in maps)))
    const known = new Set(spec.constants.map(({ name }) => name))
    const object = BpfObject.open(path, { maps, mapSizes, constants: Object.fromEntries(Object.entries(constants).filter(([name]) => known.has(name))) })
    this.#stack.use(object.load())
    for (const program of object.programs) this.#programs.set(program.name as Hook, program)
    for (const map of object.maps) if (!map.name.startsWith('.') && !this.#maps.has(map.name)) this.#maps.set(map.name, map)
  }

  readonly map = (name: string): BpfMap => {
    const map = this.#maps.get(name)
    if (map === undefined) throw new Error(`no loaded object has a map ${name}`)
    return map
  }

  /** The world of world.ts, with empty policy and no flows. */
  reset(): void {
    for (const name of ['addresses', 'prefixes', 'policy', 'conntrack4', 'conntrack6', 'fragments', 'frontends']) this.#clear(name)
    for (let i = 0; i < 16; i++) this.map('class_generations').update(key32(i), key32(0))
    for (const ifindex of [HOST_IFINDEX, ...Object.values(this.ifindexes)]) removeEndpoint(this.map, ifindex)
    setAddresses(this.map, this.ifindexes)
    for (const name of ['a', 'b'] as const) setEndpoint(this.map, name, this.ifindexes[name])
    this.#drain()
  }

  #clear(name: string): void {
    const map = this.#maps.get(name)
    if (map === undefined) return
    const batches = [...map.entries()].map(({ keys, count }) => ({ keys: keys.slice(), count }))
    for (const { keys, count } of batches) map.deleteBatch(keys, count)
  }

  #drain(): EventRecord[] {
    const events: EventRecord[] = []
    this.#ring?.read((bytes, offset) => events.push(eventRecord.decode(bytes, offset)))
    return events
  }

  /** Gives the packet to the program as if it had come in, or was to go out, at the port. */
  send(hook: Hook, port: Port, data: Uint8Array, metadata: Metadata = {}): Seen {
    const program = this.#programs.get(hook)
    if (program === undefined) throw new Error(`program ${hook} is not loaded`)
    const xdp = OBJECT_OF[hook] === hook
    const context = xdp ? undefined : this.#skb(port, metadata)
    const frame = hook === 'from_world' ? toStation(metadata.broadcast === true ? BROADCAST : UPLINK.mac, data) : data
    const input = context === undefined ? { data: frame } : { data: frame, context }
    const output = inNetworkNamespace(this.#namespace, () => program.testRun(input))
    const verdict = (xdp ? XDP_VERDICTS : TC_VERDICTS)[output.result]
    if (verdict === undefined) throw new Error(`program ${hook} returned ${output.result}`)
    const events = this.#drain()
    const last = events.findLast(({ reason }) => reason !== Reason.FORWARDED)
    const reason = last === undefined ? {} : { reason: enumName(Reason, last.reason) }
    return { verdict, data: output.data, mark: xdp ? 0 : new DataView(output.context.buffer).getUint32(SKB.mark, true), events, ...reason }
  }

  /** By all CPUs, since the node began. */
  counted(reason: number, direction: number): { readonly packets: bigint; readonly bytes: bigint } {
    const values = this.map('counters').lookupPerCpu(key32(reason * 2 + direction)) ?? []
    const views = values.map((value) => new DataView(value.buffer, value.byteOffset))
    const sum = (offset: number): bigint => views.reduce((total, view) => total + view.getBigUint64(offset, true), 0n)
    return { packets: sum(0), bytes: sum(8) }
  }

  #skb(port: Port, { mark = 0, gsoSize = 0, cameInBy }: Metadata): Uint8Array {
    const context = new Uint8Array(SKB.size)
    const view = new DataView(context.buffer)
    view.setUint32(SKB.ifindex, this.ifindexes[port], true)
    view.setUint32(SKB.ingressIfindex, this.#ingressIfindex(cameInBy), true)
    view.setUint32(SKB.mark, mark, true)
    view.setUint32(SKB.gsoSize, gsoSize, true)
    return context
  }

  #ingressIfindex(cameInBy: Metadata['cameInBy']): number {
    if (cameInBy === undefined) return 0
    return cameInBy === 'elsewhere' ? ELSEWHERE : this.ifindexes[cameInBy]
  }

  [Symbol.dispose](): void {
    this.#stack.dispose()
  }
}

/** The kernel tells by it which frames are the node's. */
function toStation(mac: string, frame: Uint8Array): Uint8Array {
  return concat(macBytes(mac), frame.subarray(6))
}

function setupCommands(): string {
  const pair = (name: string): string[] => [`link add ${name}${name === INTERFACES.b ? ` index ${BEYOND_ARRAYS}` : ''} type veth peer name ${name}-far`, `link set ${name} up`, `link set ${name}-far up`]
  return [
    'link set lo up',
    ...Object.values(INTERFACES).flatMap(pair),
    `link set up0 address ${UPLINK.mac}`,
    `address add ${UPLINK.ipv4}/24 dev up0`,
    `address add ${UPLINK.ipv6}/64 dev up0 nodad`,
    `neighbour add ${GATEWAY.ipv4} lladdr ${GATEWAY.mac} dev up0 nud permanent`,
    `neighbour add ${GATEWAY.ipv6} lladdr ${GATEWAY.mac} dev up0 nud permanent`,
    `route add default via ${GATEWAY.ipv4} dev up0`,
    `route add ::/0 via ${GATEWAY.ipv6} dev up0`,
    `route add ${NARROW[4]} via ${GATEWAY.ipv4} dev up0 mtu lock ${NARROW.mtu}`,
    `route add ${NARROW[6]} via ${GATEWAY.ipv6} dev up0 mtu lock ${NARROW.mtu}`,
    ...[BEHIND_WORKLOAD[4], BEHIND_WORKLOAD[6]].flatMap((address) => [`route add ${address} dev ep-a`, `neighbour add ${address} lladdr ${GATEWAY.mac} dev ep-a nud permanent`]),
    ...[VLAN.one, VLAN.two].flatMap(({ device, address }) => [
      ...pair(device),
      `link set ${device} address ${UPLINK.mac}`,
      `address add ${address.replace(/1$/, '2')}/24 dev ${device}`,
      `neighbour add ${address} lladdr ${GATEWAY.mac} dev ${device} nud permanent`,
    ]),
    'route add unreachable 198.51.100.0/24',
    'route add unreachable 2001:db8:dead::/48',
    '',
  ].join('\n')
}
