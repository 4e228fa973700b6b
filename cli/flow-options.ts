// The filters that `observe` and `monitor` share; the agent applies them.
import { InvalidArgumentError, Option } from 'commander'
import type { Command } from 'commander'
import type { Flow } from '../agent/api/index.ts'
import { parseProbe, protocolName } from '../manifests/index.ts'
import type { Query } from './client.ts'
import { CliError, EXIT } from './errors.ts'

export interface FlowOptions {
  readonly verdict?: string
  readonly fromLabel?: string
  readonly toLabel?: string
  readonly port?: FlowPort
  readonly protocol?: string
}

interface FlowPort {
  readonly number: number
  /** Absent: of any protocol. A filter that is not given leaves nothing out, while a connection asked about has one. */
  readonly protocol?: string
}

/** A record, so that the compiler misses none. */
const VERDICTS: Readonly<Record<Flow['verdict'], true>> = { forwarded: true, dropped: true, audited: true, revoked: true }

export function addFlowOptions(command: Command): Command {
  return command
    .addOption(new Option('--verdict <verdict>', 'only flows that were').choices(Object.keys(VERDICTS)))
    .option('--from-label <label>', 'only from workloads with this label: source:key=value, key=value or key')
    .option('--to-label <label>', 'only to workloads with this label')
    .option('--port <port>', 'only with this port at either end, of any protocol or as in 80/TCP', parsePort)
    .option('--protocol <protocol>', 'TCP, UDP, SCTP, ICMP, ICMPv6 or an IANA number')
}

export function flowQuery({ verdict, fromLabel, toLabel, port, protocol }: FlowOptions): Query {
  if (port?.protocol !== undefined && protocol !== undefined) {
    throw new CliError('the protocol is given twice, by --port and by --protocol: give it once', { exitStatus: EXIT.usage })
  }
  return { verdict, fromLabel, toLabel, port: port?.number, protocol: port?.protocol ?? protocol }
}

export function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Give a number, 0 or more.')
  return Number(text)
}

function parsePort(text: string): FlowPort {
  const probe = parseProbe(text)
  const protocol = protocolName(probe?.protocol ?? 0)
  // What stands for a port where ICMP is asked about is a type, which flows do not have as a port.
  if (probe === undefined || protocol.startsWith('ICMP')) {
    throw new InvalidArgumentError('Give a port from 1 to 65535, alone or with TCP, UDP or SCTP as in 80/TCP.')
  }
  return { number: probe.port, ...(text.includes('/') && { protocol }) }
}
