// Kubernetes' own kinds and ours, as schemas. Cilium's are in schemas-cilium.ts.
import * as format from './formats.ts'
import { boolean, ignored, integer, integerOrString, list, map, object, oneOf, open, string, unsupported } from './schema.ts'

const protocol = oneOf('TCP', 'UDP', 'SCTP')
const port = integer(1, 65_535)

/** ObjectMeta; `name` is checked by each kind's own format. */
const metadata = <const F extends typeof format.dnsName>(name: F, namespaced: boolean) =>
  object(
    {
      name: string(name),
      namespace: namespaced ? string(format.dnsLabel) : string({ allowed: 'nothing: this kind has no namespace', accepts: () => false }),
      labels: map(format.labelKey, string(format.labelValue)),
      annotations: map(format.anyText, string()),
      creationTimestamp: ignored,
      deletionGracePeriodSeconds: ignored,
      deletionTimestamp: ignored,
      finalizers: ignored,
      generation: ignored,
      managedFields: ignored,
      ownerReferences: ignored,
      generateName: ignored,
      resourceVersion: ignored,
      selfLink: ignored,
      uid: ignored,
    },
    ['name'],
  )

export const namespaced = metadata(format.dnsName, true)
export const clusterwide = metadata(format.dnsName, false)

/** The fields that every document has. */
export const head = { apiVersion: string(), kind: string() }

export const labelSelector = object({
  matchLabels: map(format.labelKey, string(format.labelValue)),
  matchExpressions: list(
    object(
      {
        key: string(format.labelKey),
        operator: oneOf('In', 'NotIn', 'Exists', 'DoesNotExist'),
        values: list(string(format.labelValue)),
      },
      ['key', 'operator'],
    ),
  ),
})

export const namespace = object(
  { ...head, metadata: metadata(format.dnsLabel, false), spec: ignored, status: ignored },
  ['metadata'],
)

const containers = list(
  open({
    ports: list(
      open({ name: string(format.portName), containerPort: port, protocol }, ['containerPort']),
    ),
    restartPolicy: string(),
  }),
)

export const pod = object(
  {
    ...head,
    metadata: namespaced,
    spec: open({ containers, initContainers: containers, serviceAccountName: string(), hostNetwork: boolean }),
    status: open({
      podIP: string(format.address),
      podIPs: list(object({ ip: string(format.address) }, ['ip'])),
      phase: string(),
    }),
  },
  ['metadata'],
)

export const service = object(
  {
    ...head,
    metadata: namespaced,
    spec: object({
      selector: map(format.labelKey, string(format.labelValue)),
      clusterIP: string({ ...format.address, accepts: (text) => ['', 'None'].includes(text) || format.address.accepts(text) }),
      clusterIPs: list(
        string({ ...format.address, accepts: (text) => text === 'None' || format.address.accepts(text) }),
      ),
      ports: list(
        object(
          {
            name: string(format.dnsLabel),
            protocol,
            port,
            targetPort: integerOrString(1, 65_535, format.portName),
            appProtocol: ignored,
            nodePort: ignored,
          },
          ['port'],
        ),
      ),
      type: oneOf('ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'),
      sessionAffinity: oneOf('None'),
      externalName: ignored,
      internalTrafficPolicy: oneOf('Cluster'),
      externalTrafficPolicy: ignored,
      externalIPs: unsupported('a LoadBalancer of sluice.io/v1'),
      loadBalancerIP: ignored,
      loadBalancerClass: ignored,
      loadBalancerSourceRanges: unsupported('a NetworkPolicy'),
      allocateLoadBalancerNodePorts: ignored,
      healthCheckNodePort: ignored,
      ipFamilies: ignored,
      ipFamilyPolicy: ignored,
      publishNotReadyAddresses: ignored,
      sessionAffinityConfig: ignored,
      trafficDistribution: ignored,
    }),
    status: ignored,
  },
  ['metadata', 'spec'],
)

const networkPolicyPorts = list(
  object({ protocol, port: integerOrString(1, 65_535, format.portName), endPort: port }),
)

const networkPolicyPeers = list(
  object({
    podSelector: labelSelector,
    namespaceSelector: labelSelector,
    ipBlock: object({ cidr: string(format.prefix), except: list(string(format.prefix)) }, ['cidr']),
  }),
)

export const networkPolicy = object(
  {
    ...head,
    metadata: namespaced,
    spec: object({
      podSelector: labelSelector,
      policyTypes: list(oneOf('Ingress', 'Egress')),
      ingress: list(object({ from: networkPolicyPeers, ports: networkPolicyPorts })),
      egress: list(object({ to: networkPolicyPeers, ports: networkPolicyPorts })),
    }),
    status: ignored,
  },
  ['metadata', 'spec'],
)

export const workload = object(
  {
    ...head,
    metadata: namespaced,
    spec: object(
      {
        addresses: list(string(format.address), 1, 16),
        serviceAccount: string(format.dnsName),
        ports: list(object({ name: string(format.portName), port, protocol }, ['name', 'port'])),
        interface: string(format.interfaceName),
        netns: string(),
        mac: string(format.macAddress),
      },
      ['addresses'],
    ),
    status: ignored,
  },
  ['metadata', 'spec'],
)

export const loadBalancer = object(
  {
    ...head,
    metadata: namespaced,
    spec: object(
      {
        addresses: list(string(format.address), 1, 16),
        forwarding: oneOf('ipip', 'nat'),
        algorithm: oneOf('maglev'),
        tableSize: integerOrString(2, 131_071, { allowed: 'auto', accepts: (text) => text === 'auto' }),
        ports: list(object({ name: string(format.portName), port, protocol }, ['port']), 1),
        backends: list(
          object(
            { name: string(format.dnsName), addresses: list(string(format.address), 1, 16), weight: integer(0, 65_535) },
            ['addresses'],
          ),
        ),
      },
      ['addresses', 'ports', 'backends'],
    ),
    status: ignored,
  },
  ['metadata', 'spec'],
)
