// Packet tables as data: what is sent where in which order, and what becomes of it.

import type { ExecutionContext } from 'ava'

import { EventKind, enumName } from '../../bpf/index.ts'
import { buildPacket, parsePacket } from '../packet.ts'
import type { PacketDescription, ParsedPacket, TcpFlag, Transport } from '../packet.ts'
import type { Hook, Metadata, Port, Seen, TestNode, Verdict } from './node.ts'
import { addressOf, MACS } from './world.ts'
import type { Family, Name } from './world.ts'

/** `pass` goes to the stack, `redirect` on its way; anything else is the reason to drop. */
export type Expectation = Exclude<Verdict, 'drop'> | (string & {})

export interface Step {
  readonly hook: Hook
  readonly at: Port
  readonly packet: PacketDescription
  readonly metadata?: Metadata
  readonly expect: Expectation
  /** Kinds of all events, in order; not looked at where absent. */
  readonly events?: readonly Lowercase<keyof typeof EventKind>[]
  /** Of the last event. */
  readonly rule?: number
  readonly out?: Partial<ParsedPacket>
}

const MAC_OF: Partial<Record<Name, string>> = { a: MACS.a, b: MACS.b }
const NODE_MAC_OF: Partial<Record<Name, string>> = { a: MACS.nodeA, b: MACS.nodeB }

/** A packet between two of the world's names. */
export function packet(family: Family, from: Name, to: Name, transport: Transport, more: Partial<PacketDescription> = {}): PacketDescription {
  const sourceMac = MAC_OF[from]
  const destinationMac = NODE_MAC_OF[from]
  return {
    source: addressOf(from, family),
    destination: addressOf(to, family),
    transport,
    ...(sourceMac === undefined ? {} : { sourceMac }),
    ...(destinationMac === undefined ? {} : { destinationMac }),
    ...more,
  }
}

export function tcp(sourcePort: number, destinationPort: number, ...flags: readonly TcpFlag[]): Transport {
  return { kind: 'tcp', sourcePort, destinationPort, flags }
}

export function udp(sourcePort: number, destinationPort: number): Transport {
  return { kind: 'udp', sourcePort, destinationPort }
}

export function echo(family: Family, kind: 'request' | 'reply', identifier: number): Transport {
  const types = family === 4 ? { request: 8, reply: 0 } : { request: 128, reply: 129 }
  return { kind: 'icmp', type: types[kind], identifier }
}

/** The connection that most tables speak of: a's port 4000 to b's port 80. */
export const syn = tcp(4000, 80, 'SYN')
export const ack = tcp(4000, 80, 'ACK')
export const answer = tcp(80, 4000, 'ACK')

export const request = (family: Family, transport = syn) => ({ hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'b', transport) }) as const
export const reply = (family: Family, transport = answer) => ({ hook: 'from_endpoint', at: 'b', packet: packet(family, 'b', 'a', transport) }) as const

/** Sends one packet and compares everything that the step expects. */
export function runStep(t: ExecutionContext, node: TestNode, step: Step, label = ''): Seen {
  const seen = node.send(step.hook, step.at, buildPacket(step.packet), step.metadata)
  const got = seen.verdict === 'drop' ? (seen.reason ?? 'drop without an event') : seen.verdict
  t.is(got, step.expect, label)
  if (step.events !== undefined) t.deepEqual(seen.events.map(({ kind }) => enumName(EventKind, kind)), [...step.events], label)
  if (step.rule !== undefined) t.is(seen.events.at(-1)?.rule, step.rule, label)
  if (step.out !== undefined || seen.verdict !== 'drop') compareOutput(t, seen, step.out ?? {}, label)
  return seen
}

/** What leaves always has right checksums. */
function compareOutput(t: ExecutionContext, seen: Seen, out: Partial<ParsedPacket>, label: string): void {
  const parsed = parsePacket(seen.data)
  t.deepEqual(parsed.wrongChecksums, [], `${label}: checksums`)
  for (const [field, value] of Object.entries(out)) t.deepEqual(parsed[field as keyof ParsedPacket], value, `${label}: ${field}`)
}

export function runSteps(t: ExecutionContext, node: TestNode, steps: readonly Step[]): void {
  steps.forEach((step, index) => runStep(t, node, step, `step ${index + 1} (${step.hook})`))
}
