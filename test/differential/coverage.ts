// Which constructs decided packets. A run that never meets a construct proves nothing about it.

import type { Peer, Policy, PortMatch, Rule, Selector } from '../../engine/index.ts'
import { isIpv4 } from './addresses.ts'
import type { Packet } from './traffic.ts'
import { ICMP, ICMPV6, isOfHost, NAMESPACE_KEY, SCTP, TCP, UDP } from './world.ts'
import type { Decided } from './expectation.ts'
import { WITHOUT_EFFECT, WRITTEN_CONSTRUCTS } from './written.ts'

/** What a full run wants of each construct, and of outcomes as a share of all packets: others are denied by default. */
export const LEAST_DECIDED = 100
export const LEAST_SHARES = { allowed: 0.3, explicitlyDenied: 0.18 } as const
/** The same of each construct that policies are written with, and of those that are written and decide nothing. */
export const LEAST_WRITTEN = 20

export const CONSTRUCTS = [
  'no policy', 'default deny', 'allow', 'deny', 'pass', 'ingress', 'egress', 'audit', 'audit of an endpoint', 'init',
  'tier admin', 'tier normal', 'tier baseline',
  'any peer', 'selector In', 'selector NotIn', 'selector Exists', 'selector DoesNotExist', 'selector empty', 'selector of any source',
  'cidr', 'cidr with except', 'cidr over workloads', 'cidr and selector', 'cidr without nodes', 'several cidrs', 'entity', 'node', 'required label', 'host policy',
  'all ports', 'port', 'port range', 'whole protocol', 'named port', 'named port of any protocol', 'icmp',
  'established', 'revoked',
  'IPv4', 'IPv6', 'TCP', 'UDP', 'SCTP', 'ICMP', 'ICMPv6', 'from the node', 'to the node',
] as const
export type Construct = (typeof CONSTRUCTS)[number]

const WRITTEN = new Set(WRITTEN_CONSTRUCTS)
const NOBODIES = new Set(WITHOUT_EFFECT)

export class Coverage {
  readonly #counts = new Map<Construct, number>(CONSTRUCTS.map((construct) => [construct, 0]))
  readonly #written = new Map<string, number>([...WRITTEN_CONSTRUCTS, ...WITHOUT_EFFECT].map((construct) => [construct, 0]))
  packets = 0
  allowed = 0
  /** By a rule that denies; a default deny is not explicit. */
  explicitlyDenied = 0

  /** `policies`: those in force when the packet was decided. */
  add(packet: Packet, decided: Decided, policies: Iterable<Policy>): void {
    this.packets++
    if (decided.allowed) this.allowed++
    if (decided.rule === 0) return this.count('no policy')
    packetConstructs(packet).forEach((construct) => this.count(construct))
    for (const policy of policies) {
      const rule = policy.rules.find(({ number }) => number === decided.rule)
      if (rule !== undefined) this.#addRule(policy, rule)
      else if (Object.values(policy.isolates).includes(decided.rule)) this.count('default deny')
      else continue
      if (policy.audit) this.count('audit')
      else if (decided.audits.includes(decided.rule)) this.count('audit of an endpoint')
      if (policy.subject.requirements.some(({ key }) => key === 'reserved:init')) this.count('init')
      if (policy.subject.requirements.some(({ key }) => key === 'reserved:host')) this.count('host policy')
      if (rule !== undefined && !decided.allowed) this.explicitlyDenied++
    }
  }

  count(construct: Construct): void {
    this.#counts.set(construct, (this.#counts.get(construct) ?? 0) + 1)
  }

  /** What the policy that decided a packet was written with. */
  addWritten(constructs: readonly string[]): void {
    for (const construct of constructs) if (WRITTEN.has(construct)) this.#countWritten(construct)
  }

  addWithoutEffect(constructs: readonly string[]): void {
    for (const construct of constructs) if (NOBODIES.has(construct)) this.#countWritten(construct)
  }

