// `sluice monitor`: every event in the datapath's own terms, or the changes of a table, as they happen.
import { Argument, Option } from 'commander'
import type { Command } from 'commander'
import type { Flow, TableEvent } from '../agent/api/index.ts'
import { agentOf, examples } from './command.ts'
import { CliError, EXIT } from './errors.ts'
import { addFlowOptions, flowQuery } from './flow-options.ts'
import type { FlowOptions } from './flow-options.ts'
import { follow } from './follow.ts'

interface MonitorOptions extends FlowOptions {
  readonly output: 'table' | 'jsonl'
}

const TABLES = ['endpoints', 'identities', 'addresses', 'policies', 'services', 'prefilter', 'backends']

export function register(program: Command): void {
  const command = program
    .command('monitor')
    .description("raw events as they happen: the datapath's numbers, or changes of a table")
    .addArgument(new Argument('[what]', 'what to watch').choices(['events', ...TABLES]).default('events'))
    .addOption(new Option('-o, --output <format>', 'how to print them').choices(['table', 'jsonl']).default('table'))
  addFlowOptions(command)
    .addHelpText(
      'after',
      examples(
        ['sluice monitor', 'numbers of identities, rules and interfaces, nothing looked up'],
        ['sluice monitor addresses', 'what comes and goes in the address table'],
        ['sluice monitor policies -o jsonl', 'for other tools'],
      ),
    )
    .action(monitor)
}

async function monitor(what: string, options: MonitorOptions, command: Command): Promise<void> {
  const query = flowQuery(options)
  if (what === 'events') return monitorEvents(options, command)
  if (Object.values(query).some((value) => value !== undefined)) {
    const message = `filters are for events: \`sluice monitor ${what}\` shows every change of that table`
    throw new CliError(message, { exitStatus: EXIT.usage })
  }
  return monitorTable(what, options, command)
}

async function monitorEvents(options: MonitorOptions, command: Command): Promise<void> {
  const query = { ...flowQuery(options), last: 0, follow: 1 }
  for await (const line of follow(agentOf(command), '/v1/flows', query)) {
    process.stdout.write(`${options.output === 'jsonl' ? line : formatEvent(JSON.parse(line) as Flow)}\n`)
  }
}

async function monitorTable(table: string, { output }: MonitorOptions, command: Command): Promise<void> {
  for await (const line of follow(agentOf(command), `/v1/${table}`, { watch: 1 })) {
    // Server-sent events: the type stands in the data too, and comments only keep the connection alive.
    if (!line.startsWith('data:')) continue
    const data = line.slice('data:'.length).trim()
    process.stdout.write(`${output === 'jsonl' ? data : formatChange(JSON.parse(data) as TableEvent<unknown>)}\n`)
  }
}

export function formatEvent(flow: Flow): string {
  const { source, destination, icmp } = flow
  const kind = icmp === undefined ? '' : ` type ${icmp.type} code ${icmp.code}`
  return [
    flow.time,
    `${flow.verdict} ${flow.reason}`,
    flow.direction,
    `${flow.protocol}${kind}`,
    `${numbersOf(source)} -> ${numbersOf(destination)}`,
    `rule ${flow.rule}`,
    flow.interface,
    `${flow.length} B`,
  ].join('  ')
}

function numbersOf({ address, port, identity }: Flow['source']): string {
  return `${address} ${port} #${identity}`
}

function formatChange(event: TableEvent<unknown>): string {
  const item = event.type === 'update' ? `  ${JSON.stringify(event.item)}` : ''
  return `${event.revision}  ${event.type}${event.type === 'synced' ? '' : `  ${event.key}`}${item}`
}
