// Which connections two versions of a cluster's policies decide differently, for all pairs and every port. Workloads that
// neither version tells apart are compared once: the engine's own numbers of subjects and classes say which these are.
import { formatRule } from '../manifests/index.ts'
import type { Decision, Family } from '../engine/index.ts'
import { canMeet, family, together } from './connections.ts'
import { nameOf, type Point } from './ends.ts'
import type { Member } from './members.ts'
import type { PortRange } from './port-ranges.ts'
import type { SideDecision } from './policy-maps.ts'
import { zip, type Segments } from './segments.ts'
import type { Simulation } from './simulation.ts'

/** Connections that change alike: each of `from` to each of `to`, nobody to itself. */
export interface Change {
  readonly from: readonly string[]
  readonly to: readonly string[]
  readonly ports: readonly PortRange[]
  readonly families: readonly Family[]
  readonly old: Decision
  readonly new: Decision
  /** The rules behind the two decisions. */
  readonly oldRules: readonly string[]
  readonly newRules: readonly string[]
  /** How many pairs of ends these are. */
  readonly pairs: number
}

export interface Comparison {
  readonly changes: readonly Change[]
  /** Pairs of ends compared, and those of them with any change. */
  readonly pairs: { readonly compared: number; readonly changed: number }
}

/** `members`: those of both versions; `before` and `after` are about the same names. */
export function compare(before: Simulation, after: Simulation, members: readonly Member[]): Comparison {
  const differences = new Differences(before, after)
  const groups = groupsOf(before, after, members)
  const found = new Findings()
  let compared = 0
  for (const from of groups) {
    for (const to of groups) {
      const pairs = pairsOf(from, to)
      compared += pairs
      if (pairs > 0) found.add(from, to, pairs, differences.between(from, to))
    }
  }
  return { changes: found.changes(), pairs: { compared, changed: found.changedPairs } }
}

// ---- groups -------------------------------------------------------------------------------------------------------

/** An end at one address, before and after. */
interface Face {
  readonly before: Point
  readonly after: Point
}

/** Ends that decide, and are decided about, alike. */
interface Group {
  readonly number: number
  readonly names: readonly string[]
  /** Whether policies select it. */
  readonly isSubject: boolean
  readonly faces: readonly Face[]
}

function groupsOf(before: Simulation, after: Simulation, members: readonly Member[]): readonly Group[] {
  const workloadsBefore = new Map(before.cluster.workloads.map((workload) => [nameOf(workload), workload]))
  const groups = new Map<string, { readonly number: number; names: string[]; isSubject: boolean; faces: readonly Face[] }>()
  for (const { name, end } of members) {
    const workload = workloadsBefore.get(name)
    const faces = facesOf(before.pointsOf(workload === undefined ? end : { workload }), after.pointsOf(end))
    const key = faces.map((face) => signature(before, after, face)).sort().join('|')
    const group = groups.get(key) ?? { number: groups.size, names: [], isSubject: [before, after].some((simulation) => simulation.isSubject(end)), faces }
    group.names.push(name)
    groups.set(key, group)
  }
  return [...groups.values()]
}

/** Each address with the one that it was before: itself, or one of its family. */
function facesOf(before: readonly Point[], after: readonly Point[]): readonly Face[] {
  return after.flatMap((point) => {
    const same = before.find(({ address }) => address === point.address)
    const alike = same ?? before.find((other) => family(other) === family(point)) ?? before[0]
    return alike === undefined ? [] : [{ before: alike, after: point }]
  })
}

function signature(before: Simulation, after: Simulation, face: Face): string {
  const sides = [[before, face.before], [after, face.after]] as const
  return [family(face.after) ?? 'any', ...sides.flatMap(([simulation, point]) =>
    [simulation.subjectOf(point) ?? '-', simulation.classOf(point), point.workload?.audit ?? false])].join()
}

function pairsOf(from: Group, to: Group): number {
  if (!from.isSubject && !to.isSubject) return 0
  return from.names.length * to.names.length - (from === to ? from.names.length : 0)
}

// ---- decisions ----------------------------------------------------------------------------------------------------

interface Difference {
  /** The same for equal ones. */
  readonly number: number
  readonly old: Decision
  readonly new: Decision
  readonly ports: readonly PortRange[]
  readonly oldRules: readonly string[]
  readonly newRules: readonly string[]
}

type Located = Difference & { readonly families: readonly Family[] }

class Differences {
  readonly #before: Simulation
  readonly #after: Simulation
  readonly #numbers = new Map<Segments<SideDecision>, number>()
  readonly #known = new Map<string, readonly Difference[]>()
  readonly #distinct = new Map<string, Difference>()

  constructor(before: Simulation, after: Simulation) {
    this.#before = before
    this.#after = after
  }

