// Packets that a rule decides: drawn blindly, few would meet rules that speak of few.

import type { Label, Peer, Policy, Rule } from '../../engine/index.ts'
import { selectorMatches } from '../../engine/testing/index.ts'
import { isIn, isIpv4 } from './addresses.ts'
import type { Random } from './random.ts'
import { OUTSIDERS, type Packet, rangesOf, randomPacket, randomTransport } from './traffic.ts'
import { API_SERVER, HOST_ADDRESSES, HOST_LABELS, NODES, OUTSIDE_BACKEND, RESERVED_PEERS, type World } from './world.ts'

/** How often one is drawn until the rule decides it: others may come before it. */
const AIMS = 6

/** A packet of no rule in particular where the one that was drawn has no ends. */
export function aimedPacket(random: Random, world: World, decides: (packet: Packet, rule: Rule) => boolean): Packet {
  const policies = [...world.policies.values()].flat().filter(({ rules }) => rules.length > 0)
  if (policies.length === 0) return randomPacket(random, world)
  const policy = random.pick(policies)
  const rule = random.pick(policy.rules)
  const draw = (): Packet => packetOf(random, world, policy, rule) ?? randomPacket(random, world)
  let packet = draw()
  for (let aim = 1; aim < AIMS && !decides(packet, rule); aim++) packet = draw()
  return packet
}

function packetOf(random: Random, world: World, { subject }: Policy, rule: Rule): Packet | undefined {
  const subjects = endsHere(world).filter(({ labels }) => selectorMatches(subject, labels))
  const own = pickAny(random, subjects.map(({ address }) => address))
  const peer = rule.peers === 'any' ? {} : pickAny(random, rule.peers)
  if (own === undefined || peer === undefined) return undefined
  const peers = peersOf(world, peer).filter((address) => isIpv4(address) === isIpv4(own) && address !== own)
  const other = pickAny(random, peers)
  if (other === undefined) return undefined
  const [from, to] = rule.direction === 'egress' ? [own, other] : [other, own]
  return { from, to, ...randomTransport(random, rangesOf(world, [rule], to), from) }
}

function pickAny<T>(random: Random, items: readonly T[]): T | undefined {
  return items.length === 0 ? undefined : random.pick(items)
}

interface KnownEnd {
  readonly address: string
  readonly labels: readonly Label[]
}

const ends = (labels: readonly Label[], addresses: readonly string[]): readonly KnownEnd[] => addresses.map((address) => ({ address, labels }))

/** Ends that have policies. */
function endsHere(world: World): readonly KnownEnd[] {
  const local = world.workloads.filter(({ ifindex }) => ifindex > 0)
  return [...workloadEnds(world, local), ...(world.host === undefined ? [] : ends(HOST_LABELS, HOST_ADDRESSES))]
}

const workloadEnds = ({ identities }: World, workloads: World['workloads']): readonly KnownEnd[] =>
  workloads.flatMap(({ identity, addresses }) => ends(identities.get(identity) ?? [], addresses))

const worldLabels = (address: string): readonly Label[] => ['reserved:world=', `reserved:world-${isIpv4(address) ? 'ipv4' : 'ipv6'}=`]
const OUTSIDE = [...API_SERVER, ...OUTSIDE_BACKEND, ...OUTSIDERS].map((address) => ({ address, labels: worldLabels(address) }))
const KNOWN = [...[...NODES, ...RESERVED_PEERS].flatMap(({ labels, addresses }) => ends(labels, addresses)), ...ends(HOST_LABELS, HOST_ADDRESSES), ...OUTSIDE]

/** Addresses that the peer may mean. */
function peersOf(world: World, { selector, cidr }: Peer): readonly string[] {
  return [...workloadEnds(world, world.workloads), ...KNOWN]
    .filter(({ address, labels }) => (selector === undefined || selectorMatches(selector, labels)) && (cidr === undefined || isIn(address, [cidr.prefix])))
    .map(({ address }) => address)
}
