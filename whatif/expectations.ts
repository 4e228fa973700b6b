// What a security team expects of its policies, as a file, and whether the policies do it.
import type { Decision, Family } from '../engine/index.ts'
import {
  formatRule, parseValue, schema, translationHint, type Cluster, type ManifestError, type RuleReference, type Source,
} from '../manifests/index.ts'
import { connectionsOf, decideEverywhere, family, type Connection, type ConnectionDecision } from './connections.ts'
import type { Point } from './ends.ts'
import { entityStandIns, findMembers, membersOf, MEMBER_SYNTAX, type Member } from './members.ts'
import { describePortRanges, parsePortRange, PORT_RANGE_SYNTAX, type PortRange } from './port-ranges.ts'
import { within } from './segments.ts'
import { Simulation, type HostPolicyMode } from './simulation.ts'

/** One line of the file: everybody of `from` to everybody of `to`, on all of `ports`. */
export interface Expectation {
  readonly name: string
  readonly from: string
  readonly to: string
  /** As it was written. */
  readonly port: string
  readonly ports: PortRange
  readonly expect: Decision
  /** The policy, or the rule, that has to be the reason. */
  readonly by?: string
  /** Absent: both, where both ends have both. */
  readonly family?: Family
  readonly at: { readonly file: string; readonly line: number; readonly column: number; readonly path: string }
}

export interface Verification {
  readonly expectation: Expectation
  readonly passed: boolean
  /** How many connections were decided. */
  readonly connections: number
  /** The first that is not as expected, in words. */
  readonly problem?: string
  /** Rules that decided. */
  readonly rules: readonly string[]
}

const text = (allowed: string, accepts: (text: string) => boolean) => schema.string({ allowed, accepts })

const EXPECTATIONS = schema.object(
  {
    cases: schema.list(
      schema.object(
        {
          name: schema.string(),
          from: text(MEMBER_SYNTAX, (value) => value !== ''),
          to: text(MEMBER_SYNTAX, (value) => value !== ''),
          port: schema.integerOrString(1, 65_535, { allowed: PORT_RANGE_SYNTAX, accepts: isPortRange }),
          expect: schema.oneOf('allowed', 'denied', 'audited'),
          by: text('the policy that decides, KIND NAMESPACE/NAME, or its rule, KIND NAMESPACE/NAME ingress[0]', isPolicyText),
          family: schema.oneOf('IPv4', 'IPv6'),
        },
        ['from', 'to', 'port', 'expect'],
      ),
      1,
    ),
  },
  ['cases'],
)

function isPortRange(value: string): boolean {
  return parsePortRange(value) !== undefined
}

function isPolicyText(value: string): boolean {
  return /^[A-Z]\w+ \S+( \S.*)?$/.test(value)
}

/** Parses the file, and finds out who is meant. */
export class Expectations {
  readonly #simulation: Simulation
  readonly #members: readonly Member[]

  private constructor(simulation: Simulation, members: readonly Member[]) {
    this.#simulation = simulation
    this.#members = members
  }

  static async about(cluster: Cluster, hostPolicy: HostPolicyMode = 'audit'): Promise<Expectations> {
    const standIns = entityStandIns(cluster)
    return new Expectations(await Simulation.of(cluster, standIns, hostPolicy), membersOf(cluster, standIns))
  }

  read(content: string, file: string): { readonly value?: readonly Expectation[]; readonly errors: readonly ManifestError[] } {
    return parseValue(content, file, {
      schema: EXPECTATIONS,
      read: ({ cases }, source) => cases.map(({ port, name, ...rest }, index) => {
        const ports = parsePortRange(`${port}`) ?? { first: 0, last: 0 }
        this.#checkEnds(source, rest, index)
        this.#refuseService(source, rest.to, ports, index)
        const title = name ?? `${rest.from} to ${rest.to} ${port}: ${rest.expect}`
        return { ...rest, name: title, port: `${port}`, ports, at: source.locate(['cases', index]) } as Expectation
      }),
    })
  }

