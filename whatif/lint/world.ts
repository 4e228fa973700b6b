// The cluster that lint asks questions about: all policies enforced, and beside the peers that exist those that a
// selector asks for and nobody is yet, so that a rule is not blamed for being early.
import type { Label, Requirement, Selector } from '../../engine/index.ts'
import { NAMESPACE_KEY, type Cluster } from '../../manifests/index.ts'
import type { Point, StandIn } from '../ends.ts'
import { entityStandIns, membersOf } from '../members.ts'
import type { SideDecision } from '../policy-maps.ts'
import type { Segments } from '../segments.ts'
import { Simulation } from '../simulation.ts'
import { unmatched } from './selectors.ts'

const DIRECTIONS = ['ingress', 'egress'] as const

export class LintWorld {
  readonly simulation: Simulation
  /** One workload for each set of rules, one peer for each class. */
  readonly subjects: readonly Point[]
  readonly peers: readonly Point[]

  private constructor(simulation: Simulation, ends: readonly Point[]) {
    const isSubject = (point: Point) => simulation.subjectOf(point) !== undefined
    this.simulation = simulation
    this.subjects = distinct(ends.filter(isSubject), (point) => simulation.subjectOf(point))
    this.peers = distinct(ends, (point) => simulation.classOf(point))
  }

  static async of(cluster: Cluster): Promise<LintWorld> {
    const entities = entityStandIns(cluster)
    const possible = possiblePeers(cluster)
    const simulation = await Simulation.of(enforced(cluster), [...entities, ...possible], 'enforce')
    const members = membersOf(simulation.cluster, entities).map(({ end }) => end)
    const ends = [...members, ...possible.map((standIn) => ({ standIn }))]
    return new LintWorld(simulation, ends.flatMap((end) => simulation.pointsOf(end)))
  }

  /** Every rule that decides anything. */
  decidingRules(): ReadonlySet<number> {
    const lists = new Set<Segments<SideDecision>>()
    for (const direction of DIRECTIONS) {
      for (const subject of this.subjects) {
        for (const peer of this.peers) lists.add(this.simulation.segments(direction, subject, peer))
      }
    }
    return new Set([...lists].flatMap((segments) => segments.map(({ value }) => value.rule)))
  }
}

function distinct<T>(items: readonly T[], keyOf: (item: T) => unknown): readonly T[] {
  return [...new Map(items.map((item) => [keyOf(item), item])).values()]
}

/** As if nothing was only audited. */
function enforced(cluster: Cluster): Cluster {
  const policies = new Map([...cluster.policies].map(([key, document]) =>
    [key, { ...document, policies: document.policies.map((policy) => ({ ...policy, audit: false })) }]))
  return { ...cluster, policies, workloads: cluster.workloads.map((workload) => ({ ...workload, audit: false })) }
}

function possiblePeers(cluster: Cluster): readonly StandIn[] {
  const isUnmatched = unmatched(cluster)
  const rules = [...cluster.policies.values()].flatMap(({ policies }) => policies.flatMap((policy) => policy.rules))
  const selectors = rules.flatMap(({ peers }) => (peers === 'any' ? [] : peers.flatMap(({ selector }) => selector ?? [])))
  const labelSets = selectors.filter(isUnmatched).map(labelsFor)
  return distinct(labelSets, (labels) => labels.join('\n')).map((labels) => ({ labels, isWorkload: true }))
}

/** The fewest labels that a selector takes, of a workload. */
function labelsFor({ requirements }: Selector): readonly Label[] {
  const wanted = requirements.filter(({ operator }) => operator === 'In' || operator === 'Exists')
  const values = new Map(wanted.map((requirement) => [keyOf(requirement), valueFor(requirement, requirements)]))
  if (!values.has(NAMESPACE_KEY)) values.set(NAMESPACE_KEY, 'default')
  return [...values].map(([key, value]) => `${key}=${value}`).sort()
}

const keyOf = ({ key }: Requirement): string => key.replace(/^any:/, 'k8s:')

function valueFor({ key, values }: Requirement, requirements: readonly Requirement[]): string {
  const refused = requirements.filter((other) => other.key === key && other.operator === 'NotIn').flatMap((other) => other.values)
  return values.find((value) => !refused.includes(value)) ?? 'any'
}
