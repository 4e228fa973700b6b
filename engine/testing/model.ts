// What policy means, said as plainly as possible: evaluates Policy[] directly against labels, addresses and ports.
// Slow, and independent of the engine: the property tests and the differential test against BPF compare with this.

import { prefixOf, prefixCovers } from '../address.ts'
import { ENDPOINT_AUDIT, HOST_IFINDEX, PEER_HOST, PEER_WORKLOAD } from '../assembly/records.generated.ts'
import type { AddressEntry, Decision, Direction, EndpointEntry, Label, Peer, Policy, PortMatch, Requirement, Rule, Selector, Tier } from '../types.ts'

export interface World {
  readonly identities: ReadonlyMap<number, readonly Label[]>
  readonly addresses: readonly AddressEntry[]
  readonly endpoints: readonly EndpointEntry[]
  readonly policies: readonly Policy[]
}

export interface Query {
  readonly from: Uint8Array
  readonly to: Uint8Array
  readonly protocol: number
  readonly port: number
}

/** What kind of rule decided; `none`: no policy had a say. */
export type Deciding = 'admin' | 'deny' | 'allow' | 'default-deny' | 'baseline' | 'none'

export interface ModelSide {
  readonly decision: Decision
  readonly rule: number
  readonly deciding: Deciding
  /** Tiers that a `pass` left early. */
  readonly passed: readonly Tier[]
}

export interface ModelVerdict {
  readonly decision: Decision
  readonly egress?: ModelSide
  readonly ingress?: ModelSide
}

const DEFAULT_ENTRIES: readonly AddressEntry[] = [
  { address: prefixOf('::/0').address, prefixLength: 0, identity: 10, flags: 0, ifindex: 0, namedPorts: [] },
  { address: prefixOf('0.0.0.0/0').address, prefixLength: 96, identity: 9, flags: 0, ifindex: 0, namedPorts: [] },
]

export function modelVerdict(world: World, query: Query): ModelVerdict {
  const egress = side(world, 'egress', query.from, query.to, query)
  const ingress = side(world, 'ingress', query.to, query.from, query)
  const decisions = [egress?.decision, ingress?.decision]
  const decision = decisions.includes('denied') ? 'denied' : decisions.includes('audited') ? 'audited' : 'allowed'
  return { decision, ...(egress && { egress }), ...(ingress && { ingress }) }
}

/** The entry that speaks for an address: the longest prefix that covers it. */
export function entryOf(world: World, address: Uint8Array): AddressEntry {
  const covering = [...DEFAULT_ENTRIES, ...world.addresses].filter((entry) => prefixCovers({ address: entry.address, length: entry.prefixLength }, address))
  return covering.reduce((best, entry) => (entry.prefixLength >= best.prefixLength ? entry : best))
}

// ---- one side -----------------------------------------------------------------------------------------------------

/** Everything that a rule's conditions are asked about. */
interface Flow {
  readonly world: World
  readonly direction: Direction
  readonly peer: AddressEntry
  readonly peerAddress: Uint8Array
  readonly destinationPorts: AddressEntry['namedPorts']
  readonly protocol: number
  readonly port: number
}

function side(world: World, direction: Direction, own: Uint8Array, peerAddress: Uint8Array, query: Query): ModelSide | undefined {
  const entry = entryOf(world, own)
  const ifindex = (entry.flags & PEER_HOST) === 0 ? entry.ifindex : HOST_IFINDEX
  const endpoint = ifindex === 0 ? undefined : world.endpoints.find((candidate) => candidate.ifindex === ifindex)
  if (!endpoint) return undefined
  const peer = entryOf(world, peerAddress)
  const destinationPorts = direction === 'ingress' ? endpoint.namedPorts : peer.namedPorts
  const flow = { world, direction, peer, peerAddress, destinationPorts, protocol: query.protocol, port: query.port }
  const policies = world.policies.filter((policy) => selectorMatches(policy.subject, labelsOf(world, endpoint.identity)))
  const enforced = decide(policies.filter((policy) => !policy.audit), flow)
  if (enforced.decision === 'denied') return (endpoint.flags & ENDPOINT_AUDIT) !== 0 ? { ...enforced, decision: 'audited' } : enforced
  const observed = decide(policies, flow)
  return observed.decision === 'denied' ? { ...observed, decision: 'audited' } : enforced
}

type Decided = Omit<ModelSide, 'passed'>

