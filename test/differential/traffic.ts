// Random packets for a world, aimed at what its policies name: their ports give or take one, their prefixes' edges.

import type { Rule } from '../../engine/index.ts'
import { isIn, isIpv4, prefixEdges } from './addresses.ts'
import type { Random } from './random.ts'
import { API_SERVER, EXCEPTS, HOST_ADDRESSES, ICMP, ICMPV6, ICMP_MESSAGES, LOCAL_RANGES, NODES, OUTSIDE_BACKEND, PORTS, PREFIXES, PROTOCOLS, RESERVED_PEERS } from './world.ts'
import type { World, WorldWorkload } from './world.ts'

/** A new conversation's first packet. ICMP: `port` is type << 8 | code and `sourcePort` the identifier. */
export interface Packet {
  from: string
  to: string
  protocol: number
  sourcePort: number
  port: number
}

/** Addresses that the datapath drops or treats apart before it asks policy: they would say nothing about it. */
const SPECIAL = ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/3', '::/64', 'fe80::/10', 'ff00::/8']
/** Here an address without a workload is nobody's. */
const IMPOSSIBLE = [...SPECIAL, ...LOCAL_RANGES]

/** Every prefix's and every exception's edges; the addresses of remote workloads are among them on purpose. */
export const OUTSIDERS = [...PREFIXES, ...Object.values(EXCEPTS).flat()].flatMap(prefixEdges).filter((address) => !isIn(address, IMPOSSIBLE))
/** Those that rules mean by other ways than a prefix. */
const KNOWN = [...[...NODES, ...RESERVED_PEERS].flatMap(({ addresses }) => addresses), ...API_SERVER, ...OUTSIDE_BACKEND]

export function randomPacket(random: Random, world: World): Packet {
  const [from, to] = randomEnds(random, world)
  const rules = [...world.policies.values()].flat().flatMap((policy) => policy.rules)
  return { from, to, ...randomTransport(random, rangesOf(world, rules, to), from) }
}

function randomEnds(random: Random, world: World): [string, string] {
  const local = world.workloads.filter((workload) => workload.ifindex > 0)
  const version = random.below(2)
  const addressOf = (workload: WorldWorkload): string => workload.addresses[version] as string
  const here = addressOf(random.pick(local))
  const kind = random.below(20)
  if (kind < 9) return [here, addressOf(random.pick(local.filter((workload) => addressOf(workload) !== here)))]
  const host = HOST_ADDRESSES[version] as string
  if (kind === 9) return [host, here]
  if (kind === 10) return [here, host]
  if (kind === 11) return [host, randomOutsider(random, here)]
  if (kind === 12) return [randomOutsider(random, here), host]
  const there = random.chance(0.4) ? addressOf(random.pick(world.workloads.filter((workload) => workload.ifindex === 0))) : randomOutsider(random, here)
  return kind < 16 ? [here, there] : [there, here]
}

/** An address of the same family as `like` that no workload of this node has. */
function randomOutsider(random: Random, like: string): string {
  const candidates = random.chance(0.35) ? KNOWN : OUTSIDERS
  return random.pick(candidates.filter((address) => isIpv4(address) === isIpv4(like)))
}

export function randomTransport(random: Random, ranges: readonly PortRange[], from: string): Omit<Packet, 'from' | 'to'> {
  const sourcePort = 32768 + random.below(16384)
  const icmp = isIpv4(from) ? ICMP : ICMPV6
  const aims = ranges.filter(({ protocol }) => !isIcmp(protocol) || protocol === icmp)
  const aim = aims.length > 0 && random.chance(0.7) ? random.pick(aims) : undefined
  if (aim === undefined ? random.chance(0.1) : isIcmp(aim.protocol)) return { protocol: icmp, sourcePort, port: aim?.first ?? random.pick(ICMP_MESSAGES[icmp]) }
  if (aim === undefined) return { protocol: random.pick(PROTOCOLS), sourcePort, port: clampPort(random.pick(PORTS) + random.below(3) - 1) }
  return { protocol: random.chance(0.9) ? aim.protocol : random.pick(PROTOCOLS), sourcePort, port: clampPort(random.pick([aim.first, aim.last]) + random.below(3) - 1) }
}

export interface PortRange {
  readonly protocol: number
  readonly first: number
  readonly last: number
}

/** What rules speak of, at that destination. */
export function rangesOf(world: World, rules: readonly Rule[], to: string): readonly PortRange[] {
  const own = world.workloads.find(({ addresses }) => addresses.includes(to))?.namedPorts ?? []
  const ports = rules.flatMap((rule) => (rule.ports === 'all' ? [] : rule.ports))
  return ports.flatMap((match) => ('first' in match ? [match] : own.filter(({ name }) => name === match.name).map(({ protocol, port }) => ({ protocol, first: port, last: port }))))
}

const isIcmp = (protocol: number): boolean => protocol === ICMP || protocol === ICMPV6

function clampPort(port: number): number {
  return Math.min(65535, Math.max(1, port))
}
