// Entities of a CiliumNetworkPolicy: well-known peers by name, as selectors over reserved labels.
import type { Selector } from '../../engine/index.ts'
import { anyWorkload, exists } from '../labels.ts'

const reserved = (name: string): Selector => ({ requirements: [exists(`reserved:${name}`)] })

/** Everything inside the cluster that is no workload. */
const CLUSTER = ['host', 'remote-node', 'kube-apiserver', 'ingress', 'init', 'health', 'unmanaged'] as const

export const ENTITIES = ['all', 'world', 'world-ipv4', 'world-ipv6', 'cluster', ...CLUSTER, 'none'] as const

export type Entity = (typeof ENTITIES)[number]

export function selectorsOf(entity: Entity): readonly Selector[] {
  if (entity === 'all') return [{ requirements: [] }]
  if (entity === 'none') return []
  if (entity === 'cluster') return [anyWorkload, ...CLUSTER.map(reserved)]
  return [reserved(entity)]
}