  #checkEnds(source: Source, ends: { readonly from: string; readonly to: string }, index: number): void {
    for (const field of ['from', 'to'] as const) {
      if (this.#find(ends[field]) !== undefined) continue
      const known = this.#members.filter(({ kind }) => kind === 'workload').map(({ name }) => name)
      const examples = known.length > 10 ? `${known.slice(0, 10).join(', ')} and ${known.length - 10} more` : known.join(', ')
      const problem = `nobody is ${JSON.stringify(ends[field])}`
      source.report('INVALID', ['cases', index, field], problem, `${MEMBER_SYNTAX}; workloads: ${examples || 'none'}`)
    }
  }

  #refuseService(source: Source, to: string, { first }: PortRange, index: number): void {
    const hint = translationHint(this.#simulation.cluster, to, first >>> 16, first & 0xffff)
    if (hint !== undefined) source.report('INVALID', ['cases', index, 'to'], `${to} is ${hint}`)
  }

  #find(who: string): readonly Member[] | undefined {
    return findMembers(this.#simulation, this.#members, who)
  }

  /** Every connection that is meant has to be as expected, at each of its ports. */
  verify(expectation: Expectation): Verification {
    const connections = this.#connections(expectation)
    const rules = new Set<string>()
    let problem: string | undefined
    for (const { names, connection } of connections) {
      const found = within(decideEverywhere(this.#simulation, connection), expectation.ports.first, expectation.ports.last)
      for (const { value } of found) for (const rule of this.#rulesOf(value)) rules.add(formatRule(rule))
      const wrong = found.find(({ value }) => this.#mismatch(expectation, value) !== undefined)
      if (wrong !== undefined) problem ??= `${names}, ${describePortRanges([wrong])}: ${this.#mismatch(expectation, wrong.value)}`
    }
    if (connections.length === 0) problem = 'there is no such connection of a workload with somebody else, at addresses of that family'
    const counts = { connections: connections.length, rules: [...rules] }
    return { expectation, passed: problem === undefined, ...counts, ...(problem && { problem }) }
  }

  #connections({ from, to, family: wanted }: Expectation): readonly { readonly names: string; readonly connection: Connection }[] {
    const [sources, destinations] = [this.#find(from) ?? [], this.#find(to) ?? []]
    const isOfFamily = (point: Point) => wanted === undefined || (family(point) ?? wanted) === wanted
    return sources.flatMap((source) => destinations.flatMap((destination) => {
      if (isSame(source, destination) && sources.length + destinations.length > 2) return []
      // Between two that no policy selects none has a say.
      if (![source, destination].some(({ end }) => this.#simulation.isSubject(end))) return []
      return connectionsOf(this.#simulation, source.end, destination.end)
        .filter((connection) => isOfFamily(connection.from) && isOfFamily(connection.to))
        .map((connection) => ({ connection, names: describe(source, destination, connection) }))
    }))
  }

  /** What is wrong about a decision, if anything is. */
  #mismatch({ expect, by }: Expectation, decided: ConnectionDecision): string | undefined {
    const rules = this.#rulesOf(decided).map(formatRule)
    const reason = rules.length === 0 ? 'no policy selects either end' : `by ${rules.join(' and ')}`
    if (decided.decision !== expect) return `expected ${expect}, is ${decided.decision} (${reason})`
    const named = by === undefined || rules.some((rule) => rule === by || rule.startsWith(`${by} `))
    return named ? undefined : `is ${expect} as expected, but not by ${by} (${reason})`
  }

  /** Rules of the sides that made the decision what it is. */
  #rulesOf({ decision, egress, ingress }: ConnectionDecision): readonly RuleReference[] {
    return [egress, ingress].flatMap((side) => {
      const rule = side?.decision === decision ? this.#simulation.reference(side.rule) : undefined
      return rule === undefined ? [] : [rule]
    })
  }
}

const isSame = ({ end: a }: Member, { end: b }: Member): boolean =>
  (a.workload !== undefined && a.workload === b.workload) || (a.standIn !== undefined && a.standIn === b.standIn)

function describe(from: Member, to: Member, connection: Connection): string {
  const text = ({ name, end }: Member, address: string): string =>
    end.standIn || name.includes(address) ? name : `${name} (${address})`
  return `${text(from, connection.from.address)} to ${text(to, connection.to.address)}`
}
