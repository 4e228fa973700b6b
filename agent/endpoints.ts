// Local endpoints: workloads of the manifests brought together with the interfaces of this namespace.
import type { Workload } from '../manifests/index.ts'
import { familyOf } from '../engine/index.ts'
import { addressBytes, macBytes } from './address.ts'
import type { Interface, InterfacePort } from './interfaces.ts'

export interface LocalEndpoint {
  readonly workload: Workload
  /** The node's side; undefined while it does not exist. */
  readonly link: Interface | undefined
  /** Of the workload's own side. */
  readonly mac: string | undefined
  readonly state: 'ready' | 'waiting' | 'failed'
  readonly reason?: string
}

/** Every workload that names an interface of this node, in the order of the manifests. */
export async function matchEndpoints(
  workloads: readonly Workload[],
  links: readonly Interface[],
  interfaces: Pick<InterfacePort, 'peerMac'>,
): Promise<LocalEndpoint[]> {
  const byName = new Map(links.map((link) => [link.name, link]))
  const owners = new Map<string, string>()
  const endpoints: LocalEndpoint[] = []
  for (const workload of workloads) {
    const { interface: device } = workload
    if (device === undefined) continue
    const owner = owners.get(device)
    if (owner === undefined) owners.set(device, nameOf(workload))
    endpoints.push(
      owner === undefined
        ? await matchEndpoint(workload, byName.get(device), interfaces)
        : failed(workload, byName.get(device), `interface ${device} is already that of ${owner}`),
    )
  }
  return endpoints
}

export function nameOf({ namespace, name }: { namespace: string; name: string }): string {
  return `${namespace}/${name}`
}

/** The workload's first address of a family, in mapped form. */
export function addressOfFamily(workload: Workload, family: 'IPv4' | 'IPv6'): Uint8Array | undefined {
  return workload.addresses.map(addressBytes).find((address) => familyOf(address) === family)
}

async function matchEndpoint(
  workload: Workload,
  link: Interface | undefined,
  interfaces: Pick<InterfacePort, 'peerMac'>,
): Promise<LocalEndpoint> {
  if (link === undefined) {
    return { workload, link, mac: undefined, state: 'waiting', reason: `interface ${workload.interface} does not exist` }
  }
  const repeated = repeatedFamily(workload)
  if (repeated !== undefined) return failed(workload, link, `it has two ${repeated} addresses: an endpoint has one of each family`)
  if (macBytes(link.mac ?? '') === undefined) return failed(workload, link, `interface ${link.name} has no MAC address`)
  const unseen = (why: string): LocalEndpoint => failed(workload, link, `the MAC of its own side cannot be seen${why}: set spec.mac or spec.netns`)
  const mac = workload.mac ?? (await interfaces.peerMac(link, workload.netns).catch((error: unknown) => error))
  if (mac instanceof Error) return unseen(` (${mac.message.trim()})`)
  if (typeof mac !== 'string' || macBytes(mac) === undefined) {
    return unseen('')
  }
  return { workload, link, mac, state: 'ready' }
}

function failed(workload: Workload, link: Interface | undefined, reason: string): LocalEndpoint {
  return { workload, link, mac: undefined, state: 'failed', reason }
}

function repeatedFamily(workload: Workload): string | undefined {
  const families = workload.addresses.map((address) => familyOf(addressBytes(address)))
  return families.find((family, index) => families.indexOf(family) !== index)
}
