// Prefixes over addresses that somebody of the cluster has: labels say who a peer is, addresses only where.
import { covers, familyOf, parseAddress, parsePrefix, type Peer, type Prefix } from '../../engine/index.ts'
import { pathOfRule, type Cluster } from '../../manifests/index.ts'
import { nameOf } from '../ends.ts'
import { several, type Finding } from './finding.ts'

type Cidr = NonNullable<Peer['cidr']>
type CoverCode = Extract<Finding['code'], `cidr-covers-${string}`>
type Explanation = Pick<Finding, 'problem' | 'advice'>

interface Holder {
  readonly name: string
  readonly host: Prefix
}

/** Whose addresses a prefix may hold, and what that means; each is told by itself. */
interface Kind {
  readonly code: CoverCode
  readonly holders: readonly Holder[]
  readonly explain: (cidr: Cidr, names: readonly string[]) => Explanation
}

export function cidrsOverCluster(cluster: Cluster): readonly Finding[] {
  const kinds = kindsOf(cluster)
  return [...cluster.policies.values()].flatMap((policy) => policy.policies.flatMap(({ rules }) => rules.flatMap((rule) => {
    const reference = policy.rules.get(rule.number)
    if (reference === undefined || rule.peers === 'any') return []
    const path = pathOfRule(reference)
    const cidrs = rule.peers.flatMap(({ cidr }) => (cidr === undefined || isOfApiServer(policy, cidr) ? [] : [cidr]))
    return cidrs.flatMap((cidr) => coverings(cidr, kinds).map((found): Finding => ({ ...found, severity: 'warning', policy, path })))
  })))
}

/** No prefix of a CiliumNetworkPolicy is by address alone but those that entity kube-apiserver stands for. */
const isOfApiServer = ({ kind }: Finding['policy'], { workloads }: Cidr): boolean => workloads && kind.startsWith('Cilium')

function kindsOf({ workloads, nodes, services }: Cluster): readonly Kind[] {
  const held = (name: string, addresses: readonly string[]) => addresses.flatMap((text) => holder(name, text))
  return [
    { code: 'cidr-covers-workloads', explain: explainWorkloads, holders: workloads.flatMap((each) => held(nameOf(each), each.addresses)) },
    { code: 'cidr-covers-nodes', explain: explainNodes, holders: nodes.flatMap(({ name, addresses }) => held(name, addresses)) },
    {
      code: 'cidr-covers-services',
      explain: explainServices,
      holders: services.flatMap((each) => held(nameOf(each), each.frontends.map(({ address }) => address))),
    },
  ]
}

function holder(name: string, text: string): readonly Holder[] {
  const address = parseAddress(text)
  return address === undefined ? [] : [{ name, host: { family: familyOf(address), address, length: 128 } }]
}

function coverings(cidr: Cidr, kinds: readonly Kind[]): readonly (Explanation & { readonly code: CoverCode })[] {
  return kinds.flatMap(({ code, holders, explain }) => {
    const names = coveredBy(cidr, holders)
    return names.length === 0 ? [] : [{ code, ...explain(cidr, names) }]
  })
}

function coveredBy({ prefix, except, workloads }: Cidr, holders: readonly Holder[]): readonly string[] {
  // `all of the world` is what 0.0.0.0/0 says where it cannot mean workloads.
  if (!workloads && prefix.endsWith('/0')) return []
  const inside = (text: string) => {
    const outer = parsePrefix(text)
    return (host: Prefix) => outer !== undefined && covers(outer, host)
  }
  const [isCovered, isExcepted] = [inside(prefix), except.map(inside)]
  return [...new Set(holders.filter(({ host }) => isCovered(host) && !isExcepted.some((test) => test(host))).map(({ name }) => name))]
}

// ---- words --------------------------------------------------------------------------------------------------------

const OUTSIDE_ALONE = 'if the outside alone is meant, take their addresses out with except'

function explainWorkloads({ prefix, workloads }: Cidr, names: readonly string[]): Explanation {
  if (workloads) {
    return {
      problem: `${prefix} matches workloads by their addresses, whatever their labels: ${several(names)}`,
      advice: `select workloads by labels; ${OUTSIDE_ALONE}`,
    }
  }
  return {
    problem: `${prefix} covers workloads, which CIDR rules of this kind never match: ${several(names)}`,
    advice: `select workloads by labels in a rule of their own; ${OUTSIDE_ALONE}`,
  }
}

function explainNodes({ prefix, workloads }: Cidr, names: readonly string[]): Explanation {
  if (workloads) {
    return {
      problem: `${prefix} matches nodes, with all that is on their network or masqueraded behind their addresses: ${several(names)}`,
      advice: `nothing, if nodes are meant; ${OUTSIDE_ALONE}`,
    }
  }
  return {
    problem: `${prefix} covers nodes, which CIDR rules of this kind never match: ${several(names)}`,
    advice: `name nodes by the entities host and remote-node, or by their labels; ${OUTSIDE_ALONE}`,
  }
}

function explainServices({ prefix }: Cidr, names: readonly string[]): Explanation {
  return {
    problem: `${prefix} covers addresses of services, which are translated before policies are asked: ${several(names)}`,
    advice: 'select the backends, by labels and by the ports that they listen on',
  }
}
