// Flows that `sluice observe -o jsonl` printed, as connections: who spoke with whom, on which port, and how often.
import { parseAddress } from '../engine/index.ts'
import { PROTOCOLS } from '../manifests/index.ts'
import type { Flow, FlowEnd } from '../observe/index.ts'

/** Who spoke: a flow's end without its port. */
export type SeenEnd = Pick<FlowEnd, 'address' | 'labels' | 'workload'>

/** All flows of the same ends and port. */
export interface SeenConnection {
  readonly from: SeenEnd
  readonly to: SeenEnd
  /** `protocol << 16 | port`, as in segments. */
  readonly key: number
  /** Flows by what became of them: those that passed, audited ones among them, and those that policy dropped. */
  readonly passed: number
  readonly dropped: number
}

export interface FlowRecord {
  readonly connections: readonly SeenConnection[]
  readonly flows: number
  /** Packets of the other direction of a connection that is in the record too, and ICMP answers. */
  readonly replies: number
  /** Lines that are no flow, the first of them in words. */
  readonly faults: readonly string[]
}

const FAULT_LIMIT = 10
const ALLOWED = 'allowed: a line of sluice observe -o jsonl'

/** `lines`: as they come, so that a record may be larger than memory for its text. `file` is for positions only. */
export async function readFlows(lines: AsyncIterable<string> | Iterable<string>, file: string): Promise<FlowRecord> {
  const faults: string[] = []
  const packets: Packet[] = []
  const ends = new Map<string, SeenEnd>()
  let number = 0
  for await (const line of lines) {
    number++
    const packet = line.trim() === '' ? undefined : readPacket(line, ends)
    if (typeof packet === 'object') packets.push(packet)
    else if (packet !== undefined && faults.length < FAULT_LIMIT) faults.push(`${file}:${number}: ${packet}; ${ALLOWED}`)
  }
  const opening = withoutReplies(packets)
  return { connections: connectionsIn(opening), flows: packets.length, replies: packets.length - opening.length, faults }
}

// ---- lines --------------------------------------------------------------------------------------------------------

/** What is kept of a flow; there may be millions. */
interface Packet {
  readonly time: string
  readonly from: SeenEnd
  readonly fromPort: number
  readonly to: SeenEnd
  readonly key: number
  readonly isIcmp: boolean
  /** What policy did with it; undefined where something else dropped it, which says nothing about policy. */
  readonly fate: 'passed' | 'dropped' | undefined
}

type Ended = Pick<Flow, 'time' | 'verdict' | 'reason' | 'protocol' | 'icmp' | 'source' | 'destination'>

/** `ends`: those of lines before, each kept once. In words what is wrong with the line, if anything is. */
function readPacket(line: string, ends: Map<string, SeenEnd>): Packet | string {
  const flow = parseFlow(line)
  if (typeof flow === 'string') return flow
  const { time, protocol, icmp, source, destination } = flow
  const port = icmp === undefined ? destination.port : (icmp.type << 8) | icmp.code
  const key = ((protocolNumber(protocol) ?? 0) << 16) | port
  const [from, to] = [seen(source, ends), seen(destination, ends)]
  return { time, from, fromPort: source.port, to, key, isIcmp: icmp !== undefined, fate: fateOf(flow) }
}

function seen({ address, labels, workload }: FlowEnd, ends: Map<string, SeenEnd>): SeenEnd {
  const name = [address, workload, ...labels].join()
  const known = ends.get(name) ?? { address, labels, ...(workload !== undefined && { workload }) }
  ends.set(name, known)
  return known
}

function fateOf({ verdict, reason }: Ended): Packet['fate'] {
  if (verdict === 'forwarded' || verdict === 'audited') return 'passed'
  return verdict === 'revoked' || reason.startsWith('policy-') ? 'dropped' : undefined
}

function parseFlow(line: string): Ended | string {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return 'is no JSON'
  }
  if (typeof value !== 'object' || value === null) return 'is no object'
  const { verdict, protocol, source, destination } = value as Partial<Flow>
  if (typeof verdict !== 'string' || typeof protocol !== 'string') return 'has no verdict or no protocol'
  if (protocolNumber(protocol) === undefined) return `protocol: is ${JSON.stringify(protocol)}`
  if (!isEnd(source)) return 'source: has no address, port and labels'
  return isEnd(destination) ? (value as Ended) : 'destination: has no address, port and labels'
}

function isEnd(end: Partial<FlowEnd> | undefined): end is FlowEnd {
  return typeof end?.address === 'string' && parseAddress(end.address) !== undefined
    && typeof end.port === 'number' && Array.isArray(end.labels) && end.labels.every((label) => typeof label === 'string')
}

function protocolNumber(name: string): number | undefined {
  const known: { readonly [name: string]: number } = PROTOCOLS
  return known[name] ?? (/^\d{1,3}$/.test(name) && Number(name) < 256 ? Number(name) : undefined)
}

// ---- connections --------------------------------------------------------------------------------------------------

/**
 * A packet whose ends are those of an earlier flow, exchanged, answers it: the datapath saw it as a flow of its own since
 * it had forgotten, or never seen, the first one.
 */
function withoutReplies(packets: readonly Packet[]): readonly Packet[] {
  const opened = new Set<string>()
  return packets.toSorted((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0)).filter(({ from, fromPort, to, key, isIcmp }) => {
    const [protocol, port] = [key >>> 16, key & 0xffff]
    if (isIcmp) return isIcmpRequest(protocol, port >> 8)
    if (opened.has([protocol, to.address, port, from.address, fromPort].join())) return false
    opened.add([protocol, from.address, fromPort, to.address, port].join())
    return true
  })
}

/** Neither an echo reply nor an error, which belong to the flow that they answer (RFC 792, RFC 4443). */
function isIcmpRequest(protocol: number, type: number): boolean {
  return protocol === PROTOCOLS.ICMP ? ![0, 3, 4, 5, 11, 12].includes(type) : type >= 128 && type !== 129
}

function connectionsIn(packets: readonly Packet[]): readonly SeenConnection[] {
  const connections = new Map<string, { from: SeenEnd; to: SeenEnd; key: number; passed: number; dropped: number }>()
  for (const { from, to, key, fate } of packets) {
    if (fate === undefined) continue
    const name = [from.address, from.workload, to.address, to.workload, key].join()
    const known = connections.get(name) ?? { from, to, key, passed: 0, dropped: 0 }
    known[fate]++
    connections.set(name, known)
  }
  return [...connections.values()]
}
