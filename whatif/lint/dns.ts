// Workloads that may open connections, but may not look up the names of those whom they connect to.
import { pathOfRule, type Cluster, type CompiledPolicy, type RuleReference } from '../../manifests/index.ts'
import { nameOf, type Point } from '../ends.ts'
import { within } from '../segments.ts'
import { matchesSelector } from '../trace.ts'
import { several, type Finding } from './finding.ts'
import type { LintWorld } from './world.ts'

/** 53/UDP: a resolver asks over UDP first (RFC 7766 section 5). */
const DNS = (17 << 16) | 53

export function missingDns(cluster: Cluster, world: LintWorld): readonly Finding[] {
  const closed = world.subjects.flatMap((subject) => {
    const isolation = isolationOf(cluster, subject)
    const reach = isolation && reachOf(world, subject)
    return isolation === undefined || reach === undefined || reach === 'names' ? [] : [{ ...isolation, reach, subject }]
  })
  return [...Map.groupBy(closed, ({ policy, reach }) => `${policy.key} ${reach}`).values()].flatMap((alike): readonly Finding[] => {
    const [first] = alike
    if (first === undefined) return []
    const names = alike.flatMap(({ subject }) => alikeTo(world, subject))
    return [{ code: 'missing-dns-egress', policy: first.policy, path: pathOfRule(first.reference), ...explain(first.reach, names) }]
  })
}

/** The policy that closes egress; of several the one that decides. */
function isolationOf(cluster: Cluster, { workload }: Point): { policy: CompiledPolicy; reference: RuleReference } | undefined {
  const closing = [...cluster.policies.values()].flatMap((policy) => policy.policies.flatMap(({ subject, isolates: { egress = 0 } }) => {
    const reference = policy.rules.get(egress)
    return reference && matchesSelector(subject, workload?.labels ?? []) ? [{ policy, reference, egress }] : []
  }))
  return closing.sort((a, b) => a.egress - b.egress)[0]
}

/** What the workload may reach: nobody at all, somebody, or somebody who could answer for names. */
function reachOf(world: LintWorld, subject: Point): 'nobody' | 'somebody' | 'names' {
  const allows = (peers: readonly Point[], first: number, last: number) => peers.some((peer) =>
    within(world.simulation.segments('egress', subject, peer), first, last).some(({ value }) => value.decision === 'allowed'))
  return allows(resolvers(world), DNS, DNS) ? 'names' : allows(world.peers, 0, 0xff_ffff) ? 'somebody' : 'nobody'
}

/** Where no workload says that it serves names, any may; what is no workload may be a resolver in any case. */
function resolvers({ simulation, peers }: LintWorld): readonly Point[] {
  const known = simulation.cluster.workloads.filter(({ ports }) => ports.some(({ protocol, port }) => ((protocol << 16) | port) === DNS))
  if (known.length === 0) return peers
  return [...peers.filter(isNoWorkload), ...known.flatMap((workload) => simulation.pointsOf({ workload }))]
}

const isNoWorkload = ({ workload, standIn }: Point): boolean => workload === undefined && standIn?.isWorkload !== true

/** Every workload with the same rules. */
function alikeTo({ simulation }: LintWorld, subject: Point): readonly string[] {
  const number = simulation.subjectOf(subject)
  return simulation.cluster.workloads
    .filter((workload) => simulation.pointsOf({ workload }).some((point) => simulation.subjectOf(point) === number))
    .map(nameOf)
}

function explain(reach: 'nobody' | 'somebody', names: readonly string[]): Pick<Finding, 'severity' | 'problem' | 'advice'> {
  if (reach === 'nobody') {
    return {
      severity: 'info',
      problem: `may open no connection at all, and look up no names: ${several(names)}`,
      advice: 'nothing, if that is meant',
    }
  }
  return {
    severity: 'warning',
    problem: `may open connections, but look up no names (53/UDP): ${several(names)}`,
    advice: 'allow egress to the cluster\'s DNS on 53/UDP and 53/TCP; if only addresses are used, silence this',
  }
}
