// A flow: one event of the datapath in words and names. This is what the API answers and the CLI prints.
import { Direction, enumName, EventKind, Reason } from '../bpf/index.ts'
import type { EventRecord } from '../bpf/index.ts'
import { formatAddress } from '../engine/index.ts'
import type { Clock } from './clock.ts'
import { protocolName } from './protocol.ts'

export const VERDICTS = ['forwarded', 'dropped', 'audited', 'revoked'] as const
export type FlowVerdict = (typeof VERDICTS)[number]

export const DIRECTIONS = ['ingress', 'egress'] as const

export interface FlowEnd {
  /** "10.77.1.11", "fd77:1::11" */
  readonly address: string
  /** 0 where the protocol has no ports. */
  readonly port: number
  readonly identity: number
  /** Empty where the identity was not known when the event was read. */
  readonly labels: readonly string[]
  /** "namespace/name" */
  readonly workload?: string
}

export interface Flow {
  /** Wall clock, ISO 8601 with microseconds, UTC. */
  readonly time: string
  readonly verdict: FlowVerdict
  /** Why: `forwarded`, or the drop reason's name in bpf/types.h, e.g. `policy-denied`. */
  readonly reason: string
  /** Of the side that decided: `egress` is the source's policy, `ingress` the destination's. */
  readonly direction: (typeof DIRECTIONS)[number]
  /** "TCP", "UDP", "SCTP", "ICMP", "ICMPv6", else the IANA number. */
  readonly protocol: string
  readonly icmp?: { readonly type: number; readonly code: number }
  readonly source: FlowEnd
  readonly destination: FlowEnd
  /** Number of the rule that decided; 0: no policy selects the side in that direction. */
  readonly rule: number
  /** "CiliumNetworkPolicy demo/web ingress[0]" */
  readonly policy?: string
  /** Service that the flow was sent to, "namespace/name": its backend was chosen, or the destination is its own address. */
  readonly service?: string
  /** Node side of the link of the endpoint that decided; "ifindex 7" where the link is gone. */
  readonly interface: string
  /** Bytes of the packet. */
  readonly length: number
}

/** What the agent's tables know about the numbers of an event; `undefined`: not known (any more). */
export interface Directory {
  labels(identity: number): readonly string[] | undefined
  /** Takes the text of an address, as formatAddress writes it. */
  workload(address: string): string | undefined
  policy(rule: number): string | undefined
  service(id: number): string | undefined
  /** The service with a frontend at this address, that of the port where several share it. */
  serviceAt(address: string, port: number): string | undefined
  interfaceName(ifindex: number): string | undefined
}

const VERDICT_OF_KIND: Readonly<Record<number, FlowVerdict>> = {
  [EventKind.FLOW]: 'forwarded',
  [EventKind.DROP]: 'dropped',
  [EventKind.AUDIT]: 'audited',
  [EventKind.REVOKED]: 'revoked',
}

const PROTOCOL_ICMP = 1
const PROTOCOL_ICMPV6 = 58

/**
 * Names are looked up now and kept in the flow: an address that another workload uses later must not rename
 * flows that have been.
 */
export function toFlow(event: EventRecord, directory: Directory, clock: Clock): Flow {
  const isIcmp = event.protocol === PROTOCOL_ICMP || event.protocol === PROTOCOL_ICMPV6
  const policy = event.rule === 0 ? undefined : directory.policy(event.rule)
  const destination = end(event.destination, isIcmp ? 0 : event.destinationPort, event.destinationIdentity, directory)
  const service = serviceOf(event.service, destination, directory)
  return {
    time: clock.isoTime(event.timeNs),
    verdict: verdictOf(event.kind),
    reason: reasonName(event.reason),
    direction: event.direction === Direction.INGRESS ? 'ingress' : 'egress',
    protocol: protocolName(event.protocol),
    ...(isIcmp && { icmp: { type: event.destinationPort >> 8, code: event.destinationPort & 0xff } }),
    source: end(event.source, isIcmp ? 0 : event.sourcePort, event.sourceIdentity, directory),
    destination,
    rule: event.rule,
    ...(policy !== undefined && { policy }),
    ...(service !== undefined && { service }),
    interface: directory.interfaceName(event.ifindex) ?? `ifindex ${event.ifindex}`,
    length: event.length,
  }
}

/** The datapath knows it only where it translated or balanced; a packet may have met policy before. */
function serviceOf(id: number, { address, port }: FlowEnd, directory: Directory): string | undefined {
  return id === 0 ? directory.serviceAt(address, port) : directory.service(id)
}

/** Name of an `enum reason`, as flows and metrics show it: REASON_POLICY_DENIED is `policy-denied`. */
export function reasonName(reason: number): string {
  return enumName(Reason, reason)
}

function verdictOf(kind: number): FlowVerdict {
  const verdict = VERDICT_OF_KIND[kind]
  if (verdict === undefined) throw new RangeError(`event kind ${kind} is none of enum event_kind in bpf/types.h`)
  return verdict
}

function end(address: Uint8Array, port: number, identity: number, directory: Directory): FlowEnd {
  const text = formatAddress(address)
  const workload = directory.workload(text)
  return { address: text, port, identity, labels: directory.labels(identity) ?? [], ...(workload !== undefined && { workload }) }
}
