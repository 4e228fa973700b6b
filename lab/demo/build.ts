import { compile, counter, type Cluster, type Document } from '../../manifests/index.ts'
import { loadFiles } from '../../manifests/files/index.ts'
import { Host, Lab, type Node, type ServerPort, type Workload } from '../index.ts'

export const demoName = 'demo'
export const manifestFolder = 'examples/demo'

/** Hosts of the LAN that no manifest speaks of. The guest may call the client, but not the office. */
const outside = { client: 50, office: 200 } as const
const protocols: Readonly<Record<number, 'tcp' | 'udp'>> = { 6: 'tcp', 17: 'udp' }

export interface DemoLab {
  readonly cluster: Cluster
  readonly node: Node
  /** Workloads, backends and outside hosts, by name. */
  readonly hosts: ReadonlyMap<string, Host>
}

export async function readManifests(): Promise<Cluster> {
  const files = await loadFiles([manifestFolder])
  const documents: Document[] = files.flatMap((file) => file.documents)
  const cluster = compile(documents, counter())
  const errors = [...files.flatMap((file) => file.errors), ...cluster.errors]
  if (errors.length > 0) throw new AggregateError(errors, errors.map((error) => error.message).join('\n'))
  return cluster
}

/** Makes what the manifests describe: every workload on one node, every backend a host of the LAN, all with servers. */
export async function buildLab(lab: Lab, cluster: Cluster): Promise<DemoLab> {
  const node = await lab.addNode('n1')
  const made = await allSettled<Host>([
    ...cluster.workloads.map((workload) => addWorkload(node, workload)),
    ...backends(cluster).map(([name, number]) => addBackend(lab, cluster, name, number)),
    ...Object.entries(outside).map(([name, number]) => addOutsider(lab, name, number)),
  ])
  return { cluster, node, hosts: new Map(made.map((host) => [host.name, host])) }
}

/** Like Promise.all, but a failure waits for the others: nothing is to be made while the lab is being removed. */
async function allSettled<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises)
  return Promise.all(promises)
}

async function addWorkload(node: Node, { name, namespace, addresses, ports }: Cluster['workloads'][number]): Promise<Workload> {
  const workload = await node.addWorkload({ name, namespace, number: lastPart(addresses) })
  const open = ports.map(({ protocol, port }): ServerPort => `${protocols[protocol] ?? 'tcp'}:${port}`)
  await workload.serve(...new Set(open))
  return workload
}

async function addBackend(lab: Lab, cluster: Cluster, name: string, number: number): Promise<Host> {
  const host = await lab.addHost(name, number)
  const frontends = cluster.loadBalancers.flatMap((balancer) => balancer.frontends)
  await host.serve('tcp:80')
  await host.decapsulate(frontends.map((frontend) => frontend.address))
  return host
}

async function addOutsider(lab: Lab, name: string, number: number): Promise<Host> {
  const host = await lab.addHost(name, number)
  await host.serve('tcp:80')
  return host
}

/** Names and numbers of the balancers' backends. */
function backends(cluster: Cluster): [string, number][] {
  const all = cluster.loadBalancers.flatMap(({ frontends }) => frontends.flatMap((frontend) => frontend.backends))
  const addresses = Map.groupBy(all, ({ name }) => name)
  return [...addresses].map(([name, ends]) => [name, lastPart(ends.map(({ address }) => address))])
}

/** Manifests of the demo number a host by the last part of its IPv4 address, as the lab does. */
function lastPart(addresses: readonly string[]): number {
  const ipv4 = addresses.find((address) => address.includes('.'))
  if (ipv4 === undefined) throw new Error(`${addresses.join(', ')}: a host of the demo needs an IPv4 address`)
  return Number(ipv4.split('.')[3])
}
