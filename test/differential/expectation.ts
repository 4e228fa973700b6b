// What the datapath owes each packet, told naively: remember each flow that was ever allowed by its first packet, and
// decide that first packet again whenever a packet of the flow comes by. The datapath's generations must come to the same.

import { ICMP, ICMPV6 } from './world.ts'
import type { Packet } from './traffic.ts'

export interface Decided {
  allowed: boolean
  rule: number
  /** Rules that would have dropped the packet, were it not for audit: the sender's first. */
  audits: readonly number[]
}

export interface Expected extends Decided {
  /** Whether the packet belongs to a flow that was allowed before. */
  established: boolean
}

export class Expectation {
  readonly #decide: (first: Packet) => Decided
  readonly #flows = new Map<string, Packet>()

  constructor(decide: (first: Packet) => Decided) {
    this.#decide = decide
  }

  packet(packet: Packet): Expected {
    const first = this.#firstOf(packet)
    const decided = this.#decide(first ?? packet)
    const known = first ?? packet
    if (decided.allowed) this.#flows.set(flowKey(known), known)
    return { ...decided, established: first !== undefined }
  }

  /** Whether the packet opens a flow or belongs to one: an echo reply that nobody asked for does neither. */
  isPossible(packet: Packet): boolean {
    return !isEchoReply(packet) || this.#firstOf(packet) !== undefined
  }

  #firstOf(packet: Packet): Packet | undefined {
    return this.#flows.get(flowKey(packet)) ?? (hasReply(packet) ? this.#flows.get(flowKey(reversed(packet))) : undefined)
  }
}

/** Echo requests and replies of one identifier are one flow; of other messages each type is its own. */
function flowKey({ from, to, protocol, sourcePort, port }: Packet): string {
  if (!isIcmp(protocol)) return `${protocol} ${from} ${sourcePort} ${to} ${port}`
  return isEcho(protocol, port) ? `${protocol} ${from} ${to} echo ${sourcePort}` : `${protocol} ${from} ${to} ${port}`
}

export function reversed(packet: Packet): Packet {
  const { from, to, protocol, sourcePort, port } = packet
  if (!isIcmp(protocol)) return { from: to, to: from, protocol, sourcePort: port, port: sourcePort }
  return { from: to, to: from, protocol, sourcePort, port: isEcho(protocol, port) ? replyMessage(protocol, port) : port }
}

/** Whether a reply to this packet exists: not to ICMP messages other than echo. */
export function hasReply({ protocol, port }: Packet): boolean {
  return !isIcmp(protocol) || isEcho(protocol, port)
}

function isEchoReply({ protocol, port }: Packet): boolean {
  return isIcmp(protocol) && port === ECHO[protocol as keyof typeof ECHO][1]
}

function isIcmp(protocol: number): boolean {
  return protocol === ICMP || protocol === ICMPV6
}

const ECHO = { [ICMP]: [8 << 8, 0], [ICMPV6]: [128 << 8, 129 << 8] } as const

function isEcho(protocol: number, port: number): boolean {
  return (ECHO[protocol as keyof typeof ECHO] as readonly number[]).includes(port)
}

function replyMessage(protocol: number, port: number): number {
  const [request, reply] = ECHO[protocol as keyof typeof ECHO]
  return port === request ? reply : request
}
