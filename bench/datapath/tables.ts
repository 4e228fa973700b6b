// The maps as the agent would fill them for a node with two workloads that may talk with each other and the world.

import {
  Direction,
  EndpointFlags,
  endpointRecord,
  PeerFlags,
  peerRecord,
  PolicyAction,
  policyKeyRecord,
  policyRowRecord,
  policySpanRecord,
  prefixKeyRecord
} from '../../bpf/index.ts'
import type { BpfMap, BpfObject } from '../../loader/index.ts'
import type { BenchNode, Interface } from './node.ts'
import { macBytes, mappedBytes } from './packets.ts'

const PROTOCOL_TCP = 6
const LAST_PORT = 0xffffff
const CLASS = { first: 11, second: 12, worldIpv4: 2, worldIpv6: 3 } as const
const SUBJECT = { first: 1, second: 2 } as const

/** TCP port ranges that the rules allow; the one that the packets hit stands in the middle. */
export const ALLOWED_PORTS = [
  [22, 22],
  [80, 80],
  [443, 443],
  [1024, 9999],
  [15000, 15000]
] as const

export function fillWorkloadTables(object: BpfObject, node: BenchNode): void {
  fillEndpoints(object.map('endpoints'), node)
  fillAddresses(object.map('addresses'), node)
  fillPrefixes(object.map('prefixes'))
  fillPolicy(object)
}

export function word(value: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Uint32Array.of(value).buffer)
}

function fillEndpoints(map: BpfMap, node: BenchNode): void {
  for (const name of ['first', 'second'] as const) {
    const workload: Interface = node[name]
    const record = {
      id: SUBJECT[name],
      identity: 1000 + CLASS[name],
      subject: SUBJECT[name],
      flags: EndpointFlags.PEER_NETNS,
      ipv4: mappedBytes(workload.ipv4),
      ipv6: mappedBytes(workload.ipv6),
      mac: macBytes(workload.mac),
      nodeMac: macBytes(workload.nodeMac)
    }
    map.update(word(workload.ifindex), endpointRecord.encode(record))
  }
}

function fillAddresses(map: BpfMap, node: BenchNode): void {
  for (const name of ['first', 'second'] as const) {
    const { ifindex, ipv4, ipv6 } = node[name]
    const peer = peerRecord.encode({ identity: 1000 + CLASS[name], peerClass: CLASS[name], ifindex, flags: PeerFlags.WORKLOAD })
    map.update(mappedBytes(ipv4), peer)
    map.update(mappedBytes(ipv6), peer)
  }
}

function fillPrefixes(map: BpfMap): void {
  const world = (prefixLength: number, address: string, peerClass: number): void => {
    const key = prefixKeyRecord.encode({ prefixLength, address: mappedBytes(address) })
    map.update(key, peerRecord.encode({ identity: 7 + peerClass, peerClass, ifindex: 0, flags: 0 }))
  }
  world(96, '0.0.0.0', CLASS.worldIpv4)
  world(0, '::', CLASS.worldIpv6)
}

/** Every subject: all denied by the rows for every class, the allowed ranges for each class that talks with it. */
function fillPolicy(object: BpfObject): void {
  const [spans, rows] = [object.map('policy'), object.map('policy_rows')]
  let next = 1
  const write = (subject: number, peerClass: number, direction: number, ranges: readonly (readonly [number, number])[], allow: boolean): void => {
    const key = policyKeyRecord.encode({ subject, peerClassDirection: (peerClass << 1) | direction })
    ranges.forEach(([first, last], index) => rows.update(word(next + index), row(first, last, allow)))
    spans.update(key, policySpanRecord.encode({ firstRow: next, rows: ranges.length }))
    next += ranges.length
  }
  const allowed = ALLOWED_PORTS.map(([first, last]) => [tcp(first), tcp(last)] as const)
  for (const subject of Object.values(SUBJECT))
    for (const direction of Object.values(Direction)) {
      write(subject, 0, direction, [[0, LAST_PORT]], false)
      for (const peerClass of Object.values(CLASS)) write(subject, peerClass, direction, allowed, true)
    }
}

function tcp(port: number): number {
  return (PROTOCOL_TCP << 16) | port
}

function row(first: number, last: number, allow: boolean): Uint8Array {
  const [precedence, action] = allow ? [100, PolicyAction.ALLOW] : [1, PolicyAction.DENY]
  return policyRowRecord.encode({ first, last, precedence, rule: 1, proxyPort: 0, action, authentication: 0 })
}
