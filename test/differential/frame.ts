// A packet of the generator as the frame that a hook would see.

import { buildPacket, formatMac } from '../packet.ts'
import type { TcpFlag, Transport } from '../packet.ts'
import { GATEWAY, UPLINK_MAC } from './datapath.ts'
import type { Datapath, Hook } from './datapath.ts'
import { endpointMac, nodeMac } from './scenario.ts'
import type { Packet } from './traffic.ts'
import { ICMP, ICMPV6, isOfHost, SCTP, TCP } from './world.ts'
import type { World } from './world.ts'

export interface Entry {
  hook: Hook
  ifindex: number
  frame: Uint8Array
}

/** Where the packet enters this node, and what it looks like there. */
export function enter(packet: Packet, world: World, datapath: Datapath, flags: readonly TcpFlag[]): Entry {
  const ifindexOf = (address: string): number => world.workloads.find(({ addresses }) => addresses.includes(address))?.ifindex ?? 0
  const transport = transportOf(packet, flags)
  const frame = (sourceMac: string, destinationMac: string): Uint8Array => buildPacket({ sourceMac, destinationMac, source: packet.from, destination: packet.to, transport })
  const [sender, receiver] = [ifindexOf(packet.from), ifindexOf(packet.to)]
  if (sender > 0) return { hook: 'from_endpoint', ifindex: sender, frame: frame(formatMac(endpointMac(sender)), formatMac(nodeMac(sender))) }
  if (isOfHost(packet.from)) {
    if (receiver > 0) return { hook: 'to_endpoint', ifindex: receiver, frame: frame(formatMac(nodeMac(receiver)), formatMac(endpointMac(receiver))) }
    return { hook: 'to_world', ifindex: datapath.uplink, frame: frame(UPLINK_MAC, GATEWAY.mac) }
  }
  return { hook: 'from_world', ifindex: datapath.uplink, frame: frame(GATEWAY.mac, UPLINK_MAC) }
}

function transportOf({ protocol, sourcePort, port }: Packet, flags: readonly TcpFlag[]): Transport {
  const ports = { sourcePort, destinationPort: port }
  if (protocol === ICMP || protocol === ICMPV6) return { kind: 'icmp', type: port >> 8, code: port & 0xff, identifier: sourcePort }
  if (protocol === TCP) return { kind: 'tcp', flags, ...ports }
  return { kind: protocol === SCTP ? 'sctp' : 'udp', ...ports }
}
