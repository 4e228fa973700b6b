// Which rules a side's decision was made from, and for each whether the peer and the port match: what an operator
// needs to see in order to find the rule that should have matched. The decision itself is the engine's.
import { covers, familyOf, parseAddress, parsePrefix } from '../engine/index.ts'
import type { Direction, NamedPorts, Peer, Policy, PortMatch, Requirement, Rule, Selector, Prefix } from '../engine/index.ts'
import { formatRule, type Cluster, type Probe } from '../manifests/index.ts'

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
        peerMatches: rule.peers === 'any' || rule.peers.some((candidate) => matchesPeer(candidate, peer)),
        portMatches: rule.ports === 'all' || rule.ports.some((port) => matchesPort(port, probe, destination.ports)),
      })),
  )
}

function selecting(cluster: Cluster, subject: Facts): readonly { policy: Policy; textOf: (rule: number) => string }[] {
  return [...cluster.policies.values()].flatMap(({ policies, rules }) => {
    const textOf = (number: number): string => {
      const reference = rules.get(number)
      return reference === undefined ? `rule ${number}` : formatRule(reference)
    }
    return policies.filter((policy) => matchesSelector(policy.subject, subject.labels)).map((policy) => ({ policy, textOf }))
  })
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
