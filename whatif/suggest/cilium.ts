// Suggestions as cilium.io/v2 CiliumNetworkPolicies.
import { NAMESPACE_KEY, PROTOCOLS, protocolName, type Cluster } from '../../manifests/index.ts'
import { hostPrefix } from './kubernetes.ts'
import { rangesOf } from './ports.ts'
import { entityOf, type Language, type SuggestedPeer, type SuggestedPolicy, type SuggestedRule } from './rules.ts'

/** Cilium takes at most so many ports in one list. */
const PORTS_A_LIST = 40

const isIcmp = (key: number): boolean => key >>> 16 === PROTOCOLS.ICMP || key >>> 16 === PROTOCOLS.ICMPv6

export const ciliumLanguage = ({ nodes }: Pick<Cluster, 'nodes'>, world: 'cidr' | 'entity'): Language => ({
  outsidePeer: ({ address = '', standIn }) => {
    const entity = nodes.some(({ addresses }) => addresses.includes(address)) ? 'remote-node' : standIn && entityOf(standIn.labels)
    if (entity !== undefined) return { kind: 'entity', entity }
    if (standIn !== undefined) return undefined
    return world === 'entity' ? { kind: 'entity', entity: 'world' } : { kind: 'cidr', cidr: hostPrefix(address) }
  },
  hasWordFor: (key) => Object.values<number>(PROTOCOLS).includes(key >>> 16),
})

export function ciliumNetworkPolicy({ group, rules }: SuggestedPolicy, name: string): object {
  const { namespace, selector } = group
  const list = (prefix: 'from' | 'to', suggested: readonly SuggestedRule[]) =>
    // A rule without anything turns default deny on, and allows nobody.
    suggested.length === 0 ? [{}] : suggested.flatMap((rule) => rulesOf(prefix, namespace, rule))
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name, namespace },
    spec: { endpointSelector: selector, ingress: list('from', rules.ingress), egress: list('to', rules.egress) },
  }
}

/** Ports and ICMP types do not stand in one rule. */
function rulesOf(prefix: 'from' | 'to', home: string, { peers, keys }: SuggestedRule): readonly object[] {
  const who = peersOf(prefix, home, peers)
  const [types, ports] = [keys.filter(isIcmp), keys.filter((key) => !isIcmp(key))]
  return [
    ...(ports.length === 0 ? [] : [{ ...who, toPorts: portLists(ports) }]),
    ...(types.length === 0 ? [] : [{ ...who, icmps: [{ fields: fieldsOf(types) }] }]),
  ]
}

function portLists(keys: readonly number[]): readonly object[] {
  const ports = rangesOf(keys).map(({ protocol, first, last }) =>
    ({ port: `${first}`, ...(last > first && { endPort: last }), protocol: protocolName(protocol) }))
  return Array.from({ length: Math.ceil(ports.length / PORTS_A_LIST) }, (_, index) => ({
    ports: ports.slice(index * PORTS_A_LIST, (index + 1) * PORTS_A_LIST),
  }))
}

/** Every code of a type, as rules are about types alone. */
function fieldsOf(keys: readonly number[]): readonly object[] {
  const types = new Set(keys.map((key) => key >>> 8))
  return [...types].map((type) => ({ family: type >>> 8 === PROTOCOLS.ICMP ? 'IPv4' : 'IPv6', type: type & 0xff }))
}

function peersOf(prefix: 'from' | 'to', home: string, peers: readonly SuggestedPeer[]): object {
  const [first] = peers
  if (first?.kind === 'cidr') return { [`${prefix}CIDR`]: peers.map((peer) => peer.kind === 'cidr' && peer.cidr) }
  if (first?.kind === 'entity') return { [`${prefix}Entities`]: peers.map((peer) => peer.kind === 'entity' && peer.entity) }
  return { [`${prefix}Endpoints`]: peers.map((peer) => peer.kind === 'group' && selectorOf(peer.group, home)) }
}

function selectorOf({ namespace, selector }: Extract<SuggestedPeer, { kind: 'group' }>['group'], home: string): object {
  if (namespace === home) return selector
  return { ...selector, matchLabels: { ...selector.matchLabels, [NAMESPACE_KEY]: namespace } }
}
