// Labels that Sluice itself gives to workloads and nodes, and requirements about any label.
import type { Label, Requirement, Selector } from '../engine/index.ts'

/** Of every Pod and Workload, and of nothing else. */
export const NAMESPACE_KEY = 'k8s:io.kubernetes.pod.namespace'
export const NAMESPACE_LABELS = 'k8s:io.cilium.k8s.namespace.labels.'
export const CLUSTER_KEY = 'k8s:io.cilium.k8s.policy.cluster'
export const SERVICE_ACCOUNT_KEY = 'k8s:io.cilium.k8s.policy.serviceaccount'

/** What Cilium calls a cluster that was given no name. */
export const DEFAULT_CLUSTER_NAME = 'default'

/** Cilium's syntax, https://docs.cilium.io/en/stable/network/clustermesh/clustermesh/: `allowed` is for messages. */
export const clusterName = {
  allowed: "lower-case letters, digits and '-', at most 32, no '-' at either end",
  accepts: (text: string): boolean => /^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$/.test(text),
}

/** All that is known of a workload whose labels are not known yet. */
export const INIT_LABELS: readonly Label[] = ['reserved:init=']

export const exists = (key: string): Requirement => ({ key, operator: 'Exists', values: [] })
export const lacks = (key: string): Requirement => ({ key, operator: 'DoesNotExist', values: [] })
export const equals = (key: string, value: string): Requirement => ({ key, operator: 'In', values: [value] })

export const anyWorkload: Selector = { requirements: [exists(NAMESPACE_KEY)] }
