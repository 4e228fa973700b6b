// The filters that `observe` and `monitor` share; the agent applies them.
import { InvalidArgumentError, Option } from 'commander'
import type { Command } from 'commander'
import type { Flow } from '../agent/api/index.ts'
import type { Query } from './client.ts'

export interface FlowOptions {
  readonly verdict?: string
  readonly fromLabel?: string
  readonly toLabel?: string
  readonly port?: number
  readonly protocol?: string
}

/** A record, so that the compiler misses none. */
const VERDICTS: Readonly<Record<Flow['verdict'], true>> = { forwarded: true, dropped: true, audited: true, revoked: true }

export function addFlowOptions(command: Command): Command {
  return command
    .addOption(new Option('--verdict <verdict>', 'only flows that were').choices(Object.keys(VERDICTS)))
    .option('--from-label <label>', 'only from workloads with this label: source:key=value, key=value or key')
    .option('--to-label <label>', 'only to workloads with this label')
    .option('--port <number>', 'only with this port at either end', parsePort)
    .option('--protocol <protocol>', 'TCP, UDP, SCTP, ICMP, ICMPv6 or an IANA number')
}

export function flowQuery({ verdict, fromLabel, toLabel, port, protocol }: FlowOptions): Query {
  return { verdict, fromLabel, toLabel, port, protocol }
}

export function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Give a number, 0 or more.')
  return Number(text)
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65535) throw new InvalidArgumentError('Give a port from 1 to 65535.')
  return port
}
