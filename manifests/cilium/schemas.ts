// cilium.io/v2 CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy, and CiliumCIDRGroup, as schemas.
import * as format from '../document/formats.ts'
import { boolean, ignored, integer, integerOrString, list, map, object, oneOf, string, unsupported } from '../document/schema.ts'
import { clusterwide, head, labelSelector, namespaced } from '../metadata.ts'
import { ENTITIES } from './entities.ts'
import { icmpType } from './icmp.ts'
import { layer7, nameSelector } from './layer7-schemas.ts'
import { PORTLESS_NAMES } from './portless.ts'

export const endpointSelector = object({
  matchLabels: map(format.sourcedLabelKey, string(format.sourcedLabelValue)),
  matchExpressions: list(
    object(
      {
        key: string(format.sourcedLabelKey),
        operator: oneOf('In', 'NotIn', 'Exists', 'DoesNotExist'),
        values: list(string(format.sourcedLabelValue)),
      },
      ['key', 'operator'],
    ),
  ),
})

/** One of cidr, cidrGroupRef and cidrGroupSelector; exceptions only beside cidr. */
const cidrSet = list(
  object({
    cidr: string(format.prefix),
    except: list(string(format.prefix)),
    cidrGroupRef: string(format.dnsName),
    cidrGroupSelector: labelSelector,
  }),
)

/** Groups of a cloud provider; `gcp` is our addition of the same shape. */
const groups = list(
  object({
    aws: object({
      labels: map(format.anyText, string()),
      securityGroupsIds: list(string()),
      securityGroupsNames: list(string()),
      region: string(),
    }),
    gcp: object({
      labels: map(format.anyText, string()),
      networkTags: list(string()),
      serviceAccounts: list(string()),
      networks: list(string()),
      project: string(),
    }),
  }),
)

const services = list(
  object({
    k8sService: object({ serviceName: string(format.dnsName), namespace: string(format.dnsLabel) }, ['serviceName']),
    k8sServiceSelector: object({ selector: endpointSelector, namespace: string(format.dnsLabel) }, ['selector']),
  }),
)

// Limits of 40 are those of Cilium's own validation.
/** `readPort` sees to it that there is a port where the protocol has any. */
const ports = list(
  object({ port: string(format.portText), endPort: integer(0, 65_535), protocol: oneOf('TCP', 'UDP', 'SCTP', 'ANY', ...PORTLESS_NAMES) }),
  1,
  40,
)

const icmps = list(
  object(
    {
      fields: list(
        object({ family: oneOf('IPv4', 'IPv6'), type: integerOrString(0, 255, icmpType) }, ['type']),
        1,
        40,
      ),
    },
    ['fields'],
  ),
)

const allowedPorts = list(object({ ports, ...layer7 }, ['ports']))

const fromPeers = {
  fromEndpoints: list(endpointSelector),
  fromEntities: list(oneOf(...ENTITIES)),
  fromCIDR: list(string(format.prefixOrAddress)),
  fromCIDRSet: cidrSet,
  fromNodes: list(endpointSelector),
}

const toPeers = {
  toEndpoints: list(endpointSelector),
  toEntities: list(oneOf(...ENTITIES)),
  toCIDR: list(string(format.prefixOrAddress)),
  toCIDRSet: cidrSet,
  toNodes: list(endpointSelector),
  toServices: services,
}

const allow = {
  toPorts: allowedPorts,
  icmps,
  authentication: object({ mode: oneOf('disabled', 'required', 'test-always-fail') }, ['mode']),
}

const deny = { toPorts: list(object({ ports }, ['ports'])), icmps }
/** A deny that selects nobody would protect nobody. */
const deniedGroups = unsupported('fromCIDR or toCIDR: no cloud provider is asked for the members of a group yet')

export const ciliumRule = object({
  endpointSelector,
  nodeSelector: endpointSelector,
  description: string(),
  enableDefaultDeny: object({ ingress: boolean, egress: boolean }),
  ingress: list(object({ ...fromPeers, ...allow, fromRequires: list(endpointSelector), fromGroups: groups })),
  ingressDeny: list(object({ ...fromPeers, ...deny, fromRequires: list(endpointSelector), fromGroups: deniedGroups })),
  egress: list(object({ ...toPeers, ...allow, toFQDNs: list(nameSelector), toRequires: list(endpointSelector), toGroups: groups })),
  egressDeny: list(object({ ...toPeers, ...deny, toRequires: list(endpointSelector), toGroups: deniedGroups })),
  /** Our addition: what would be denied passes and is reported. */
  audit: boolean,
  log: object({ value: string() }),
  /** Labels of the rule itself, by which Cilium's own command finds it. */
  labels: ignored,
})

const policy = <const M extends typeof namespaced | typeof clusterwide>(metadata: M) =>
  object({ ...head, metadata, spec: ciliumRule, specs: list(ciliumRule, 1), status: ignored }, ['metadata'])

export const ciliumNetworkPolicy = policy(namespaced)
export const ciliumClusterwideNetworkPolicy = policy(clusterwide)

export const ciliumCidrGroup = object(
  {
    ...head,
    metadata: clusterwide,
    spec: object({ externalCIDRs: list(string(format.prefix)) }, ['externalCIDRs']),
    status: ignored,
  },
  ['metadata', 'spec'],
)
