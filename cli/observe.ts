// `sluice observe`: flows with names, verdicts and the rule that decided.
import { Option } from 'commander'
import type { Command } from 'commander'
import { styleText } from 'node:util'
import type { Flow } from '../agent/api/index.ts'
import { agentOf, examples } from './command.ts'
import { CliError, EXIT } from './errors.ts'
import { addFlowOptions, flowQuery, parseCount } from './flow-options.ts'
import type { FlowOptions } from './flow-options.ts'
import { follow as followLines } from './follow.ts'
import { note, print } from './output.ts'

interface ObserveOptions extends FlowOptions {
  readonly output: 'table' | 'jsonl' | 'json' | 'yaml'
  readonly last?: number
  readonly follow?: true
}

const DEFAULT_LAST = 20

export function register(program: Command): void {
  const command = program
    .command('observe')
    .description('flows: who talked to whom, what became of it, which rule decided')
    .addOption(outputOption())
    .option('--last <count>', `this many of the past, oldest first (default: ${DEFAULT_LAST}; with --follow: 0)`, parseCount)
    .option('-f, --follow', 'go on with new flows until interrupted')
  addFlowOptions(command)
    .addHelpText(
      'after',
      examples(
        ['sluice observe --verdict dropped', 'what was denied lately, and by which rule'],
        ['sluice observe --follow --to-label app=web --port 80', 'watch who talks to the web servers'],
        ["sluice observe -o jsonl --follow | jq -r .policy", 'feed another tool, a JSON object a line'],
      ),
    )
    .action(observe)
}

async function observe(options: ObserveOptions, command: Command): Promise<void> {
  const { follow, output, last = follow ? 0 : DEFAULT_LAST } = options
  if (follow && (output === 'json' || output === 'yaml')) throw endless(output)
  const agent = agentOf(command)
  const query = { ...flowQuery(options), last }
  const lines = follow ? followLines(agent, '/v1/flows', { ...query, follow: 1 }) : agent.lines('/v1/flows', query)
  if (output === 'jsonl') for await (const line of lines) process.stdout.write(`${line}\n`)
  else if (output === 'table') await printFlows(lines)
  else print(await Array.fromAsync(lines, (line) => JSON.parse(line) as Flow), output, () => '')
}

async function printFlows(lines: AsyncIterable<string>): Promise<void> {
  let count = 0
  for await (const line of lines) {
    count++
    process.stdout.write(`${formatFlow(JSON.parse(line) as Flow)}\n`)
  }
  if (count === 0) note('no flow of those that the agent keeps matches')
}

function endless(output: string): CliError {
  return new CliError(`-o ${output} is one document and needs an end: use -o jsonl with --follow`, { exitStatus: EXIT.usage })
}

function outputOption(): Option {
  return new Option('-o, --output <format>', 'how to print them').choices(['table', 'jsonl', 'json', 'yaml']).default('table')
}

const COLOUR = { forwarded: 'green', dropped: 'red', audited: 'yellow', revoked: 'magenta' } as const

/** One line, its columns as wide as they are in most flows, so that a stream stays readable. */
export function formatFlow(flow: Flow): string {
  const verdict = styleText(COLOUR[flow.verdict], flow.verdict.padEnd(9), { stream: process.stdout })
  const ends = `${formatEnd(flow.source)} -> ${formatDestination(flow)}`
  return `${flow.time.slice(11, -1)}  ${verdict}  ${flow.protocol.padEnd(6)}  ${ends.padEnd(64)}  ${formatReason(flow)}`.trimEnd()
}

/** What a service's own address names is the service; a workload behind it was chosen by it. */
function formatDestination({ destination, service }: Flow): string {
  if (service === undefined) return formatEnd(destination)
  const title = `service ${service}`
  return destination.workload === undefined ? formatEnd(destination, title) : `${formatEnd(destination)} of ${title}`
}

/** "demo/web-1 (10.77.1.11:80)"; what is no workload goes by its first label, e.g. "reserved:world". */
function formatEnd({ workload, labels, identity, address, port }: Flow['source'], title?: string): string {
  const name = title ?? workload ?? labels[0]?.replace(/=$/, '') ?? `identity ${identity}`
  if (port === 0) return `${name} (${address})`
  return address.includes(':') ? `${name} ([${address}]:${port})` : `${name} (${address}:${port})`
}

function formatReason({ reason, direction, policy, rule, icmp }: Flow): string {
  const rules = policy ?? (rule === 0 ? 'no policy selects it' : `rule ${rule}`)
  const decided = reason === 'forwarded' || reason === 'policy-denied' ? rules : reason
  return `${direction}: ${decided}${icmp === undefined ? '' : `  (type ${icmp.type} code ${icmp.code})`}`
}
