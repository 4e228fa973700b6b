// Which flows somebody wants to see. The API's query and the CLI's options are these, as text.
import { parseProtocol, PROTOCOL_NAMES } from './protocol.ts'
import { VERDICTS } from './flow.ts'
import type { Flow, FlowEnd, FlowVerdict } from './flow.ts'

/** All that are given hold together. */
export interface FlowFilter {
  /** One of VERDICTS, or several with commas: any of them. */
  readonly verdict?: string
  /**
   * `source:key=value`, `key=value` (of any source) or, without `=`, a key with any value; several with commas:
   * all of them.
   */
  readonly fromLabel?: string
  readonly toLabel?: string
  /** Of either end: replies are flows too. */
  readonly port?: string | number
  /** Name or IANA number. */
  readonly protocol?: string
}

export type FlowPredicate = (flow: Flow) => boolean

/** What was asked cannot be: the message names the field, the value and what is allowed. */
export class FilterError extends Error {
  override readonly name = 'FilterError'
  readonly code = 'INVALID'
  readonly field: keyof FlowFilter

  constructor(field: keyof FlowFilter, value: unknown, allowed: string) {
    super(`${field} "${String(value)}" is not valid: give ${allowed}`)
    this.field = field
  }
}

/** Throws FilterError. */
export function compileFilter(filter: FlowFilter): FlowPredicate {
  const predicates: FlowPredicate[] = []
  if (filter.verdict !== undefined) predicates.push(verdictIs(filter.verdict))
  if (filter.fromLabel !== undefined) predicates.push(endHas('fromLabel', filter.fromLabel, (flow) => flow.source))
  if (filter.toLabel !== undefined) predicates.push(endHas('toLabel', filter.toLabel, (flow) => flow.destination))
  if (filter.port !== undefined) predicates.push(portIs(filter.port))
  if (filter.protocol !== undefined) predicates.push(protocolIs(filter.protocol))
  return (flow) => predicates.every((holds) => holds(flow))
}

function verdictIs(text: string): FlowPredicate {
  const wanted = new Set<FlowVerdict>()
  for (const word of text.split(',')) {
    const verdict = VERDICTS.find((known) => known === word)
    if (verdict === undefined) throw new FilterError('verdict', text, `one or more, with commas, of ${VERDICTS.join(', ')}`)
    wanted.add(verdict)
  }
  return (flow) => wanted.has(flow.verdict)
}

function endHas(field: 'fromLabel' | 'toLabel', text: string, endOf: (flow: Flow) => FlowEnd): FlowPredicate {
  const wanted = text.split(',').map((label) => labelMatcher(field, label))
  return (flow) => wanted.every((matches) => endOf(flow).labels.some(matches))
}

/** A source ends at a colon before the `=`: keys hold no colon, they are percent-encoded. */
function labelMatcher(field: 'fromLabel' | 'toLabel', text: string): (label: string) => boolean {
  const parts = /^(?:([a-z0-9]+):)?([^:=]+)(=.*)?$/.exec(text)
  if (parts === null) throw new FilterError(field, text, 'source:key=value, key=value or key, e.g. k8s:app=web')
  const [, source = 'any', key = '', value] = parts
  const rest = value === undefined ? `${key}=` : `${key}${value}`
  return (label) => {
    const colon = label.indexOf(':')
    if (source !== 'any' && label.slice(0, colon) !== source) return false
    return value === undefined ? label.startsWith(rest, colon + 1) : label.slice(colon + 1) === rest
  }
}

function portIs(given: string | number): FlowPredicate {
  const port = /^\d{1,5}$/.test(String(given)) ? Number(given) : -1
  if (port < 1 || port > 65535) throw new FilterError('port', given, 'a number from 1 to 65535')
  return (flow) => flow.source.port === port || flow.destination.port === port
}

function protocolIs(text: string): FlowPredicate {
  const protocol = parseProtocol(text)
  if (protocol === undefined) {
    throw new FilterError('protocol', text, `one of ${PROTOCOL_NAMES.join(', ')}, or an IANA number from 0 to 255`)
  }
  return (flow) => flow.protocol === protocol
}
