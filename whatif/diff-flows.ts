// Which recorded connections two versions of a cluster's policies decide differently.
import type { Decision } from '../engine/index.ts'
import { decideEverywhere, type Connection, type ConnectionDecision } from './connections.ts'
import { rulesOf } from './diff.ts'
import { nameOf } from './ends.ts'
import type { SeenConnection } from './flows.ts'
import { formatPort } from './port-ranges.ts'
import type { RecordedEnds } from './recorded.ts'
import { within } from './segments.ts'
import type { Simulation } from './simulation.ts'

/** Flows between two ends on one port. */
export interface ChangedFlows {
  readonly from: string
  readonly to: string
  readonly port: string
  readonly old: Decision
  readonly new: Decision
  readonly flows: number
  readonly oldRules: readonly string[]
  readonly newRules: readonly string[]
}

export interface FlowComparison {
  readonly newlyDropped: readonly ChangedFlows[]
  readonly newlyAllowed: readonly ChangedFlows[]
  /** Flows that are decided alike. */
  readonly unchanged: number
  /** Flows that were not recorded as the old version decides them: something else was enforced then. */
  readonly unlikeOld: number
}

interface Version {
  readonly simulation: Simulation
  readonly ends: RecordedEnds
}

export function compareFlows(before: Version, after: Version, connections: readonly SeenConnection[]): FlowComparison {
  const changed = new Map<string, ChangedFlows>()
  let [unchanged, unlikeOld] = [0, 0]
  for (const seen of connections) {
    const [old, now] = [decide(before, seen), decide(after, seen)]
    const flows = seen.passed + seen.dropped
    unlikeOld += old.decision === 'denied' ? seen.passed : seen.dropped
    if ((old.decision === 'denied') === (now.decision === 'denied')) unchanged += flows
    else {
      const decisions = { old: old.decision, new: now.decision, oldRules: rules(before, old), newRules: rules(after, now) }
      add(changed, { ...describe(after, seen), flows, ...decisions })
    }
  }
  const all = [...changed.values()].sort((a, b) => b.flows - a.flows)
  return {
    newlyDropped: all.filter((flows) => flows.new === 'denied'),
    newlyAllowed: all.filter((flows) => flows.old === 'denied'),
    unchanged,
    unlikeOld,
  }
}

function connectionOf({ simulation, ends }: Version, { from, to }: SeenConnection): Connection | undefined {
  const [source] = simulation.pointsOf(ends.endOf(from))
  const [destination] = simulation.pointsOf(ends.endOf(to))
  return source && destination && { from: source, to: destination }
}

function decide(version: Version, seen: SeenConnection): ConnectionDecision {
  const connection = connectionOf(version, seen)
  if (connection === undefined) return { decision: 'denied' }
  return within(decideEverywhere(version.simulation, connection), seen.key, seen.key)[0]?.value ?? { decision: 'denied' }
}

function rules({ simulation }: Version, { decision, egress, ingress }: ConnectionDecision): readonly string[] {
  return rulesOf(simulation, [{ decision, sides: [egress, ingress].filter((side) => side !== undefined) }])
}

function describe({ ends }: Version, { from, to, key }: SeenConnection): Pick<ChangedFlows, 'from' | 'to' | 'port'> {
  const name = (end: SeenConnection['from']): string => {
    const { workload } = ends.endOf(end)
    return workload === undefined ? end.address : nameOf(workload)
  }
  return { from: name(from), to: name(to), port: formatPort(key) }
}

function add(changed: Map<string, ChangedFlows>, flows: ChangedFlows): void {
  const key = JSON.stringify([flows.from, flows.to, flows.port, flows.old, flows.new])
  const known = changed.get(key)
  changed.set(key, known === undefined ? flows : { ...known, flows: known.flows + flows.flows })
}
