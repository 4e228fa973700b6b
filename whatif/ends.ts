// One end of a connection that somebody asks about.
import { formatAddress, parseAddress } from '../engine/index.ts'
import type { Label } from '../engine/index.ts'
import { isHostText, type Cluster, type Workload } from '../manifests/index.ts'

/** A peer that no manifest has: an entity, or one that a rule could be about. */
export interface StandIn {
  readonly labels: readonly Label[]
  /** Absent: one that no rule names. */
  readonly address?: string
  readonly isWorkload: boolean
}

export type EntityStandIn = StandIn & { readonly entity: string }

/** A node of which nothing else is known. Nodes of the manifests are found by their addresses. */
export const HOST: EntityStandIn = { entity: 'host', labels: ['reserved:host='], isWorkload: false }

/** A workload, by name or by one of its addresses, a stand-in, or an address outside. */
export interface End {
  readonly workload?: Workload
  readonly standIn?: StandIn
  /** Canonical text; absent where the workload was named and any of its addresses may serve. */
  readonly address?: string
}

/** An end at one of its addresses: what policy compares. */
export type Point = End & { readonly address: string }

/** `namespace/name`, an address, or `host`. Undefined where there is no such workload. */
export function findEnd(cluster: Pick<Cluster, 'workloads'>, text: string): End | undefined {
  const bytes = parseAddress(text)
  if (isHostText(text)) return { standIn: HOST }
  if (bytes === undefined) {
    const named = cluster.workloads.find((candidate) => nameOf(candidate) === text)
    return named && { workload: named }
  }
  const address = formatAddress(bytes)
  const workload = cluster.workloads.find(({ addresses }) => addresses.includes(address))
  return workload === undefined ? { address } : { address, workload }
}

export function nameOf({ namespace, name }: Pick<Workload, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`
}
