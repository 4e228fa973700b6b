// Which rules a side's decision was made from, and for each whether the peer and the port match: what an operator
// needs to see in order to find the rule that should have matched. The decision itself is the engine's.
import { covers, familyOf, parseAddress, parsePrefix } from '../engine/index.ts'
import type { Direction, NamedPorts, Peer, Policy, PortMatch, Requirement, Rule, Selector, Prefix } from '../engine/index.ts'
import { formatRule, lackOf, type Cluster, type CompiledPolicy, type Probe } from '../manifests/index.ts'

/** What a rule can see of one end. */
export interface Facts {
  readonly address: string
  readonly labels: readonly string[]
  readonly isWorkload: boolean
  readonly ports: NamedPorts
}

export interface TracedRule {
  readonly rule: string
  readonly action: Rule['action']
  readonly peerMatches: boolean
  readonly portMatches: boolean
}

/** The rules of every policy that selects `subject` in that direction, in the order of the manifests. */
export function trace(cluster: Cluster, direction: Direction, subject: Facts, peer: Facts, probe: Probe): readonly TracedRule[] {
  const destination = direction === 'ingress' ? subject : peer
  return selecting(cluster, subject).flatMap(({ policy, textOf }) =>
    policy.rules
      .filter((rule) => rule.direction === direction)
      .map((rule) => ({
        rule: textOf(rule.number),
        action: rule.action,
        peerMatches: matchesAnyPeer(rule, peer),
        portMatches: matchesAnyPort(rule.ports, probe, destination.ports),
      })),
  )
}

/** Rules that would allow it through a proxy that is not there, in words. */
export function missingProxies(cluster: Cluster, direction: Direction, subject: Facts, peer: Facts, probe: Probe): readonly string[] {
  const destination = direction === 'ingress' ? subject : peer
  return selecting(cluster, subject).flatMap(({ policy, textOf, proxied }) =>
    policy.rules
      .filter((rule) => rule.direction === direction && rule.action === 'allow' && matchesAnyPeer(rule, peer))
      .flatMap(({ number }) => (proxied.get(number) ?? [])
        .filter(({ ports }) => matchesAnyPort(ports, probe, destination.ports))
        .map(({ proxy }) => `${textOf(number)} ${lackOf(proxy)}`)),
  )
}

type Selecting = Pick<CompiledPolicy, 'proxied'> & { readonly policy: Policy; readonly textOf: (rule: number) => string }

function selecting(cluster: Cluster, subject: Facts): readonly Selecting[] {
  return [...cluster.policies.values()].flatMap(({ policies, rules, proxied }) => {
    const textOf = (number: number): string => {
      const reference = rules.get(number)
      return reference === undefined ? `rule ${number}` : formatRule(reference)
    }
    return policies.filter((policy) => matchesSelector(policy.subject, subject.labels)).map((policy) => ({ policy, textOf, proxied }))
  })
}

function matchesAnyPeer({ peers }: Rule, facts: Facts): boolean {
  return peers === 'any' || peers.some((peer) => matchesPeer(peer, facts))
}

function matchesAnyPort(ports: Rule['ports'], probe: Probe, named: NamedPorts): boolean {
  return ports === 'all' || ports.some((port) => matchesPort(port, probe, named))
}

export function matchesSelector({ requirements }: Selector, labels: readonly string[]): boolean {
  return requirements.every((requirement) => meets(requirement, labels))
}

function meets({ key, operator, values }: Requirement, labels: readonly string[]): boolean {
  const own = labels.flatMap((label) => {
    const equals = label.indexOf('=')
    const name = label.slice(0, equals)
    const matches = name === key || (key.startsWith('any:') && name.slice(name.indexOf(':')) === key.slice(3))
    return matches ? [label.slice(equals + 1)] : []
  })
  if (operator === 'Exists') return own.length > 0
  if (operator === 'DoesNotExist') return own.length === 0
  return own.some((value) => values.includes(value)) === (operator === 'In')
}

export function matchesPeer({ selector, cidr }: Peer, facts: Facts): boolean {
  if (selector !== undefined && !matchesSelector(selector, facts.labels)) return false
  if (cidr === undefined) return true
  if (facts.isWorkload && !cidr.workloads) return false
  return inside(facts.address, cidr.prefix) && !cidr.except.some((prefix) => inside(facts.address, prefix))
}

function inside(text: string, prefixText: string): boolean {
  const address = parseAddress(text)
  const prefix = parsePrefix(prefixText)
  if (address === undefined || prefix === undefined) return false
  const host: Prefix = { family: familyOf(address), address, length: 128 }
  return covers(prefix, host)
}

function matchesPort(match: PortMatch, { protocol, port }: Probe, named: NamedPorts): boolean {
  if (match.protocol !== 'any' && match.protocol !== protocol) return false
  if (!('name' in match)) return port >= match.first && port <= match.last
  return named.some((own) => own.name === match.name && own.protocol === protocol && own.port === port)
}
