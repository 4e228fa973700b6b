// Kubernetes' own kinds as schemas.
import * as format from '../document/formats.ts'
import { boolean, ignored, integer, integerOrString, list, map, object, oneOf, open, string, unsupported } from '../document/schema.ts'
import { clusterwide, head, labelSelector, metadata, namespaced } from '../metadata.ts'

const protocol = oneOf('TCP', 'UDP', 'SCTP')
const port = integer(1, 65_535)

export const namespace = object(
  { ...head, metadata: metadata(format.dnsLabel, false), spec: ignored, status: ignored },
  ['metadata'],
)

export const node = object(
  {
    ...head,
    metadata: clusterwide,
    spec: ignored,
    status: open({ addresses: list(object({ type: string(), address: string() }, ['type', 'address'])) }),
  },
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

export const endpointSlice = object(
  {
    ...head,
    metadata: namespaced,
    addressType: oneOf('IPv4', 'IPv6'),
    endpoints: list(open({ addresses: list(string(format.address), 1, 100) }, ['addresses'])),
    /** Policy is about who answers; a rule has ports of its own. */
    ports: ignored,
  },
  ['metadata', 'addressType', 'endpoints'],
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
