// Random frames: mostly what clients send, then broken in one way or another.

import { CLIENTS, VIPS } from '../bpf/edge.ts'
import { GATEWAY, UPLINK } from '../bpf/node.ts'
import type { Random } from '../differential/random.ts'
import { buildIpPacket, buildPacket } from '../packet.ts'
import type { Fragment, PacketDescription, TcpFlag, Transport } from '../packet.ts'
import { concat, IpProtocol, number16, number32 } from '../wire.ts'
import { UDP_LITE } from './parse.ts'
import { PORTS } from './world.ts'

type Family = 4 | 6

const SOURCES: Readonly<Record<Family, readonly string[]>> = {
  4: [CLIENTS[4], '192.0.2.8', '192.0.2.9', '0.0.0.0', '224.0.0.1', '255.255.255.255', VIPS[4]],
  6: [CLIENTS[6], '2001:db8::8', '2001:db8::9', '::', 'ff02::1', VIPS[6], '::1'],
}
const FLAGS: readonly (readonly TcpFlag[])[] = [['SYN'], ['ACK'], ['FIN', 'ACK'], ['RST'], ['SYN', 'ACK']]
const OTHER_PROTOCOLS = [0, IpProtocol.IPV4, 47, 50, 59, UDP_LITE, 255]
const TAGS = [0x8100_0005, 0x8100_0000, 0x88a8_0064]

/** What was done to a frame, so that a run can tell what it met. */
export interface FuzzedFrame {
  readonly frame: Uint8Array
  readonly changes: readonly string[]
}

export function randomFrame(random: Random): FuzzedFrame {
  const family = random.pick([4, 6] as const)
  const whole = withTags(random, buildPacket(randomPacket(random, family)))
  const changes: string[] = []
  let frame: Uint8Array = whole
  for (const [name, change] of Object.entries(CHANGES)) {
    if (!random.chance(0.12)) continue
    frame = change(random, frame)
    changes.push(name)
  }
  return { frame, changes }
}

function randomPacket(random: Random, family: Family): PacketDescription {
  const transport = randomTransport(random, family)
  return {
    destinationMac: random.chance(0.97) ? UPLINK.mac : '02:00:00:00:00:99',
    sourceMac: GATEWAY.mac,
    source: random.chance(0.85) ? CLIENTS[family] : random.pick(SOURCES[family]),
    destination: random.chance(0.95) ? VIPS[family] : CLIENTS[family],
    transport,
    payload: transport.kind === 'icmp' && random.chance(0.8) ? quotation(random, family) : bytes(random, randomLength(random)),
    hops: random.below(256),
    trafficClass: random.below(256),
    dontFragment: random.chance(0.5),
    ...(random.chance(0.15) && { options: new Uint8Array(4 * (1 + random.below(10))).fill(1) }),
    ...(random.chance(0.15) && { extensions: 1 + random.below(7) }),
    ...(random.chance(0.3) && { fragment: randomFragment(random) }),
  }
}

/** Small ones, and those around the size of a link. */
function randomLength(random: Random): number {
  return random.chance(0.7) ? random.below(200) : 1180 + random.below(320)
}

/** Of a stock, since drawing each would take most of a run. */
const STOCK = Uint8Array.from({ length: 4096 }, (_, index) => Math.imul(index + 1, 0x9e3779b1) >>> 24)

function bytes(random: Random, length: number): Uint8Array {
  const from = random.below(STOCK.byteLength - length)
  return STOCK.subarray(from, from + length)
}

function randomTransport(random: Random, family: Family): Transport {
  const ports = { sourcePort: 1024 + random.below(64), destinationPort: random.pick(PORTS) }
  const drawn = random.below(10)
  if (drawn < 3) return { kind: 'tcp', ...ports, flags: random.pick(FLAGS) }
  if (drawn < 6) return { kind: 'udp', ...ports }
  if (drawn === 6) return { kind: 'sctp', ...ports }
  if (drawn === 7) return { kind: 'raw', protocol: random.pick(OTHER_PROTOCOLS) }
  const types = family === 4 ? [8, 0, 3, 11, 12, 5] : [128, 129, 1, 2, 3, 4, 135]
  return { kind: 'icmp', type: random.pick(types), code: random.chance(0.9) ? 0 : random.below(256), identifier: random.below(8) }
}

/** Of an ICMP error: mostly of what the VIP answered. */
function quotation(random: Random, family: Family): Uint8Array {
  const transport = randomTransport(random, family)
  const turned = 'sourcePort' in transport ? { ...transport, sourcePort: transport.destinationPort, destinationPort: transport.sourcePort } : transport
  const [source, destination] = random.chance(0.9) ? [VIPS[family], CLIENTS[family]] : [CLIENTS[family], VIPS[family]]
  const fragment = random.chance(0.1) ? { fragment: randomFragment(random) } : {}
  const whole = buildIpPacket({ source, destination, transport: turned, payload: bytes(random, random.below(40)), ...fragment })
  return random.chance(0.9) ? whole : whole.subarray(0, random.below(whole.byteLength))
}

/** Few identifications and offsets, so that fragments meet others of their datagram. */
function randomFragment(random: Random): Fragment {
  const offset = random.chance(0.5) ? 0 : 8 * random.below(12)
  const more = random.chance(0.7)
  return { identification: random.below(6), offset, more, length: random.chance(0.9) ? 8 * (1 + random.below(8)) : random.below(64) }
}

function withTags(random: Random, frame: Uint8Array): Uint8Array {
  if (!random.chance(0.2)) return frame
  const tags = random.some(1, 3, () => random.pick(TAGS))
  return concat(frame.subarray(0, 12), ...tags.map(number32), frame.subarray(12))
}

const CHANGES: Readonly<Record<string, (random: Random, frame: Uint8Array) => Uint8Array>> = {
  'cut off': (random, frame) => frame.subarray(0, Math.max(14, random.below(Math.min(frame.byteLength, 140)))),
  'bytes changed': (random, frame) => {
    const changed = Uint8Array.from(frame)
    for (const at of random.some(1, 4, () => random.below(Math.min(frame.byteLength, 110)))) if (at >= 12) changed[at] = random.below(256)
    return changed
  },
  'a length that lies': (random, frame) => {
    const changed = Uint8Array.from(frame)
    const at = random.pick([16, 18, 20, 22, 38, 58])
    if (at + 2 <= frame.byteLength) changed.set(number16(random.pick([0, 1, 19, 20, 28, 40, frame.byteLength - 14, frame.byteLength, 0xffff])), at)
    return changed
  },
  'another data offset of TCP': (random, frame) => {
    const changed = Uint8Array.from(frame)
    // Behind IPv4, IPv6, and IPv6 with a Fragment header.
    const at = random.pick([34, 54, 62]) + 12
    if (at < frame.byteLength) changed[at] = random.below(16) << 4
    return changed
  },
  'padding': (random, frame) => concat(frame, new Uint8Array(random.below(64))),
}
