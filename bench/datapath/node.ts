// A node to measure on: a network namespace with two workloads' interfaces and an uplink, so that the programs find
// interfaces and routes. TEST_RUN sends nothing; the other ends of the pairs stand idle in the same namespace.

import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'

import { inNetworkNamespace, interfaceIndex } from '../../loader/index.ts'
import type { Station } from './packets.ts'

export interface Interface extends Station {
  readonly ifindex: number
  readonly nodeMac: string
}

export interface BenchNode extends Disposable {
  readonly first: Interface
  readonly second: Interface
  readonly uplink: Interface
  /** Beyond the uplink: the router's MAC address, and the lowest of the remote addresses. */
  readonly remote: Station
  run<T>(body: () => T): T
}

const STATIONS = {
  first: { mac: '02:00:00:00:01:01', nodeMac: '02:00:00:00:01:02', ipv4: '10.77.1.11', ipv6: 'fd77:1::11' },
  second: { mac: '02:00:00:00:02:01', nodeMac: '02:00:00:00:02:02', ipv4: '10.77.1.12', ipv6: 'fd77:1::12' },
  uplink: { mac: '02:00:00:00:03:01', nodeMac: '02:00:00:00:03:02', ipv4: '192.0.2.1', ipv6: '2001:db8::1' }
} as const
/** On the uplink's segment. */
export const ROUTER = { ipv4: '192.0.2.2', ipv6: '2001:db8::2' } as const
const REMOTE: Station = { mac: STATIONS.uplink.mac, ipv4: '198.18.0.0', ipv6: '2001:db8:1::' }

export function makeNode(): BenchNode {
  const name = `sluice-bench-${process.pid}`
  execFileSync('ip', ['netns', 'add', name])
  const path = `/run/netns/${name}`
  const remove = (): void => void execFileSync('ip', ['netns', 'delete', name])
  try {
    execFileSync('ip', ['-n', name, '-batch', '-'], { input: linkCommands().join('\n') })
    return inNetworkNamespace(path, () => {
      enableForwarding()
      const station = (key: keyof typeof STATIONS): Interface => ({ ...STATIONS[key], ifindex: interfaceIndex(key) })
      return {
        first: station('first'),
        second: station('second'),
        uplink: station('uplink'),
        remote: REMOTE,
        run: (body) => inNetworkNamespace(path, body),
        [Symbol.dispose]: remove
      }
    })
  } catch (error) {
    remove()
    throw error
  }
}

function linkCommands(): string[] {
  const pairs = Object.entries(STATIONS).flatMap(([name, { mac, nodeMac }]) => [
    `link add ${name} address ${nodeMac} type veth peer name ${name}-peer address ${mac}`,
    `link set ${name} up`,
    `link set ${name}-peer up`
  ])
  const { ipv4, ipv6 } = STATIONS.uplink
  return [
    ...pairs,
    `address add ${ipv4}/24 dev uplink`,
    `address add ${ipv6}/64 dev uplink nodad`,
    `neighbour add ${ROUTER.ipv4} lladdr 02:00:00:00:03:01 nud permanent dev uplink`,
    `neighbour add ${ROUTER.ipv6} lladdr 02:00:00:00:03:01 nud permanent dev uplink`,
    `route add default via ${ROUTER.ipv4} dev uplink`,
    `route add ::/0 via ${ROUTER.ipv6} dev uplink`
  ]
}

/** The FIB helper answers nothing on interfaces that do not forward. */
function enableForwarding(): void {
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1')
  writeFileSync('/proc/sys/net/ipv6/conf/all/forwarding', '1')
}
