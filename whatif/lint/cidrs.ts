// Prefixes over addresses that workloads or services of the cluster have: labels say who a workload is, addresses only where.
import { covers, familyOf, parseAddress, parsePrefix, type Peer, type Prefix } from '../../engine/index.ts'
import { pathOfRule, type Cluster } from '../../manifests/index.ts'
import { nameOf } from '../ends.ts'
import { several, type Finding } from './finding.ts'

interface Holder {
  readonly name: string
  readonly host: Prefix
}

export function cidrsOverWorkloads(cluster: Cluster): readonly Finding[] {
  const holders = cluster.workloads.flatMap((workload) => workload.addresses.flatMap((text) => holder(nameOf(workload), text)))
  const vips = cluster.services.flatMap((service) => service.frontends.flatMap(({ address }) => holder(nameOf(service), address)))
  return [...cluster.policies.values()].flatMap((policy) => policy.policies.flatMap(({ rules }) => rules.flatMap((rule) => {
    const reference = policy.rules.get(rule.number)
    if (reference === undefined || rule.peers === 'any') return []
    return rule.peers.flatMap(({ cidr }): readonly Finding[] => {
      const names = cidr === undefined ? [] : coveredBy(cidr, holders)
      if (cidr === undefined) return []
      const head = { severity: 'warning', policy, path: pathOfRule(reference) } as const
      if (names.length > 0) return [{ ...head, code: 'cidr-covers-workloads', ...explain(cidr, names) }]
      const services = coveredBy(cidr, vips)
      return services.length === 0 ? [] : [{ ...head, code: 'cidr-covers-services', ...explainServices(cidr, services) }]
    })
  })))
}

function holder(name: string, text: string): readonly Holder[] {
  const address = parseAddress(text)
  return address === undefined ? [] : [{ name, host: { family: familyOf(address), address, length: 128 } }]
}

function explainServices({ prefix }: Cidr, names: readonly string[]): Pick<Finding, 'problem' | 'advice'> {
  return {
    problem: `${prefix} covers addresses of services, which are translated before policies are asked: ${several(names)}`,
    advice: 'select the backends, by labels and by the ports that they listen on',
  }
}

type Cidr = NonNullable<Peer['cidr']>

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

function explain({ prefix, workloads }: Cidr, names: readonly string[]): Pick<Finding, 'problem' | 'advice'> {
  if (workloads) {
    return {
      problem: `${prefix} matches workloads by their addresses, whatever their labels: ${several(names)}`,
      advice: 'select workloads by labels; if the outside alone is meant, take their addresses out with except',
    }
  }
  return {
    problem: `${prefix} covers workloads, which CIDR rules of this kind never match: ${several(names)}`,
    advice: 'select workloads by labels in a rule of their own; if the outside alone is meant, take their addresses out with except',
  }
}
