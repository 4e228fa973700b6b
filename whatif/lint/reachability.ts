// Rules that never decide anything, for no workload that exists and no peer that exists or that they ask for.
import type { Policy, PortMatch, Rule } from '../../engine/index.ts'
import { formatRule, pathOfRule, type Cluster, type CompiledPolicy, type RuleReference } from '../../manifests/index.ts'
import type { Point } from '../ends.ts'
import type { PortRange } from '../port-ranges.ts'
import { LAST_KEY, within } from '../segments.ts'
import { matchesPeer, matchesSelector } from '../trace.ts'
import { several, type Finding } from './finding.ts'
import { LintWorld } from './world.ts'

interface Placed {
  readonly document: CompiledPolicy
  readonly policy: Policy
  readonly rule: Rule
  readonly reference: RuleReference
}

export async function unreachableRules(cluster: Cluster, world: LintWorld): Promise<readonly Finding[]> {
  const deciding = await decidingRules(cluster, world)
  const idle = rulesOf(cluster).filter(({ rule }) => !deciding.has(rule.number))
  const judged = idle.flatMap((placed) => judge(world, placed) ?? [])
  const shadowed = new Set(judged.filter(({ finding }) => finding.code === 'unreachable-rule').map(({ placed }) => placed.rule))
  const policies = [...cluster.policies.values()].filter((document) => isShadowed(document, shadowed))
  return [
    ...policies.map((document) => shadowedPolicy(document, judged.filter(({ placed }) => placed.document === document))),
    ...judged.filter(({ placed }) => !policies.includes(placed.document)).map(({ finding }) => finding),
  ]
}

/** A rule that passes leaves no trace in what is decided; denying instead, it would. */
async function decidingRules(cluster: Cluster, world: LintWorld): Promise<ReadonlySet<number>> {
  const passing = new Set(rulesOf(cluster).filter(({ rule }) => rule.action === 'pass').map(({ rule }) => rule.number))
  if (passing.size === 0) return world.decidingRules()
  const denying = (await LintWorld.of(withoutPass(cluster))).decidingRules()
  return world.decidingRules().union(denying.intersection(passing))
}

function withoutPass(cluster: Cluster): Cluster {
  const denied = (rule: Rule): Rule => (rule.action === 'pass' ? { ...rule, action: 'deny' } : rule)
  const policies = new Map([...cluster.policies].map(([key, document]) =>
    [key, { ...document, policies: document.policies.map((policy) => ({ ...policy, rules: policy.rules.map(denied) })) }]))
  return { ...cluster, policies }
}

function rulesOf({ policies }: Cluster): readonly Placed[] {
  return [...policies.values()].flatMap((document) => document.policies.flatMap((policy) => policy.rules.flatMap((rule) => {
    const reference = document.rules.get(rule.number)
    return reference === undefined ? [] : [{ document, policy, rule, reference }]
  })))
}

// ---- why ----------------------------------------------------------------------------------------------------------

interface Judged {
  readonly placed: Placed
  readonly finding: Finding
  readonly deciders: readonly string[]
}

/** Undefined where there is no question: the policy selects nobody, or the rule has no peer. */
function judge(world: LintWorld, placed: Placed): Judged | undefined {
  const { document, reference, rule } = placed
  const pairs = pairsOf(world, placed)
  if (pairs.length === 0 || rule.ports.length === 0) return undefined
  const instead = decidersOf(world, placed, pairs)
  const deciders = instead.map(formatRule)
  const head = { policy: document, path: pathOfRule(reference) }
  if (instead.length === 0) {
    return { placed, deciders, finding: { ...head, code: 'unreachable-rule', severity: 'warning', ...noSuchPort(rule) } }
  }
  if (instead.every((other) => isOfSameEffect(reference, other))) {
    const problem = `all of it is decided alike by ${several(deciders)}`
    const advice = 'remove it, or the others'
    return { placed, deciders, finding: { ...head, code: 'redundant-rule', severity: 'info', problem, advice } }
  }
  const problem = `it never decides: ${several(deciders)} come${instead.length === 1 ? 's' : ''} first`
  const advice = 'remove it, or narrow what comes first; sluice policy explain shows a single connection'
  return { placed, deciders, finding: { ...head, code: 'unreachable-rule', severity: 'warning', problem, advice } }
}

