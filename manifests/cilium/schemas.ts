// cilium.io/v2 CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy as schemas. What is not enforced yet is
// listed as such, so that its error can say what to use instead.
import * as format from '../document/formats.ts'
import { boolean, ignored, integer, integerOrString, list, map, object, oneOf, string, unsupported } from '../document/schema.ts'
import { clusterwide, head, namespaced } from '../metadata.ts'
import { ENTITIES } from './entities.ts'
import { icmpType } from './icmp.ts'

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

const cidrs = list(string(format.prefixOrAddress))

const cidrSet = list(
  object(
    {
      cidr: string(format.prefix),
      except: list(string(format.prefix)),
      cidrGroupRef: unsupported('cidr, with the prefixes written out'),
      cidrGroupSelector: unsupported('cidr, with the prefixes written out'),
    },
    ['cidr'],
  ),
)

const L7 = 'toPorts with ports alone: there is no proxy yet for rules above TCP and UDP'

// Limits of 40 are those of Cilium's own validation.
const toPorts = list(
  object(
    {
      ports: list(
        object(
          {
            port: string(format.portText),
            endPort: integer(0, 65_535),
            protocol: oneOf('TCP', 'UDP', 'SCTP', 'ANY'),
          },
          ['port'],
        ),
        1,
        40,
      ),
      rules: unsupported(L7),
      listener: unsupported(L7),
      terminatingTLS: unsupported(L7),
      originatingTLS: unsupported(L7),
      serverNames: unsupported(L7),
    },
    ['ports'],
  ),
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

const entities = list(oneOf(...ENTITIES))
const authentication = unsupported('no authentication: mutual authentication is not enforced yet')
const nodes = unsupported('fromEntities or toEntities with host or remote-node')
const groups = unsupported('fromCIDR or toCIDR')
const requires = unsupported('matchExpressions in the selectors of fromEndpoints or toEndpoints')

const ingressRule = object({
  fromEndpoints: list(endpointSelector),
  fromEntities: entities,
  fromCIDR: cidrs,
  fromCIDRSet: cidrSet,
  toPorts,
  icmps,
  fromRequires: requires,
  fromGroups: groups,
  fromNodes: nodes,
  authentication,
})

const egressRule = object({
  toEndpoints: list(endpointSelector),
  toEntities: entities,
  toCIDR: cidrs,
  toCIDRSet: cidrSet,
  toPorts,
  icmps,
  toServices: unsupported('toEndpoints with the labels of the backends'),
  toFQDNs: unsupported('toCIDR: there is no DNS proxy yet'),
  toRequires: requires,
  toGroups: groups,
  toNodes: nodes,
  authentication,
})

export const ciliumRule = object({
  endpointSelector,
  nodeSelector: unsupported('endpointSelector: the firewall of the host itself is not built yet'),
  description: string(),
  enableDefaultDeny: object({ ingress: boolean, egress: boolean }),
  ingress: list(ingressRule),
  ingressDeny: list(ingressRule),
  egress: list(egressRule),
  egressDeny: list(egressRule),
  /** Our addition: what would be denied passes and is reported. */
  audit: boolean,
  labels: ignored,
  log: ignored,
})

const policy = <const M extends typeof namespaced | typeof clusterwide>(metadata: M) =>
  object({ ...head, metadata, spec: ciliumRule, specs: list(ciliumRule, 1), status: ignored }, ['metadata'])

export const ciliumNetworkPolicy = policy(namespaced)
export const ciliumClusterwideNetworkPolicy = policy(clusterwide)
