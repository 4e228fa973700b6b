// What each group has to be allowed, from the connections that were seen: for each direction the peers, and the ports of
// each; peers with the same ports share a rule.
import { ENTITIES, type Entity, type Workload } from '../../manifests/index.ts'
import type { Direction } from '../../engine/index.ts'
import type { End } from '../ends.ts'
import type { SeenConnection } from '../flows.ts'
import type { RecordedEnds } from '../recorded.ts'
import type { Group } from './groups.ts'

export type SuggestedPeer =
  | { readonly kind: 'group'; readonly group: Group }
  | { readonly kind: 'cidr'; readonly cidr: string }
  | { readonly kind: 'entity'; readonly entity: Entity }

export interface SuggestedRule {
  /** All of one kind. */
  readonly peers: readonly SuggestedPeer[]
  /** Keys of segments, ascending. */
  readonly keys: readonly number[]
}

export interface SuggestedPolicy {
  readonly group: Group
  readonly rules: { readonly [D in Direction]: readonly SuggestedRule[] }
  /** Flows that it is made from. */
  readonly flows: number
}

export interface Language {
  /** Who an end is that is no workload; undefined where the kind of policy has no word for it. */
  readonly outsidePeer: (end: End) => SuggestedPeer | undefined
  /** Whether a rule of the kind can be about this protocol and port. */
  readonly hasWordFor: (key: number) => boolean
}

export interface Draft {
  readonly policies: readonly SuggestedPolicy[]
  readonly unsaid: readonly SeenConnection[]
}

type Groups = ReadonlyMap<Workload, Group>

interface Wanted {
  flows: number
  readonly ingress: PeerPorts
  readonly egress: PeerPorts
}

type PeerPorts = Map<string, { readonly peer: SuggestedPeer; readonly keys: Set<number> }>

/** Connections that never passed ask for nothing; those between a workload and itself are always allowed. */
export function draft(connections: readonly SeenConnection[], ends: RecordedEnds, groups: Groups, language: Language): Draft {
  const wanted = new Map<Group, Wanted>()
  const unsaid: SeenConnection[] = []
  for (const seen of connections.filter(({ passed }) => passed > 0)) {
    const [from, to] = [ends.endOf(seen.from), ends.endOf(seen.to)]
    if (from.workload !== undefined && from.workload === to.workload) continue
    const sides = sidesOf(from, to, groups, language)
    if (sides === undefined || !language.hasWordFor(seen.key)) unsaid.push(seen)
    else for (const side of sides) want(wanted, side, seen)
  }
  const policies = [...wanted].map(([group, { flows, ingress, egress }]) => {
    const rules = { ingress: rulesOf(ingress), egress: rulesOf(egress) }
    return { group, flows, rules }
  })
  return { policies, unsaid }
}

interface Side {
  readonly group: Group
  readonly direction: Direction
  readonly peer: SuggestedPeer
}

function sidesOf(from: End, to: End, groups: Groups, language: Language): readonly Side[] | undefined {
  const groupOf = ({ workload }: End) => workload && groups.get(workload)
  const [source, destination] = [groupOf(from), groupOf(to)]
  const peerOf = (end: End, group: Group | undefined): SuggestedPeer | undefined =>
    group !== undefined ? { kind: 'group', group } : end.workload === undefined ? language.outsidePeer(end) : undefined
  const [fromPeer, toPeer] = [peerOf(from, source), peerOf(to, destination)]
  if (fromPeer === undefined || toPeer === undefined) return undefined
  return [
    ...(source === undefined ? [] : [{ group: source, direction: 'egress' as const, peer: toPeer }]),
    ...(destination === undefined ? [] : [{ group: destination, direction: 'ingress' as const, peer: fromPeer }]),
  ]
}

function want(wanted: Map<Group, Wanted>, { group, direction, peer }: Side, { key, passed }: SeenConnection): void {
  const own = wanted.get(group) ?? { flows: 0, ingress: new Map(), egress: new Map() }
  wanted.set(group, own)
  own.flows += passed
  const name = nameOfPeer(peer)
  const ports = own[direction].get(name) ?? { peer, keys: new Set() }
  ports.keys.add(key)
  own[direction].set(name, ports)
}

function nameOfPeer(peer: SuggestedPeer): string {
  if (peer.kind === 'cidr') return peer.cidr
  return peer.kind === 'entity' ? peer.entity : JSON.stringify([peer.group.namespace, ...peer.group.labels])
}

function rulesOf(peers: PeerPorts): readonly SuggestedRule[] {
  const byName = [...peers].sort(([a], [b]) => (a < b ? -1 : 1))
  const sorted = byName.map(([, { peer, keys }]) => ({ peer, keys: [...keys].sort((a, b) => a - b) }))
  const alike = Map.groupBy(sorted, ({ peer, keys }) => `${peer.kind} ${keys.join()}`)
  return [...alike.values()].map((found) => ({ peers: found.map(({ peer }) => peer), keys: found[0]?.keys ?? [] }))
}

/** The entity among reserved labels; undefined where there is none that policies name. */
export function entityOf(labels: readonly string[]): Entity | undefined {
  const names = labels.map((label) => /^reserved:([^=]+)/.exec(label)?.[1])
  return ENTITIES.find((entity) => names.includes(entity))
}
