/** Addresses of a lab, all private to its namespaces: 10.77.0.0/16 and fd77::/16. */
export interface Addresses {
  readonly ipv4: string
  readonly ipv6: string
}

export const lan = { ipv4: '10.77.0.0/24', ipv6: 'fd77::/64' } as const

/** What workloads have as their gateway; no interface holds it, the datapath answers ARP and neighbour discovery. */
export const gateway: Addresses = { ipv4: '169.254.1.1', ipv6: 'fe80::1' }

/** A host of the LAN. Nodes are the hosts 1 to 8, so that 10.77.9.0/24 is free for virtual addresses. */
export function lanAddresses(host: number): Addresses {
  return { ipv4: `10.77.0.${host}`, ipv6: `fd77::${host}` }
}

/** A workload of a node. IPv6 repeats the decimal digits of IPv4, to be easy to recognise. */
export function workloadAddresses(node: number, workload: number): Addresses {
  return { ipv4: `10.77.${node}.${workload}`, ipv6: `fd77:${node}::${workload}` }
}

export function workloadRanges(node: number): Addresses {
  return { ipv4: `10.77.${node}.0/24`, ipv6: `fd77:${node}::/64` }
}

/** Virtual addresses of the balancer on the first node, routed to it by every host of the LAN. */
export const virtualRanges: Addresses = { ipv4: '10.77.9.0/24', ipv6: 'fd77:9::/64' }

/** Locally administered MAC addresses that tell who they are in a packet dump. */
export const mac = {
  lan: (host: number) => `02:77:00:00:00:${byte(host)}`,
  workload: (node: number, workload: number) => `02:77:01:00:${byte(node)}:${byte(workload)}`,
  nodeSide: (node: number, workload: number) => `02:77:02:00:${byte(node)}:${byte(workload)}`,
} as const

function byte(value: number): string {
  if (!Number.isInteger(value) || value < 0 || value > 255) {
    throw new RangeError(`${value} is no number of a host or workload: 0 to 255`)
  }
  return value.toString(16).padStart(2, '0')
}

/** `10.77.0.1:80` and `[fd77::1]:80`. */
export function withPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
