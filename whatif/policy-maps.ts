// The rows that the datapath would compare, from the engine's changes of the maps `policy` and `policy_rows`.
import {
  Direction as DirectionBit, PolicyAction, policyKeyRecord, policyRowRecord, policySpanRecord, type PolicySpanRecord,
} from '../bpf/index.ts'
import type { Change, ComparedRow, Decision, Direction } from '../engine/index.ts'
import { everywhere, LAST_KEY, type Segment, type Segments } from './segments.ts'

type Row = Omit<ComparedRow, 'peers'>

/** What one side decides, and by which rule. */
export interface SideDecision {
  readonly decision: Decision
  readonly rule: number
}

/** The class whose rows hold for every peer. */
const EVERY_PEER = 0

const DECISIONS: Readonly<Record<number, Decision>> = {
  [PolicyAction.DENY]: 'denied',
  [PolicyAction.ALLOW]: 'allowed',
  [PolicyAction.AUDIT]: 'audited',
}

/** The datapath drops where it finds no rows at all. */
const UNKNOWN_SUBJECT: Segments<SideDecision> = everywhere({ decision: 'denied', rule: 0 })

export class PolicyMaps {
  readonly #rows = new Map<number, Row>()
  /** By subject, then by class and direction. */
  readonly #spans = new Map<number, Map<number, PolicySpanRecord>>()
  readonly #segments = new Map<PolicySpanRecord, Segments<SideDecision>>()

  /** `changes`: those of an engine that has made a single transaction. */
  constructor(changes: readonly Change[]) {
    for (const change of changes) {
      if (change.map === 'policy') this.#readSpans(change)
      if (change.map === 'policy_rows') this.#readRows(change)
    }
  }

  /** What a subject decides about a class of peers; the same list for the same question. */
  segments(subject: number, peerClass: number, direction: Direction): Segments<SideDecision> {
    // A class without rows of its own shares the list of every peer, so that lists can be told apart by identity.
    const span = this.#span(subject, peerClass, direction) ?? this.#span(subject, EVERY_PEER, direction)
    if (span === undefined) return UNKNOWN_SUBJECT
    const known = this.#segments.get(span)
    if (known !== undefined) return known
    const ofEveryPeer = this.#rowsOf(this.#span(subject, EVERY_PEER, direction))
    const made = resolve(this.#rowsOf(span), ofEveryPeer)
    this.#segments.set(span, made)
    return made
  }

  #span(subject: number, peerClass: number, direction: Direction): PolicySpanRecord | undefined {
    return this.#spans.get(subject)?.get(keyOf(peerClass, direction))
  }

  #rowsOf({ firstRow, rows }: PolicySpanRecord = { firstRow: 0, rows: 0 }): readonly Row[] {
    return Array.from({ length: rows }, (_, index) => {
      const row = this.#rows.get(firstRow + index)
      if (row === undefined) throw new Error(`row ${firstRow + index} of a span was never written`)
      return row
    })
  }

  #readSpans({ count, keys, values }: Change): void {
    for (let i = 0; i < count; i++) {
      const { subject, peerClassDirection } = policyKeyRecord.decode(keys, i * policyKeyRecord.size)
      const spans = this.#spans.get(subject) ?? new Map<number, PolicySpanRecord>()
      spans.set(peerClassDirection, policySpanRecord.decode(values, i * policySpanRecord.size))
      this.#spans.set(subject, spans)
    }
  }

  #readRows({ count, keys, values }: Change): void {
    const numbers = new DataView(keys.buffer, keys.byteOffset, keys.byteLength)
    for (let i = 0; i < count; i++) {
      const { first, last, precedence, rule, action } = policyRowRecord.decode(values, i * policyRowRecord.size)
      this.#rows.set(numbers.getUint32(i * 4, true), { first, last, precedence, rule, decision: DECISIONS[action] ?? 'denied' })
    }
  }
}

/** As in struct policy_key. */
function keyOf(peerClass: number, direction: Direction): number {
  return (peerClass << 1) | (direction === 'egress' ? DirectionBit.EGRESS : DirectionBit.INGRESS)
}

/** The higher precedence at each place, the class's at a tie, as the datapath picks it. Rows of every peer have no gaps. */
function resolve(ofClass: readonly Row[], ofEveryPeer: readonly Row[]): Segments<SideDecision> {
  const bounds = new Set([...ofClass, ...ofEveryPeer].flatMap(({ first, last }) => [first, last + 1]))
  bounds.delete(LAST_KEY + 1)
  const starts = [...bounds].sort((a, b) => a - b)
  const at = cursor(ofClass)
  const everyAt = cursor(ofEveryPeer)
  return starts.reduce<Segment<SideDecision>[]>((segments, first, index) => {
    const [own, every] = [at(first), everyAt(first)]
    const value = decisionOf(own !== undefined && (every === undefined || own.precedence >= every.precedence) ? own : every)
    const last = (starts[index + 1] ?? LAST_KEY + 1) - 1
    return extend(segments, { first, last, value })
  }, [])
}

/** Finds the row at keys that only grow. */
function cursor(rows: readonly Row[]): (key: number) => Row | undefined {
  let index = 0
  return (key) => {
    while ((rows[index]?.last ?? LAST_KEY) < key) index++
    const row = rows[index]
    return row !== undefined && row.first <= key && key <= row.last ? row : undefined
  }
}

const decisionOf = (row: Row | undefined): SideDecision => ({ decision: row?.decision ?? 'denied', rule: row?.rule ?? 0 })

function extend(segments: Segment<SideDecision>[], next: Segment<SideDecision>): Segment<SideDecision>[] {
  const previous = segments.at(-1)
  const same = previous?.value.rule === next.value.rule && previous.value.decision === next.value.decision
  if (previous && same) segments[segments.length - 1] = { ...previous, last: next.last }
  else segments.push(next)
  return segments
}
