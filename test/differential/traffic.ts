// Random packets for a world, aimed at what its policies name: their ports give or take one, their prefixes' edges.

import { covers, type Prefix, prefixOf } from '../../engine/index.ts'
import { isIpv4, prefixEdges } from './addresses.ts'
import type { Random } from './random.ts'
import { EXCEPTS, HOST_ADDRESSES, ICMP, ICMPV6, ICMP_MESSAGES, LOCAL_RANGES, NODES, PORTS, PREFIXES, PROTOCOLS } from './world.ts'
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
const SPECIAL = ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/3', '::/64', 'fe80::/10', 'ff00::/8'].map(prefixOf)
/** Here an address without a workload is nobody's. */
const LOCAL = LOCAL_RANGES.map(prefixOf)

function isUnicast(address: string): boolean {
  return !isIn(address, SPECIAL)
}

function isIn(address: string, prefixes: readonly Prefix[]): boolean {
  const single = prefixOf(`${address}/${isIpv4(address) ? 32 : 128}`)
  return prefixes.some((prefix) => covers(prefix, single))
}

/** Every prefix's and every exception's edges; the addresses of remote workloads are among them on purpose. */
const OUTSIDERS = [...[...PREFIXES, ...Object.values(EXCEPTS).flat()].flatMap(prefixEdges), ...NODES.flatMap(({ addresses }) => addresses)].filter((address) => isUnicast(address) && !isIn(address, LOCAL))

export function randomPacket(random: Random, world: World): Packet {
  const [from, to] = randomEnds(random, world)
  return { from, to, ...randomTransport(random, world, from) }
}

function randomEnds(random: Random, world: World): [string, string] {
  const local = world.workloads.filter((workload) => workload.ifindex > 0)
  const version = random.below(2)
  const addressOf = (workload: WorldWorkload): string => workload.addresses[version] as string
  const here = addressOf(random.pick(local))
  const kind = random.below(20)
  if (kind < 9) return [here, addressOf(random.pick(local.filter((workload) => addressOf(workload) !== here)))]
  if (kind === 9) return [HOST_ADDRESSES[version] as string, here]
  const there = random.chance(0.4) ? addressOf(random.pick(world.workloads.filter((workload) => workload.ifindex === 0))) : randomOutsider(random, here)
  return kind < 15 ? [here, there] : [there, here]
}

/** An address of the same family as `like` that no workload of this node has. */
function randomOutsider(random: Random, like: string): string {
  return random.pick(OUTSIDERS.filter((address) => isIpv4(address) === isIpv4(like)))
}

function randomTransport(random: Random, world: World, from: string): Omit<Packet, 'from' | 'to'> {
  const named = [...world.policies.values()].flat().flatMap((policy) => policy.rules).flatMap((rule) => (rule.ports === 'all' ? [] : rule.ports))
  const icmp = isIpv4(from) ? ICMP : ICMPV6
  const sourcePort = 32768 + random.below(16384)
  if (random.chance(0.1)) return { protocol: icmp, sourcePort, port: random.pick(ICMP_MESSAGES[icmp]) }
  const ranges = named.filter((match) => 'first' in match && match.protocol !== ICMP && match.protocol !== ICMPV6)
  const match = ranges.length > 0 && random.chance(0.7) ? random.pick(ranges) : undefined
  if (match === undefined || !('first' in match)) return { protocol: random.pick(PROTOCOLS), sourcePort, port: clampPort(random.pick(PORTS) + random.below(3) - 1) }
  return { protocol: random.chance(0.9) ? match.protocol : random.pick(PROTOCOLS), sourcePort, port: clampPort(random.pick([match.first, match.last]) + random.below(3) - 1) }
}

function clampPort(port: number): number {
  return Math.min(65535, Math.max(1, port))
}