  /** At every pair of addresses that can meet, or at the first where none can; the same difference once. */
  between(from: Group, to: Group): readonly Located[] {
    const pairs = from.faces.flatMap((source) => to.faces.map((destination) => ({ source, destination })))
    const alike = pairs.filter(({ source, destination }) => canMeet(source.after, destination.after))
    const found = new Map<Difference, Set<Family>>()
    for (const { source, destination } of alike.length > 0 ? alike : pairs.slice(0, 1)) {
      for (const difference of this.#atFaces(source, destination)) {
        const families = found.get(difference) ?? new Set()
        for (const each of [family(source.after), family(destination.after)]) if (each !== undefined) families.add(each)
        found.set(difference, families)
      }
    }
    return [...found].map(([difference, families]) => ({ ...difference, families: [...families].sort() }))
  }

  #atFaces(source: Face, destination: Face): readonly Difference[] {
    const lists = [
      this.#before.segments('egress', source.before, destination.before),
      this.#before.segments('ingress', destination.before, source.before),
      this.#after.segments('egress', source.after, destination.after),
      this.#after.segments('ingress', destination.after, source.after),
    ] as const
    const key = lists.map((list) => this.#numberOf(list)).join()
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const made = this.#compare(...lists)
    this.#known.set(key, made)
    return made
  }

  #numberOf(list: Segments<SideDecision>): number {
    const number = this.#numbers.get(list) ?? this.#numbers.size
    this.#numbers.set(list, number)
    return number
  }

  #compare(...[oldEgress, oldIngress, newEgress, newIngress]: Four<Segments<SideDecision>>): readonly Difference[] {
    const sides = (a: SideDecision, b: SideDecision) => ({ decision: together(a.decision, b.decision), sides: [a, b] })
    const both = zip(zip(oldEgress, oldIngress, sides), zip(newEgress, newIngress, sides), (was, is) => ({ was, is }))
    const changed = both.filter(({ value }) => value.was.decision !== value.is.decision)
    const byDecision = Map.groupBy(changed, ({ value }) => `${value.was.decision} ${value.is.decision}`)
    return [...byDecision.values()].flatMap((segments) => {
      const [first] = segments
      if (first === undefined) return []
      const { was, is } = first.value
      return [this.#distinctOf({
        old: was.decision,
        new: is.decision,
        ports: joined(segments),
        oldRules: rulesOf(this.#before, segments.map(({ value }) => value.was)),
        newRules: rulesOf(this.#after, segments.map(({ value }) => value.is)),
      })]
    })
  }

  #distinctOf(difference: Omit<Difference, 'number'>): Difference {
    const text = JSON.stringify(difference)
    const known = this.#distinct.get(text) ?? { ...difference, number: this.#distinct.size }
    this.#distinct.set(text, known)
    return known
  }
}

type Four<T> = readonly [T, T, T, T]

/** Neighbours as one range. */
function joined(ranges: readonly PortRange[]): readonly PortRange[] {
  return ranges.reduce<PortRange[]>((list, { first, last }) => {
    const previous = list.at(-1)
    if (previous?.last === first - 1) list[list.length - 1] = { first: previous.first, last }
    else list.push({ first, last })
    return list
  }, [])
}

/** Those of the sides that made a decision what it is. */
export function rulesOf(
  simulation: Simulation,
  decisions: readonly { readonly decision: Decision; readonly sides: readonly SideDecision[] }[],
): readonly string[] {
  const numbers = decisions.flatMap(({ decision, sides }) => sides.filter((side) => side.decision === decision).map(({ rule }) => rule))
  return [...new Set(numbers)].flatMap((number) => simulation.reference(number) ?? []).map(formatRule)
}

// ---- findings -----------------------------------------------------------------------------------------------------

/** Differences that several groups have, told together. */
class Findings {
  changedPairs = 0
  readonly #found = new Map<string, { readonly difference: Located; readonly to: Group; readonly from: Group[]; pairs: number }>()

  add(from: Group, to: Group, pairs: number, differences: readonly Located[]): void {
    if (differences.length > 0) this.changedPairs += pairs
    for (const difference of differences) {
      const key = `${keyOf(difference)} ${to.number}`
      const found = this.#found.get(key) ?? { difference, to, from: [], pairs: 0 }
      found.from.push(from)
      found.pairs += pairs
      this.#found.set(key, found)
    }
  }

  /** The same difference from the same sources to several destinations is one change. */
  changes(): readonly Change[] {
    const sources = (from: readonly Group[]): string => from.map(({ number }) => number).join()
    const alike = Map.groupBy(this.#found.values(), ({ difference, from }) => `${keyOf(difference)} ${sources(from)}`)
    return [...alike.values()].flatMap((found) => {
      const [first] = found
      if (first === undefined) return []
      const pairs = found.reduce((sum, each) => sum + each.pairs, 0)
      const { number: _, ...difference } = first.difference
      return [{ from: namesOf(first.from), to: namesOf(found.map(({ to }) => to)), ...difference, pairs }]
    })
  }
}

const keyOf = ({ number, families }: Located): string => `${number} ${families.join()}`

const namesOf = (groups: readonly Group[]): readonly string[] => groups.flatMap(({ names }) => names)