  #countWritten(construct: string): void {
    this.#written.set(construct, (this.#written.get(construct) ?? 0) + 1)
  }

  #addRule(policy: Policy, rule: Rule): void {
    const constructs = new Set<Construct>([rule.direction, `tier ${policy.tier}`, ...peerConstructs(rule), ...portConstructs(rule)])
    if (rule.action !== 'pass') constructs.add(rule.action)
    constructs.forEach((construct) => this.count(construct))
  }

  /** What is missing for the run to count, in words; `scale`: share of a full run that this one is. */
  shortfalls(scale = 1): string[] {
    const rare = [...below(this.#counts, LEAST_DECIDED * scale), ...below(this.#written, LEAST_WRITTEN * scale)]
    const outcomes = ['allowed', 'explicitlyDenied'] as const
    const low = outcomes.filter((outcome) => this[outcome] / this.packets < LEAST_SHARES[outcome])
      .map((outcome) => `${outcome} ${(100 * this[outcome] / this.packets).toFixed(1)}% of at least ${100 * LEAST_SHARES[outcome]}%`)
    return [...low, ...rare]
  }

  toJSON(): object {
    return { packets: this.packets, allowed: this.allowed, explicitlyDenied: this.explicitlyDenied, decided: Object.fromEntries(this.#counts), written: Object.fromEntries(this.#written) }
  }
}

function below(counts: ReadonlyMap<string, number>, least: number): string[] {
  return [...counts].filter(([, count]) => count < least).map(([construct, count]) => `${construct} decided ${count} of at least ${least}`)
}

const PROTOCOL_NAMES = new Map<number, Construct>([[TCP, 'TCP'], [UDP, 'UDP'], [SCTP, 'SCTP'], [ICMP, 'ICMP'], [ICMPV6, 'ICMPv6']])

function packetConstructs({ from, to, protocol }: Packet): Construct[] {
  const name = PROTOCOL_NAMES.get(protocol)
  return [isIpv4(from) ? 'IPv4' : 'IPv6', ...(name ? [name] : []), ...(isOfHost(from) ? ['from the node' as const] : []), ...(isOfHost(to) ? ['to the node' as const] : [])]
}

function peerConstructs({ peers }: Rule): Construct[] {
  if (peers === 'any') return ['any peer']
  const several = peers.filter(({ cidr }) => cidr !== undefined).length > 1
  return [...peers.flatMap(peerConstruct), ...(several ? ['several cidrs' as const] : [])]
}

function peerConstruct({ selector, cidr }: Peer): Construct[] {
  const found: Construct[] = []
  if (selector !== undefined && cidr !== undefined) found.push(isOutside(selector) ? 'cidr without nodes' : 'cidr and selector')
  if (cidr !== undefined) found.push('cidr', ...(cidr.except.length > 0 ? ['cidr with except' as const] : []), ...(cidr.workloads ? ['cidr over workloads' as const] : []))
  if (selector === undefined) return found
  if (selector.requirements.length === 0) found.push('selector empty')
  if (isRequirement(selector)) found.push('required label')
  for (const { key, operator } of selector.requirements) {
    if (key.startsWith('node:')) found.push('node')
    else if (key.startsWith('reserved:')) found.push('entity')
    else found.push(`selector ${operator}`, ...(key.startsWith('any:') ? ['selector of any source' as const] : []))
  }
  return found
}

/** As rules about addresses outside of the cluster exclude its nodes. */
function isOutside({ requirements }: Selector): boolean {
  return requirements.some(({ key, operator }) => key === 'reserved:host' && operator === 'DoesNotExist')
}

/** As a label that every workload is required to have is told by those that lack it. */
function isRequirement({ requirements }: Selector): boolean {
  return requirements.some(({ key, operator }) => key === NAMESPACE_KEY && operator === 'Exists')
}

function portConstructs({ ports }: Rule): Construct[] {
  return ports === 'all' ? ['all ports'] : ports.map(portConstruct)
}

function portConstruct(match: PortMatch): Construct {
  if ('name' in match) return match.protocol === 'any' ? 'named port of any protocol' : 'named port'
  if (match.protocol === ICMP || match.protocol === ICMPV6) return 'icmp'
  if (match.first === 0 && match.last === 65535) return 'whole protocol'
  return match.first === match.last ? 'port' : 'port range'
}
