// Flows that `sluice observe -o jsonl` printed, as connections: who spoke with whom, on which port, and how often.
import { parseAddress } from '../engine/index.ts'
import { PROTOCOLS } from '../manifests/index.ts'
import type { Flow, FlowEnd } from '../observe/index.ts'

/** All flows of the same ends and port. */
export interface SeenConnection {
  readonly from: FlowEnd
  readonly to: FlowEnd
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

/** Never throws for what `text` holds. `file` is for positions only. */
export function readFlows(text: string, file: string): FlowRecord {
  const faults: string[] = []
  const flows = text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return []
    const flow = parseFlow(line)
    if (typeof flow !== 'string') return [flow]
    if (faults.length < FAULT_LIMIT) faults.push(`${file}:${index + 1}: ${flow}; allowed: a line of sluice observe -o jsonl`)
    return []
  })
  const opening = withoutReplies(flows)
  return { connections: connectionsIn(opening), flows: flows.length, replies: flows.length - opening.length, faults }
}

type Ended = Pick<Flow, 'time' | 'verdict' | 'reason' | 'protocol' | 'icmp' | 'source' | 'destination'>

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

/**
 * A packet whose ends are those of an earlier flow, exchanged, answers it: the datapath saw it as a flow of its own since
 * it had forgotten, or never seen, the first one.
 */
function withoutReplies(flows: readonly Ended[]): readonly Ended[] {
  const opened = new Set<string>()
  return flows.toSorted((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0)).filter(({ protocol, icmp, source, destination }) => {
    if (icmp !== undefined) return isIcmpRequest(protocol, icmp.type)
    const [here, there] = [`${source.address} ${source.port}`, `${destination.address} ${destination.port}`]
    if (opened.has(`${protocol} ${there} ${here}`)) return false
    opened.add(`${protocol} ${here} ${there}`)
    return true
  })
}

/** Neither an echo reply nor an error, which belong to the flow that they answer (RFC 792, RFC 4443). */
function isIcmpRequest(protocol: string, type: number): boolean {
  return protocol === 'ICMP' ? ![0, 3, 4, 5, 11, 12].includes(type) : type >= 128 && type !== 129
}

/** What was dropped for another reason says nothing about policy. */
const isPolicy = (reason: string): boolean => reason.startsWith('policy-')

function connectionsIn(flows: readonly Ended[]): readonly SeenConnection[] {
  const connections = new Map<string, { from: FlowEnd; to: FlowEnd; key: number; passed: number; dropped: number }>()
  for (const { verdict, reason, protocol, icmp, source, destination } of flows) {
    const passes = verdict === 'forwarded' || verdict === 'audited'
    if (!passes && verdict !== 'revoked' && !isPolicy(reason)) continue
    const port = icmp === undefined ? destination.port : (icmp.type << 8) | icmp.code
    const key = ((protocolNumber(protocol) ?? 0) << 16) | port
    const name = [source.address, source.workload, destination.address, destination.workload, key].join(' ')
    const seen = connections.get(name) ?? { from: source, to: destination, key, passed: 0, dropped: 0 }
    if (passes) seen.passed++
    else seen.dropped++
    connections.set(name, seen)
  }
  return [...connections.values()]
}
