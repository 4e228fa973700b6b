// GET /v1/explain: the engine's verdict on one connection, in words.
import { type Direction, formatAddress, parseAddress, type SideVerdict, type Verdict } from '../engine/index.ts'
import { addressesFor, formatRule, isHostText, noSuchPacket, parseProbe, PROBE_SYNTAX, type RuleReference, translationHint, unknownEnd } from '../manifests/index.ts'
import type { Cluster, Probe, Workload } from '../manifests/index.ts'
import { comparedEntries, type Facts, missingProxies } from '../whatif/index.ts'
import { addressBytes, hostPrefix } from './address.ts'
import type { Address, ExplainedEnd, ExplainedSide, Explanation } from './api/types.ts'
import { nameOf } from './endpoints.ts'
import { AgentError } from './errors.ts'
import type { VerdictQuery } from './reconcilers/ports.ts'
import type { Table } from './table.ts'
import { IPV4_WORLD, IPV6_WORLD, RESERVED_LABELS } from './desired/index.ts'

export interface ExplainSources {
  readonly cluster: Cluster
  readonly addresses: Table<Address>
  readonly verdict: (query: VerdictQuery) => Verdict
  /** Whether the node reaches its workloads whatever their policies say. */
  readonly allowHost: boolean
}

export function explain(sources: ExplainSources, from: string, to: string, port: string): Explanation {
  const probe = parseProbe(port)
  if (probe === undefined) throw new AgentError('BAD_REQUEST', `port "${port}" is not valid: give ${PROBE_SYNTAX}`)
  const { protocol } = probe
  const [source, destination] = pickAddresses(candidates(sources, from, probe), candidates(sources, to, probe), from, to)
  const hint = translationHint(sources.cluster, destination, protocol, probe.port)
  if (hint !== undefined) throw new AgentError('BAD_REQUEST', `${destination} ${port} is ${hint}`)
  const verdict = passage(sources, source, sources.verdict({ from: addressBytes(source), to: addressBytes(destination), protocol, port: probe.port }))
  const ends = { from: endOf(sources, source), to: endOf(sources, destination) }
  const side = (decided: SideVerdict, direction: Direction): ExplainedSide => ({
    ...sideOf(sources, decided, direction),
    ...lackingOf(sources, decided, direction, ends, probe),
  })
  return {
    ...ends,
    port,
    verdict: verdict.decision,
    ...(verdict.egress && { egress: side(verdict.egress, 'egress') }),
    ...(verdict.ingress && { ingress: verdict.ingress === 'not asked' ? NOT_ASKED : side(verdict.ingress, 'ingress') }),
  }
}

/** What becomes of a verdict where the datapath asks no workload about its node. */
function passage({ addresses, allowHost }: ExplainSources, source: string, verdict: Verdict): Omit<Verdict, 'ingress'> & { readonly ingress?: SideVerdict | 'not asked' } {
  const isHost = addresses.get(hostPrefix(source))?.flags.includes('host') === true
  if (!isHost || !allowHost || verdict.ingress === undefined) return verdict
  return { ...verdict, decision: verdict.egress?.decision ?? 'allowed', ingress: 'not asked' }
}

const NOT_ASKED: ExplainedSide = { verdict: 'allowed', rule: 0, reason: 'the node reaches its workloads whatever policy says: sluiced --allow-host' }

type Ends = Pick<Explanation, 'from' | 'to'>

function lackingOf({ cluster }: ExplainSources, { decision }: SideVerdict, direction: Direction, ends: Ends, probe: Probe): Pick<ExplainedSide, 'lacking'> {
  if (decision === 'allowed') return {}
  const [from, to] = [factsOf(cluster, ends.from), factsOf(cluster, ends.to)]
  const lacking = direction === 'egress' ? missingProxies(cluster, direction, from, to, probe) : missingProxies(cluster, direction, to, from, probe)
  return lacking.length === 0 ? {} : { lacking }
}

function factsOf({ workloads }: Cluster, { address, labels, workload: name }: ExplainedEnd): Facts {
  const workload = workloads.find((each) => nameOf(each) === name)
  return { address, labels, isWorkload: workload !== undefined, ports: workload?.ports ?? [] }
}

/** Addresses of an end that a packet of the probe can have. */
function candidates(sources: ExplainSources, text: string, probe: Probe): readonly string[] {
  const possible = addressesFor(probe, addressesOf(sources, text))
  if (possible.length === 0) throw new AgentError('BAD_REQUEST', noSuchPacket(probe, text))
  return possible
}

function addressesOf({ cluster: { workloads }, addresses }: ExplainSources, text: string): readonly string[] {
  if (isHostText(text)) return addresses.list().items.filter(({ flags }) => flags.includes('host')).map(({ prefix }) => prefix.replace(/\/\d+$/, ''))
  const address = parseAddress(text)
  if (address !== undefined) return [formatAddress(address)]
  const workload = workloads.find((each: Workload) => nameOf(each) === text)
  if (workload === undefined) throw new AgentError('NOT_FOUND', unknownEnd({ workloads }, text))
  return workload.addresses
}

/** The destination's first address whose family the source has too, as a client would choose and as the command does offline. */
function pickAddresses(from: readonly string[], to: readonly string[], fromText: string, toText: string): [string, string] {
  for (const destination of to) {
    const source = from.find((address) => address.includes(':') === destination.includes(':'))
    if (source !== undefined) return [source, destination]
  }
  throw new AgentError('BAD_REQUEST', `${fromText} and ${toText} have no addresses of one family`)
}

function endOf({ addresses }: ExplainSources, address: string): ExplainedEnd {
  const known = addresses.get(hostPrefix(address))
  const identity = known?.identity ?? (address.includes(':') ? IPV6_WORLD : IPV4_WORLD)
  const workload = known?.workload
  return {
    address,
    ...(workload !== undefined && { workload }),
    identity,
    labels: known?.labels ?? RESERVED_LABELS.get(identity) ?? [],
  }
}

function sideOf({ cluster }: ExplainSources, side: SideVerdict, direction: Direction): ExplainedSide {
  const { decision, rule } = side
  const reference = ruleOf(cluster, rule)
  const entries = comparedEntries(side, (number) => {
    const known = ruleOf(cluster, number)
    return known && formatRule(known)
  })
  if (reference === undefined) {
    return { verdict: decision, rule, entries, reason: rule === 0 ? `no policy selects it for ${direction}` : `rule ${rule} is not known any more` }
  }
  const policy = formatRule(reference)
  const { action, description } = reference
  return {
    verdict: decision,
    rule,
    policy,
    action,
    ...(description !== undefined && { description }),
    entries,
    reason: action === 'default-deny' ? `${policy}: no rule allows it` : `${policy} ${action === 'allow' ? 'allows' : 'denies'} it`,
  }
}

function ruleOf({ policies }: Cluster, number: number): RuleReference | undefined {
  for (const { rules } of policies.values()) {
    const reference = rules.get(number)
    if (reference !== undefined) return reference
  }
  return undefined
}
