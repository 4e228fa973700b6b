// Everybody who can take part in a connection, by the names that people use: workloads, nodes, entities, and the world
// outside as finely as policies divide it.
import { entitySelectors, ENTITIES, type Cluster, type Entity } from '../manifests/index.ts'
import { findEnd, HOST, nameOf, type End, type EntityStandIn } from './ends.ts'
import { outsideRegions } from './regions.ts'
import type { Simulation } from './simulation.ts'
import { matchesSelector } from './trace.ts'

export interface Member {
  /** `namespace/name`, `node NAME (ADDRESS)`, `entity host`, or the prefix of a region. */
  readonly name: string
  readonly kind: 'workload' | 'node' | 'entity' | 'outside'
  readonly end: End
}

const PEOPLED = ENTITIES.filter((entity) => entity !== 'none')

export const MEMBER_SYNTAX = `namespace/name, a pattern such as demo/web-*, an address, or an entity: ${PEOPLED.join(', ')}`

/** Peers that manifests do not describe; nodes of the manifests are `remote-node`. */
export function entityStandIns({ nodes }: Pick<Cluster, 'nodes'>): readonly EntityStandIn[] {
  const names = [...(nodes.length === 0 ? ['remote-node'] : []), 'kube-apiserver', 'ingress', 'health', 'unmanaged']
  return [HOST, ...names.map((entity) => ({ entity, labels: [`reserved:${entity}=`], isWorkload: false }))]
}

/** `standIns`: those that the simulation was made with. */
export function membersOf(cluster: Cluster, standIns: readonly EntityStandIn[], regions = outsideRegions([cluster])): readonly Member[] {
  return [
    ...cluster.workloads.map((workload): Member => ({ name: nameOf(workload), kind: 'workload', end: { workload } })),
    ...cluster.nodes.flatMap(({ name, addresses }) =>
      addresses.map((address): Member => ({ name: `node ${name} (${address})`, kind: 'node', end: { address } })),
    ),
    ...standIns.map((standIn): Member => ({ name: `entity ${standIn.entity}`, kind: 'entity', end: { standIn } })),
    ...regions.map(({ prefix, address }): Member => ({ name: prefix, kind: 'outside', end: { address } })),
  ]
}

/** Who is meant by `text`, see MEMBER_SYNTAX; nobody: undefined. */
export function findMembers(simulation: Simulation, members: readonly Member[], text: string): readonly Member[] | undefined {
  const found = isEntity(text) ? ofEntity(simulation, members, text) : named(simulation, members, text)
  return found.length === 0 ? undefined : found
}

const isEntity = (text: string): text is Entity => (ENTITIES as readonly string[]).includes(text)

function ofEntity(simulation: Simulation, members: readonly Member[], entity: Entity): readonly Member[] {
  const selectors = entitySelectors(entity)
  return members.filter(({ end }) =>
    simulation.pointsOf(end).some((point) => {
      const { labels } = simulation.facts(point, point.address)
      return selectors.some((selector) => matchesSelector(selector, labels))
    }),
  )
}

function named({ cluster }: Simulation, members: readonly Member[], text: string): readonly Member[] {
  if (text.includes('*')) return members.filter(({ kind, name }) => kind === 'workload' && matchesPattern(text, name))
  const end = findEnd(cluster, text)
  if (end === undefined) return []
  if (end.workload === undefined) return [{ name: text, kind: end.standIn === undefined ? 'outside' : 'entity', end }]
  return [{ name: nameOf(end.workload), kind: 'workload', end }]
}

function matchesPattern(pattern: string, name: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('[^/]*')}$`).test(name)
}
