// The ends of recorded flows as ends of the cluster that manifests describe. Those that no manifest has are taken from
// the record, with the labels that they had: a folder of policies and a record are enough to ask what would have been.
import type { Cluster, Workload } from '../manifests/index.ts'
import { nameOf, type End, type StandIn } from './ends.ts'
import type { SeenConnection, SeenEnd } from './flows.ts'

const NAMESPACE_LABEL = 'k8s:io.kubernetes.pod.namespace='

export class RecordedEnds {
  /** The manifests' cluster and the workloads of the record beside. */
  readonly cluster: Cluster
  /** Hosts and other peers with reserved labels. */
  readonly standIns: readonly StandIn[]
  readonly #workloads: ReadonlyMap<string, Workload>
  readonly #byAddress: ReadonlyMap<string, End>

  constructor(known: Cluster, connections: readonly SeenConnection[]) {
    const ends = connections.flatMap(({ from, to }) => [from, to])
    const own = new Map(known.workloads.map((workload) => [nameOf(workload), workload]))
    const taken = new Set([...known.workloads, ...known.nodes].flatMap(({ addresses }) => addresses))
    const seen = seenWorkloads(ends.filter((end) => isWorkload(end) && !own.has(nameOfEnd(end))), taken)
    const standIns = reservedEnds(ends, new Set([...taken, ...seen.flatMap(({ addresses }) => addresses)]))
    this.cluster = { ...known, workloads: [...known.workloads, ...seen] }
    this.standIns = [...standIns.values()]
    this.#workloads = new Map([...own, ...seen.map((workload) => [nameOf(workload), workload] as const)])
    this.#byAddress = new Map<string, End>([
      ...this.cluster.workloads.flatMap((workload) => workload.addresses.map((address) => [address, { workload, address }] as const)),
      ...[...standIns].map(([address, standIn]) => [address, { standIn, address }] as const),
    ])
  }

  /** The workload of that name, wherever it is now; else who has the address; else the world. */
  endOf(end: SeenEnd): End {
    const workload = isWorkload(end) ? this.#workloads.get(nameOfEnd(end)) : undefined
    if (workload === undefined) return this.#byAddress.get(end.address) ?? { address: end.address }
    return workload.addresses.includes(end.address) ? { workload, address: end.address } : { workload }
  }
}

const isWorkload = ({ workload, labels }: SeenEnd): boolean =>
  workload !== undefined || labels.some((label) => label.startsWith(NAMESPACE_LABEL))

function nameOfEnd({ workload, labels, address }: SeenEnd): string {
  const namespace = labels.find((label) => label.startsWith(NAMESPACE_LABEL))?.slice(NAMESPACE_LABEL.length) ?? 'default'
  return workload ?? `${namespace}/${address}`
}

/** The newest labels of each; an address that another one has now is not its own any more. */
function seenWorkloads(ends: readonly SeenEnd[], taken: ReadonlySet<string>): readonly Workload[] {
  const owners = new Map(ends.filter(({ address }) => !taken.has(address)).map((end) => [end.address, nameOfEnd(end)]))
  const addresses = Map.groupBy(owners.keys(), (address) => owners.get(address))
  const newest = new Map(ends.map((end) => [nameOfEnd(end), end]))
  return [...newest].map(([key, { labels }]): Workload => {
    const [namespace = '', name = ''] = key.split(/\/(.*)/s)
    const init = labels.includes('reserved:init=')
    return {
      kind: 'Workload', namespace, name, labels: [...labels].sort(), addresses: addresses.get(key) ?? [], ports: [],
      weight: 1, audit: false, init, location: { file: 'recorded flows', line: 0, column: 0 },
    }
  })
}

/** By address. */
function reservedEnds(ends: readonly SeenEnd[], taken: ReadonlySet<string>): ReadonlyMap<string, StandIn> {
  const peers = ends.filter(({ address, labels }) => !taken.has(address) && labels.some(isReserved))
  return new Map(peers.map(({ address, labels }) => [address, { labels, address, isWorkload: false }]))
}

const isReserved = (label: string): boolean => label.startsWith('reserved:') && !label.startsWith('reserved:world')
