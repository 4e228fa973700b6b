// The table of kinds: which schema a document has to follow and who reads it.
import { readCidrGroup } from './cilium/cidr-group.ts'
import { readCiliumPolicy } from './cilium/policy.ts'
import { ciliumCidrGroup, ciliumClusterwideNetworkPolicy, ciliumNetworkPolicy } from './cilium/schemas.ts'
import type { ObjectSchema, Value } from './document/schema.ts'
import type { Source } from './document/source.ts'
import { validate } from './document/validate.ts'
import { readEndpointSlice } from './kubernetes/endpoint-slice.ts'
import { readNetworkPolicy } from './kubernetes/network-policy.ts'
import * as schemas from './kubernetes/schemas.ts'
import { readNode } from './nodes.ts'
import { readAdminNetworkPolicy, readBaselineAdminNetworkPolicy } from './policy-api/admin-network-policy.ts'
import { readClusterNetworkPolicy } from './policy-api/cluster-network-policy.ts'
import { adminNetworkPolicy, baselineAdminNetworkPolicy, clusterNetworkPolicy } from './policy-api/schemas.ts'
import type { Resource } from './resources.ts'
import { readLoadBalancer, readService } from './services.ts'
import { readPrefilter } from './sluice/admission.ts'
import { loadBalancer, prefilter, workload } from './sluice/schemas.ts'
import { readNamespace, readPod, readWorkload } from './workloads.ts'

/** Reads one document; undefined where it has no effect here, or has faults, which are reported. */
type Reader = (source: Source) => Resource | undefined

function kind<const S extends ObjectSchema>(schema: S, read: (value: Value<S>, source: Source) => Resource | undefined): Reader {
  return (source) => {
    const value = validate(source, schema)
    return value === undefined ? undefined : read(value, source)
  }
}

/** By `apiVersion kind`. */
const KINDS: { readonly [type: string]: Reader } = {
  'v1 Namespace': kind(schemas.namespace, readNamespace),
  'v1 Node': kind(schemas.node, readNode),
  'v1 Pod': kind(schemas.pod, readPod),
  'v1 Service': kind(schemas.service, readService),
  'discovery.k8s.io/v1 EndpointSlice': kind(schemas.endpointSlice, readEndpointSlice),
  'networking.k8s.io/v1 NetworkPolicy': kind(schemas.networkPolicy, readNetworkPolicy),
  'policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy': kind(clusterNetworkPolicy, readClusterNetworkPolicy),
  // The same under its next version.
  'policy.networking.k8s.io/v1beta1 ClusterNetworkPolicy': kind(clusterNetworkPolicy, readClusterNetworkPolicy),
  'policy.networking.k8s.io/v1alpha1 AdminNetworkPolicy': kind(adminNetworkPolicy, readAdminNetworkPolicy),
  'policy.networking.k8s.io/v1alpha1 BaselineAdminNetworkPolicy': kind(baselineAdminNetworkPolicy, readBaselineAdminNetworkPolicy),
  'cilium.io/v2 CiliumNetworkPolicy': kind(ciliumNetworkPolicy, readCiliumPolicy('CiliumNetworkPolicy')),
  'cilium.io/v2 CiliumClusterwideNetworkPolicy': kind(
    ciliumClusterwideNetworkPolicy,
    readCiliumPolicy('CiliumClusterwideNetworkPolicy'),
  ),
  'cilium.io/v2 CiliumCIDRGroup': kind(ciliumCidrGroup, readCidrGroup),
  // The same under its older version.
  'cilium.io/v2alpha1 CiliumCIDRGroup': kind(ciliumCidrGroup, readCidrGroup),
  'sluice.io/v1 Workload': kind(workload, readWorkload),
  'sluice.io/v1 LoadBalancer': kind(loadBalancer, readLoadBalancer),
  'sluice.io/v1 Prefilter': kind(prefilter, readPrefilter),
}

export const KIND_NAMES: readonly string[] = Object.keys(KINDS)

export function readerOf(apiVersion: string, kind: string): Reader | undefined {
  const type = `${apiVersion} ${kind}`
  return Object.hasOwn(KINDS, type) ? KINDS[type] : undefined
}
