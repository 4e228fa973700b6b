// Namespace, Pod and Workload documents, and the labels that they give an identity.
import { formatAddress, type Label, type NamedPorts, parseAddress } from '../engine/index.ts'
import { CLUSTER_KEY, INIT_LABELS, NAMESPACE_KEY, NAMESPACE_LABELS, SERVICE_ACCOUNT_KEY } from './labels.ts'
import { readAudit, readDenyAnswer } from './metadata.ts'
import type { Path } from './document/errors.ts'
import { PROTOCOLS, type ProtocolName } from './ports.ts'
import type { Labels, NamespaceResource, WorkloadResource } from './resources.ts'
import type { Value } from './document/schema.ts'
import type { namespace, pod } from './kubernetes/schemas.ts'
import type { workload } from './sluice/schemas.ts'
import type { Source } from './document/source.ts'

export function readNamespace({ metadata }: Value<typeof namespace>, source: Source): NamespaceResource {
  const { name, labels = {}, annotations } = metadata
  return { kind: 'Namespace', namespace: '', name, labels, audit: readAudit(source, annotations), ...readDenyAnswer(source, annotations) }
}

/** Undefined for a pod without a workload's address of its own: one on the host's network, or one that has ended. */
export function readPod(document: Value<typeof pod>, source: Source): WorkloadResource | undefined {
  const { metadata, spec, status } = document
  if (spec?.hostNetwork === true || status?.phase === 'Succeeded' || status?.phase === 'Failed') return undefined
  // Init containers serve only where they keep running (sidecars).
  const sidecars = (spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')
  const ports = [...(spec?.containers ?? []), ...sidecars].flatMap((container) => container.ports ?? [])
  return {
    kind: 'Pod',
    namespace: metadata.namespace ?? 'default',
    name: metadata.name,
    labels: ownLabels(source, metadata.labels),
    addresses: (status?.podIPs?.map(({ ip }) => ip) ?? (status?.podIP ? [status.podIP] : [])).map(canonical),
    ports: namedPorts(ports.map(({ name, containerPort, protocol }) => ({ name, port: containerPort, protocol }))),
    weight: readWeight(source, metadata.annotations),
    audit: readAudit(source, metadata.annotations),
    ...readDenyAnswer(source, metadata.annotations),
    init: false,
    serviceAccount: spec?.serviceAccountName ?? 'default',
  }
}

export function readWorkload(document: Value<typeof workload>, source: Source): WorkloadResource {
  const { metadata, spec } = document
  const { serviceAccount, interface: device, netns, mac, init = false } = spec
  if (init && metadata.labels !== undefined) source.report('INVALID', ['spec', 'init'], 'stands beside labels', 'no labels, or no init')
  return {
    kind: 'Workload',
    namespace: metadata.namespace ?? 'default',
    name: metadata.name,
    labels: ownLabels(source, metadata.labels),
    addresses: spec.addresses.map(canonical),
    ports: namedPorts(spec.ports ?? []),
    weight: readWeight(source, metadata.annotations),
    audit: readAudit(source, metadata.annotations),
    ...readDenyAnswer(source, metadata.annotations),
    init,
    ...(serviceAccount !== undefined && { serviceAccount }),
    ...(device !== undefined && { interface: device }),
    ...(netns !== undefined && { netns }),
    ...(mac !== undefined && { mac: mac.toLowerCase() }),
  }
}

function canonical(text: string): string {
  const address = parseAddress(text)
  if (address === undefined) throw new TypeError(`canonical: '${text}' passed the schema and is no address`)
  return formatAddress(address)
}

export { canonical as canonicalAddress }

const WEIGHT = 'sluice.io/weight'

function readWeight(source: Source, annotations: Labels = {}): number {
  const text = annotations[WEIGHT] ?? '1'
  const valid = /^\d{1,5}$/.test(text) && Number(text) <= 65_535
  if (!valid) source.report('INVALID', ['metadata', 'annotations', WEIGHT], `is ${JSON.stringify(text)}`, '"0" to "65535"')
  return Number(text)
}

type Port = { readonly name?: string | undefined; readonly port: number; readonly protocol?: ProtocolName | undefined }

/** Where a name stands twice for one protocol, the first holds, as in Kubernetes. */
function namedPorts(ports: readonly Port[]): NamedPorts {
  const byName = new Map<string, NamedPorts[number]>()
  for (const { name, port, protocol = 'TCP' } of ports) {
    const key = `${name}/${protocol}`
    if (name !== undefined && !byName.has(key)) byName.set(key, { name, protocol: PROTOCOLS[protocol], port })
  }
  return [...byName.values()]
}

/** A workload that could write these labels itself could claim another namespace or service account. */
function ownLabels(source: Source, labels: Labels = {}): Labels {
  for (const key of Object.keys(labels)) {
    const reserved = key === NAMESPACE_KEY.slice(4) || key.startsWith('io.cilium.k8s.')
    const path: Path = ['metadata', 'labels', key]
    if (reserved) source.report('INVALID', path, 'is a label that Sluice sets itself', 'keys outside of io.cilium.k8s.*')
  }
  return labels
}

/** What a workload is part of; `labels` are those of its Namespace document, if there is one. */
export interface Home {
  readonly labels: Labels
  readonly clusterName: string
}

/** The complete labels of a workload, sorted. */
export function identityLabels(workload: WorkloadResource, home: Home): readonly Label[] {
  const { namespace, labels, serviceAccount, init } = workload
  if (init) return INIT_LABELS
  const ofNamespace = { ...home.labels, 'kubernetes.io/metadata.name': namespace }
  return [
    ...Object.entries(labels).map(([key, value]) => `k8s:${key}=${value}`),
    ...Object.entries(ofNamespace).map(([key, value]) => `${NAMESPACE_LABELS}${key}=${value}`),
    `${NAMESPACE_KEY}=${namespace}`,
    `${CLUSTER_KEY}=${home.clusterName}`,
    ...(serviceAccount === undefined ? [] : [`${SERVICE_ACCOUNT_KEY}=${serviceAccount}`]),
  ].sort()
}