interface Pair {
  readonly subject: Point
  readonly peer: Point
}

function pairsOf({ simulation, subjects, peers }: LintWorld, { policy, rule }: Placed): readonly Pair[] {
  const facts = (point: Point) => simulation.facts(point, point.address)
  const own = subjects.filter((subject) => matchesSelector(policy.subject, facts(subject).labels))
  const { peers: candidates } = rule
  const matches = (peer: Point) => candidates === 'any' || candidates.some((candidate) => matchesPeer(candidate, facts(peer)))
  const matching = peers.filter(matches)
  return own.flatMap((subject) => matching.map((peer) => ({ subject, peer })))
}

/** The rules that decide what this one is about. */
function decidersOf({ simulation }: LintWorld, { rule }: Placed, pairs: readonly Pair[]): readonly RuleReference[] {
  const numbers = pairs.flatMap(({ subject, peer }) => {
    const destination = rule.direction === 'ingress' ? subject : peer
    const segments = simulation.segments(rule.direction, subject, peer)
    const ranges = rule.ports === 'all' ? [{ first: 0, last: LAST_KEY }] : rule.ports.flatMap((port) => rangesOf(port, destination))
    return ranges.flatMap(({ first, last }) => within(segments, first, last).map(({ value }) => value.rule))
  })
  return [...new Set(numbers)].flatMap((number) => simulation.reference(number) ?? [])
}

function rangesOf(match: PortMatch, { workload }: Point): readonly PortRange[] {
  if ('first' in match) return [{ first: (match.protocol << 16) | match.first, last: (match.protocol << 16) | match.last }]
  const isNamed = (protocol: number) => match.protocol === 'any' || match.protocol === protocol
  const own = (workload?.ports ?? []).filter(({ name, protocol }) => name === match.name && isNamed(protocol))
  return own.map(({ protocol, port }) => ({ first: (protocol << 16) | port, last: (protocol << 16) | port }))
}

function noSuchPort({ direction, ports }: Rule): Pick<Finding, 'problem' | 'advice'> {
  const names = ports === 'all' ? [] : ports.flatMap((port) => ('name' in port ? [port.name] : []))
  const who = direction === 'ingress' ? 'workload that the policy selects' : 'peer of the rule'
  return { problem: `no ${who} has a port named ${names.join(' or ')}`, advice: 'name the port in the workloads, or give its number' }
}

function isOfSameEffect(a: RuleReference, b: RuleReference): boolean {
  return a.action === b.action && tierOf(a) === tierOf(b)
}

function tierOf({ kind }: RuleReference): 'tiers' | 'normal' {
  return ['ClusterNetworkPolicy', 'AdminNetworkPolicy', 'BaselineAdminNetworkPolicy'].includes(kind) ? 'tiers' : 'normal'
}

// ---- whole policies -----------------------------------------------------------------------------------------------

/** Nothing that it lets through gets through. */
function isShadowed({ policies }: CompiledPolicy, shadowed: ReadonlySet<Rule>): boolean {
  const opening = policies.flatMap(({ rules }) => rules.filter(({ action }) => action !== 'deny'))
  return opening.length > 0 && opening.every((rule) => shadowed.has(rule))
}

function shadowedPolicy(policy: CompiledPolicy, judged: readonly Judged[]): Finding {
  const deciders = [...new Set(judged.flatMap((each) => each.deciders))]
  return {
    code: 'shadowed-policy',
    severity: 'error',
    policy,
    path: [],
    problem: `nothing that it allows gets through: ${several(deciders)} decide${deciders.length === 1 ? 's' : ''} all of it`,
    advice: 'remove the policy, or narrow what comes first',
  }
}
