// Suggestions as networking.k8s.io/v1 NetworkPolicies.
import { PROTOCOLS, protocolName } from '../../manifests/index.ts'
import type { End } from '../ends.ts'
import { rangesOf } from './ports.ts'
import type { Language, SuggestedPeer, SuggestedPolicy, SuggestedRule } from './rules.ts'

const NAMED: readonly number[] = [PROTOCOLS.TCP, PROTOCOLS.UDP, PROTOCOLS.SCTP]

export const networkPolicyLanguage: Language = {
  outsidePeer: ({ address, standIn }: End) => {
    const own = address ?? standIn?.address
    return own === undefined ? undefined : { kind: 'cidr', cidr: hostPrefix(own) }
  },
  hasWordFor: (key) => NAMED.includes(key >>> 16),
}

export const hostPrefix = (address: string): string => `${address}/${address.includes(':') ? 128 : 32}`

export function networkPolicy({ group, rules }: SuggestedPolicy, name: string): object {
  const { namespace, selector } = group
  const rule = (field: 'from' | 'to') => ({ peers, keys }: SuggestedRule) => ({
    [field]: peers.map((peer) => peerOf(peer, namespace)),
    ports: rangesOf(keys).map(({ protocol, first, last }) =>
      ({ port: first, ...(last > first && { endPort: last }), protocol: protocolName(protocol) })),
  })
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace },
    spec: {
      podSelector: selector,
      policyTypes: ['Ingress', 'Egress'],
      ...(rules.ingress.length > 0 && { ingress: rules.ingress.map(rule('from')) }),
      ...(rules.egress.length > 0 && { egress: rules.egress.map(rule('to')) }),
    },
  }
}

function peerOf(peer: SuggestedPeer, home: string): object {
  if (peer.kind === 'cidr') return { ipBlock: { cidr: peer.cidr } }
  if (peer.kind === 'entity') throw new TypeError(`peerOf: a NetworkPolicy has no word for entity ${peer.entity}`)
  const { namespace, selector } = peer.group
  if (namespace === home) return { podSelector: selector }
  return { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } }, podSelector: selector }
}
