// Connections between two ends: at which addresses, and what both sides together decide there.
import { familyOf, parseAddress, type Decision, type Family } from '../engine/index.ts'
import type { Point, End } from './ends.ts'
import { everywhere, zip, type Segments } from './segments.ts'
import type { SideDecision } from './policy-maps.ts'
import type { Simulation } from './simulation.ts'

export interface ConnectionDecision {
  readonly decision: Decision
  /** Absent where a workload speaks to itself: no policy is asked. */
  readonly egress?: SideDecision
  readonly ingress?: SideDecision
}

export interface Connection {
  readonly from: Point
  readonly to: Point
}

/** At every pair of addresses that can meet; at the first of each where none can. */
export function connectionsOf(simulation: Simulation, from: End, to: End): readonly Connection[] {
  const [sources, destinations] = [simulation.pointsOf(from), simulation.pointsOf(to)]
  const alike = destinations.flatMap((destination) =>
    sources.filter((source) => canMeet(source, destination)).map((source) => ({ from: source, to: destination })),
  )
  const [first, other] = [sources[0], destinations[0]]
  return alike.length > 0 || first === undefined || other === undefined ? alike : [{ from: first, to: other }]
}

/** Undefined where the address only stands in for one that is not known. */
export function family({ address, workload, standIn }: Point): Family | undefined {
  const isKnown = workload === undefined ? standIn === undefined || standIn.address !== undefined : workload.addresses.includes(address)
  return isKnown ? familyOf(parseAddress(address) ?? new Uint8Array(16)) : undefined
}

/** Whether two ends speak the same family, as far as is known. */
export function canMeet(a: Point, b: Point): boolean {
  const [own, other] = [family(a), family(b)]
  return own === undefined || other === undefined || own === other
}

/** For every protocol and port; a workload always reaches itself. */
export function decideEverywhere(simulation: Simulation, { from, to }: Connection): Segments<ConnectionDecision> {
  if (from.workload !== undefined && from.workload === to.workload) return everywhere({ decision: 'allowed' })
  return zip(simulation.segments('egress', from, to), simulation.segments('ingress', to, from), (egress, ingress) => ({
    decision: together(egress.decision, ingress.decision),
    egress,
    ingress,
  }))
}

export function together(egress: Decision, ingress: Decision): Decision {
  if (egress === 'denied' || ingress === 'denied') return 'denied'
  return egress === 'audited' || ingress === 'audited' ? 'audited' : 'allowed'
}
