// The real programs and maps, in a network namespace of their own, asked packet by packet through BPF_PROG_TEST_RUN.

import { execFileSync } from 'node:child_process'

import { EventKind, eventRecord } from '../../bpf/index.ts'
import type { EventRecord } from '../../bpf/index.ts'
import type { Change } from '../../engine/index.ts'
import { BpfObject, inNetworkNamespace, interfaceIndex, RingReader, SplitMap } from '../../loader/index.ts'
import type { BpfMap, Program } from '../../loader/index.ts'
import { enableForwarding } from '../helpers/forwarding.ts'

/** Where a packet enters the datapath. */
export type Hook = 'from_endpoint' | 'to_endpoint' | 'from_world' | 'to_world'

export interface Seen {
  allowed: boolean
  /** Of the last event that the packet caused; undefined when it caused none, as packets of known flows do. */
  event: EventRecord | undefined
  /** Rules that would have dropped the packet, as told before it passed. */
  audits: number[]
}

/** The next hop of everything that leaves; its MAC address is fixed, so that no neighbour needs to answer. */
const GATEWAY = { ipv4: '10.9.0.1', ipv6: 'fd09::1', mac: '02:09:00:00:00:01' } as const
export const UPLINK_MAC = '02:09:00:00:00:02'
const ENDPOINTS = ['ep1', 'ep2', 'ep3', 'ep4'] as const
const TC_ACT_SHOT = 2
/** Of `ifindex` in struct __sk_buff (linux/bpf.h). */
const CONTEXT_IFINDEX = 40
/** Class numbers that the engines of a run give out, at most. */
export const CLASSES = 1024
const STATE_MAPS = ['addresses', 'prefixes', 'endpoints', 'policy', 'conntrack4', 'conntrack6'] as const

/** A namespace with four workload interfaces and an uplink with a route. */
export class Playground implements Disposable {
  readonly path: string
  readonly #name: string

  constructor(name: string) {
    this.#name = name
    this.path = `/run/netns/${name}`
    execFileSync('ip', ['netns', 'add', name])
    try {
      execFileSync('ip', ['-n', name, '-batch', '-'], { input: playgroundCommands() })
      enableForwarding(this.path)
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
  }

  [Symbol.dispose](): void {
    execFileSync('ip', ['netns', 'delete', this.#name])
  }
}

function playgroundCommands(): string {
  const pair = (name: string): string[] => [`link add ${name} type veth peer name ${name}-far`, `link set ${name} up`, `link set ${name}-far up`]
  return [
    'link set lo up',
    ...ENDPOINTS.flatMap(pair),
    ...pair('up0'),
    `link set up0 address ${UPLINK_MAC}`,
    'address add 10.9.0.2/24 dev up0',
    'address add fd09::2/64 dev up0 nodad',
    `neighbour add ${GATEWAY.ipv4} lladdr ${GATEWAY.mac} dev up0 nud permanent`,
    `neighbour add ${GATEWAY.ipv6} lladdr ${GATEWAY.mac} dev up0 nud permanent`,
    `route add default via ${GATEWAY.ipv4} dev up0`,
    `route add ::/0 via ${GATEWAY.ipv6} dev up0`,
  ].join('\n')
}

/** Lives inside the playground: make it and use it within `inNetworkNamespace`. */
export class Datapath implements Disposable {
  readonly #stack = new DisposableStack()
  readonly #maps: (name: string) => BpfMap | SplitMap
  readonly #programs: Record<Hook, Program>
  readonly #ring: RingReader
  /** Node-side interfaces for local workloads. */
  readonly ifindexes: readonly number[]
  readonly uplink: number

  /** `objects`: folder of the built BPF objects. */
  constructor(objects: string) {
    const constants = { allow_host: false }
    const mapSizes = { conntrack4: 8192, conntrack6: 8192, endpoints: 64, policy_rows: 262_144 }
    const endpoint = this.#stack.use(BpfObject.open(`${objects}/tc_endpoint.bpf.o`, { constants, mapSizes }).load())
    const shared = Object.fromEntries(endpoint.maps.filter(({ name }) => !name.startsWith('.')).map((map) => [map.name, map]))
    const host = BpfObject.open(`${objects}/tc_host.bpf.o`, { constants, maps: sharedBy(`${objects}/tc_host.bpf.o`, shared) })
    this.#stack.use(host.load())
    const endpoints = new SplitMap(endpoint.map('endpoints'), endpoint.map('endpoints_beyond'))
    this.#maps = (name) => (name === endpoints.name ? endpoints : endpoint.map(name))
    this.#programs = { from_endpoint: endpoint.program('from_endpoint'), to_endpoint: endpoint.program('to_endpoint'), from_world: host.program('from_world'), to_world: host.program('to_world') }
    this.#ring = this.#stack.use(new RingReader(endpoint.map('events')))
    this.ifindexes = ENDPOINTS.map((name) => interfaceIndex(name))
    this.uplink = interfaceIndex('up0')
  }

  apply(changes: readonly Change[]): void {
    for (const { map, operation, keys, values, count } of changes) {
      if (operation === 'update') this.#maps(map).updateBatch(keys, values, count)
      else this.#maps(map).deleteBatch(keys, count)
    }
  }

  send(hook: Hook, ifindex: number, frame: Uint8Array): Seen {
    const context = new Uint8Array(192)
    new DataView(context.buffer).setUint32(CONTEXT_IFINDEX, ifindex, true)
    const { result } = this.#programs[hook].testRun({ data: frame, context })
    const events: EventRecord[] = []
    this.#ring.read((bytes, offset) => void events.push(eventRecord.decode(bytes, offset)))
    const audits = events.filter(({ kind }) => kind === EventKind.AUDIT).map(({ rule }) => rule)
    return { allowed: result !== TC_ACT_SHOT, event: events.at(-1), audits }
  }

  /** Empties every map, as for an engine that starts at nothing. */
  clear(): void {
    for (const name of STATE_MAPS) {
      const map = this.#maps(name)
      const batches = [...map.entries()].map(({ keys, count }) => ({ keys: keys.slice(), count }))
      for (const { keys, count } of batches) map.deleteBatch(keys, count)
    }
    const generations = this.#maps('class_generations')
    generations.updateBatch(new Uint8Array(Uint32Array.from({ length: CLASSES }, (_, index) => index).buffer), new Uint8Array(4 * CLASSES), CLASSES)
  }

  [Symbol.dispose](): void {
    this.#stack.dispose()
  }
}

/** Those of `maps` that the object declares as well. */
function sharedBy(path: string, maps: Readonly<Record<string, BpfMap>>): Record<string, BpfMap> {
  using object = BpfObject.open(path)
  const declared = new Set(object.mapSpecs.map(({ name }) => name))
  return Object.fromEntries(Object.entries(maps).filter(([name]) => declared.has(name)))
}

export { GATEWAY, inNetworkNamespace }