function decide(policies: readonly Policy[], flow: Flow): ModelSide {
  const passed: Tier[] = []
  const decided = prioritized(policies, 'admin', flow, passed) ?? normal(policies, flow) ?? prioritized(policies, 'baseline', flow, passed)
    ?? { decision: 'allowed', rule: 0, deciding: 'none' }
  return { ...decided, passed }
}

/** The first rule by priority, then place, then number. `pass` leaves the flow to the next tier. */
function prioritized(policies: readonly Policy[], tier: Tier & Deciding, flow: Flow, passed: Tier[]): Decided | undefined {
  const matching = policies.filter((policy) => policy.tier === tier)
    .flatMap(({ priority, rules }) => rules.map((rule, index) => ({ priority, index, rule })))
    .filter(({ rule }) => ruleMatches(rule, flow))
    .sort((a, b) => a.priority - b.priority || a.index - b.index || a.rule.number - b.rule.number)
  const first = matching[0]?.rule
  if (!first) return undefined
  if (first.action === 'pass') {
    passed.push(tier)
    return undefined
  }
  return { decision: first.action === 'deny' ? 'denied' : 'allowed', rule: first.number, deciding: tier }
}

/** Deny wins over allow; without either, a direction that some policy isolates is denied. */
function normal(policies: readonly Policy[], flow: Flow): Decided | undefined {
  const own = policies.filter((policy) => policy.tier === 'normal')
  const matching = own.flatMap((policy) => policy.rules).filter((rule) => ruleMatches(rule, flow)).sort((a, b) => a.number - b.number)
  const denying = matching.find((rule) => rule.action === 'deny')
  if (denying) return { decision: 'denied', rule: denying.number, deciding: 'deny' }
  const allowing = matching.find((rule) => rule.action === 'allow')
  if (allowing) return { decision: 'allowed', rule: allowing.number, deciding: 'allow' }
  const isolating = policies.map((policy) => policy.isolates[flow.direction]).filter((number) => number !== undefined)
  return isolating.length === 0 ? undefined : { decision: 'denied', rule: Math.min(...isolating), deciding: 'default-deny' }
}

// ---- conditions ---------------------------------------------------------------------------------------------------

function ruleMatches(rule: Rule, flow: Flow): boolean {
  return rule.direction === flow.direction
    && (rule.peers === 'any' || rule.peers.some((peer) => peerMatches(peer, flow)))
    && (rule.ports === 'all' || rule.ports.some((port) => portMatches(port, flow)))
}

function peerMatches(peer: Peer, flow: Flow): boolean {
  if (peer.selector && !selectorMatches(peer.selector, labelsOf(flow.world, flow.peer.identity))) return false
  if (!peer.cidr) return true
  if (!peer.cidr.workloads && (flow.peer.flags & PEER_WORKLOAD) !== 0) return false
  const inside = (prefix: string) => prefixCovers(prefixOf(prefix), flow.peerAddress)
  return inside(peer.cidr.prefix) && !peer.cidr.except.some(inside)
}

function portMatches(match: PortMatch, flow: Flow): boolean {
  if ('first' in match) return match.protocol === flow.protocol && match.first <= flow.port && flow.port <= match.last
  return flow.destinationPorts.some(({ name, protocol, port }) =>
    name === match.name && (match.protocol === 'any' || match.protocol === protocol) && protocol === flow.protocol && port === flow.port)
}

function labelsOf(world: World, identity: number): readonly Label[] {
  return world.identities.get(identity) ?? []
}

export function selectorMatches(selector: Selector, labels: readonly Label[]): boolean {
  return selector.requirements.every((requirement) => requirementHolds(requirement, labels))
}

function requirementHolds({ key, operator, values }: Requirement, labels: readonly Label[]): boolean {
  const own = valuesOf(key, labels)
  switch (operator) {
    case 'In': return own.some((value) => values.includes(value))
    case 'NotIn': return !own.some((value) => values.includes(value))
    case 'Exists': return own.length > 0
    case 'DoesNotExist': return own.length === 0
  }
}

/** All values of `source:key`; source `any` stands for each. */
function valuesOf(wanted: string, labels: readonly Label[]): string[] {
  const [, source, key] = /^([^:]+):(.*)$/s.exec(wanted) ?? []
  return labels.flatMap((label) => {
    const [, ownSource, ownKey, value] = /^([^:]+):([^=]*)=?(.*)$/s.exec(label) ?? []
    return ownKey === key && (source === 'any' || ownSource === source) ? [value ?? ''] : []
  })
}
