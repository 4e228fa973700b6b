// Entities of a CiliumNetworkPolicy: well-known peers by name, as selectors over reserved labels.
import type { Requirement, Selector } from '../engine/types.ts'

/** Of every Pod and Workload, and of nothing else. */
export const NAMESPACE_KEY = 'k8s:io.kubernetes.pod.namespace'
export const NAMESPACE_LABELS = 'k8s:io.cilium.k8s.namespace.labels.'
export const SERVICE_ACCOUNT_KEY = 'k8s:io.cilium.k8s.policy.serviceaccount'

export const exists = (key: string): Requirement => ({ key, operator: 'Exists', values: [] })
export const lacks = (key: string): Requirement => ({ key, operator: 'DoesNotExist', values: [] })
export const equals = (key: string, value: string): Requirement => ({ key, operator: 'In', values: [value] })

export const anyWorkload: Selector = { requirements: [exists(NAMESPACE_KEY)] }

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
