// policy.networking.k8s.io ClusterNetworkPolicy (v1alpha2) and its older form, AdminNetworkPolicy and
// BaselineAdminNetworkPolicy (v1alpha1), as schemas. Limits of lengths are those of the kinds' own definitions.
import * as format from '../document/formats.ts'
import { ignored, integer, list, object, oneOf, string } from '../document/schema.ts'
import { clusterwide, head, labelSelector, metadata } from '../metadata.ts'

const port = integer(1, 65_535)
const priority = integer(0, 1000)
const namespacedPods = object({ namespaceSelector: labelSelector, podSelector: labelSelector }, ['podSelector'])

/** Exactly one of the fields has to be there, as in peers, protocols and ports below: `exactlyOne` checks it. */
export const subject = object({ namespaces: labelSelector, pods: namespacedPods })

const ingressPeer = object({ namespaces: labelSelector, pods: namespacedPods })

export const egressPeer = object({
  namespaces: labelSelector,
  pods: namespacedPods,
  nodes: labelSelector,
  networks: list(string(format.prefix), 1, 25),
  domainNames: list(string(format.domainName), 1, 25),
})

const range = object({ start: port, end: port }, ['start', 'end'])
const transport = object({ destinationPort: object({ number: port, range }) }, ['destinationPort'])

export const protocol = object({ tcp: transport, udp: transport, sctp: transport, destinationNamedPort: string(format.portName) })

const name = string(format.ruleName)
const clusterRule = { name, action: oneOf('Accept', 'Deny', 'Pass'), protocols: list(protocol, 1, 25) }

export const clusterNetworkPolicy = object(
  {
    ...head,
    metadata: clusterwide,
    spec: object(
      {
        tier: oneOf('Admin', 'Baseline'),
        priority,
        subject,
        ingress: list(object({ ...clusterRule, from: list(ingressPeer, 1, 25) }, ['action', 'from']), 0, 25),
        egress: list(object({ ...clusterRule, to: list(egressPeer, 1, 25) }, ['action', 'to']), 0, 25),
      },
      ['tier', 'priority', 'subject'],
    ),
    status: ignored,
  },
  ['metadata', 'spec'],
)

const transportProtocol = oneOf('TCP', 'UDP', 'SCTP')

export const adminPort = object({
  portNumber: object({ protocol: transportProtocol, port }, ['port']),
  namedPort: string(format.portName),
  portRange: object({ protocol: transportProtocol, start: port, end: port }, ['start', 'end']),
})

const adminRule = { name, ports: list(adminPort, 1, 100) }
const from = list(ingressPeer, 1, 100)
const to = list(egressPeer, 1, 100)

const adminAction = oneOf('Allow', 'Deny', 'Pass')

export const adminNetworkPolicy = object(
  {
    ...head,
    metadata: clusterwide,
    spec: object(
      {
        priority,
        subject,
        ingress: list(object({ ...adminRule, action: adminAction, from }, ['action', 'from']), 0, 100),
        egress: list(object({ ...adminRule, action: adminAction, to }, ['action', 'to']), 0, 100),
      },
      ['priority', 'subject'],
    ),
    status: ignored,
  },
  ['metadata', 'spec'],
)

const baselineAction = oneOf('Allow', 'Deny')

export const baselineAdminNetworkPolicy = object(
  {
    ...head,
    metadata: metadata({ allowed: 'default: there is one for the cluster', accepts: (text) => text === 'default' }, false),
    spec: object(
      {
        subject,
        ingress: list(object({ ...adminRule, action: baselineAction, from }, ['action', 'from']), 0, 100),
        egress: list(object({ ...adminRule, action: baselineAction, to }, ['action', 'to']), 0, 100),
      },
      ['subject'],
    ),
    status: ignored,
  },
  ['metadata', 'spec'],
)
