// Policies and named ports as the words and texts of an input.

import { prefixOf, type Prefix } from './address.ts'
import { EngineError } from './errors.ts'
import type { InputWriter } from './input.ts'
import type { Label, NamedPorts, Peer, Policy, PortMatch, Rule, Selector } from './types.ts'

const EVERYTHING = 0xffffffff
const ANY_PROTOCOL = 256
const PEER_SELECTOR = 1
const PEER_CIDR = 2
const MAX_PRIORITY = 0x3fff
const MAX_RULES = 0xffff
const TIERS = { baseline: 1, normal: 2, admin: 3 } as const
const ACTIONS = { deny: 0, allow: 1, pass: 2 } as const
const DIRECTIONS = { ingress: 0, egress: 1 } as const

function invalid(message: string): never {
  throw new EngineError('INVALID', message)
}

/** `rule`: whose value it is. The message is put together only when it is needed: most of a policy is such numbers. */
function integer(value: number, least: number, most: number, what: string, rule?: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value
  return invalid(`${what}${rule === undefined ? '' : ` of rule ${rule}`} is ${value}; allowed are ${least} to ${most}`)
}

function encodeSelector(out: InputWriter, selector: Selector): void {
  out.word(selector.requirements.length)
  for (const { key, operator, values } of selector.requirements) {
    if (key.indexOf(':') < 1) invalid(`the key "${key}" of a selector has no source; wanted is "source:key", such as k8s:app or any:app`)
    const negated = operator === 'NotIn' || operator === 'DoesNotExist'
    const listed = operator === 'In' || operator === 'NotIn'
    out.word(((negated ? 0x80000000 : 0) | (listed ? values.length : 1)) >>> 0)
    if (listed) for (const value of values) out.pair(key, value)
    else out.text(key)
  }
}

function encodePrefix(out: InputWriter, prefix: Prefix): void {
  out.word(prefix.length).bytes(prefix.address)
}

function encodeCidr(out: InputWriter, cidr: NonNullable<Peer['cidr']>): void {
  out.word(cidr.workloads ? 1 : 0).word(cidr.except.length)
  encodePrefix(out, prefixOf(cidr.prefix))
  for (const except of [...cidr.except].sort()) encodePrefix(out, prefixOf(except))
}

function encodePeers(out: InputWriter, rule: Rule): void {
  if (rule.peers === 'any') {
    out.word(EVERYTHING)
    return
  }
  out.word(rule.peers.length)
  for (const { selector, cidr } of rule.peers) {
    if (!selector && !cidr) invalid(`rule ${rule.number} has a peer with neither selector nor cidr; use peers: 'any' for every peer`)
    out.word((selector ? PEER_SELECTOR : 0) | (cidr ? PEER_CIDR : 0))
    if (selector) encodeSelector(out, selector)
    if (cidr) encodeCidr(out, cidr)
  }
}

function encodePort(out: InputWriter, port: PortMatch, rule: number): void {
  if ('name' in port) {
    const protocol = port.protocol === 'any' ? ANY_PROTOCOL : integer(port.protocol, 0, 255, 'a protocol', rule)
    out.word(1).text(port.name).word(protocol)
    return
  }
  const protocol = integer(port.protocol, 0, 255, 'a protocol', rule)
  const first = integer(port.first, 0, 65535, 'the first port of a range', rule)
  const last = integer(port.last, first, 65535, 'the last port of a range', rule)
  out.word(0).word(protocol << 16 | first).word(protocol << 16 | last)
}

function encodeRule(out: InputWriter, rule: Rule, tier: Policy['tier']): void {
  if (rule.action === 'pass' && tier === 'normal') invalid(`rule ${rule.number} passes in tier normal; pass is allowed in admin and baseline`)
  out.word(integer(rule.number, 1, 0xfffffffe, 'a rule number'))
  out.word(DIRECTIONS[rule.direction]).word(ACTIONS[rule.action])
  encodePeers(out, rule)
  if (rule.ports === 'all') {
    out.word(EVERYTHING)
    return
  }
  out.word(rule.ports.length)
  for (const port of rule.ports) encodePort(out, port, rule.number)
}

function encodePolicy(out: InputWriter, policy: Policy): void {
  encodeSelector(out, policy.subject)
  out.word(TIERS[policy.tier])
  out.word(policy.tier === 'normal' ? 0 : integer(policy.priority, 0, MAX_PRIORITY, 'a priority'))
  out.word(policy.isolates.ingress ?? 0).word(policy.isolates.egress ?? 0)
  out.word(policy.audit ? 1 : 0)
  out.word(integer(policy.rules.length, 0, MAX_RULES, 'the number of rules of one policy'))
  for (const rule of policy.rules) encodeRule(out, rule, policy.tier)
}

/** Loops over labels and their like go by index: until V8 has optimized them, a step of an array's iterator is a call. */
export function encodeIdentity(out: InputWriter, number: number, labels: readonly Label[]): void {
  out.word(number).word(labels.length)
  for (let i = 0; i < labels.length; i++) out.text(labels[i] as Label)
}

export function encodeDocument(out: InputWriter, key: string, policies: readonly Policy[]): void {
  out.text(key).word(policies.length)
  for (const policy of policies) encodePolicy(out, policy)
}

export function encodeNamedPorts(out: InputWriter, ports: NamedPorts): void {
  out.word(ports.length)
  for (const { name, protocol, port } of ports) {
    out.text(name).word(integer(protocol, 0, 255, `the protocol of named port ${name}`) << 16 | integer(port, 0, 65535, `named port ${name}`))
  }
}
