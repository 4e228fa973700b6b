// `sluice status`: one screen that says what works, what is degraded and why, and what to do.
import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Degradation, Status } from '../agent/api/index.ts'
import type { AgentClient } from './client.ts'
import { agentOf, examples } from './command.ts'
import { CliError, EXIT } from './errors.ts'
import { formatDetails, formatTable, outputOption, print } from './output.ts'
import type { OutputFormat } from './output.ts'
import { formatDuration } from './time.ts'

interface StatusOptions {
  readonly output: OutputFormat
  readonly check?: true
  readonly wait?: number
}

export function register(program: Command): void {
  program
    .command('status')
    .description('what works, what is degraded and why, and what to do')
    .addOption(outputOption())
    .option('--check', 'exit with 1 when anything is degraded')
    .option('--wait <seconds>', 'wait until an agent answers and everything works, at most so long', parseSeconds)
    .addHelpText(
      'after',
      examples(
        ['sluice status', 'one screen'],
        ['sluice status --wait 30', 'after a start: go on as soon as everything works'],
        ["sluice status -o json | jq '.degraded'", 'for other tools'],
      ),
    )
    .action(run)
}

async function run(options: StatusOptions, command: Command): Promise<void> {
  const status = await (options.wait === undefined ? fetchStatus(agentOf(command)) : waitUntilOk(command, options.wait))
  print(status, options.output, () => formatStatus(status, Date.now()))
  if (!status.ok && (options.check || options.wait !== undefined)) process.exitCode = EXIT.failed
}

function fetchStatus(agent: AgentClient): Promise<Status> {
  return agent.get<Status>('/v1/status')
}

/** The last status when the time is over; throws when by then no agent answered. */
async function waitUntilOk(command: Command, seconds: number): Promise<Status> {
  const deadline = performance.now() + seconds * 1000
  for (;;) {
    const isLast = performance.now() >= deadline
    const status = await currentStatus(command).catch((error: unknown) => {
      if (isLast || !(error instanceof CliError) || error.exitStatus !== EXIT.noAgent) throw error
      return undefined
    })
    if (status !== undefined && (status.ok || isLast)) return status
    await sleep(200)
  }
}

/** The socket is looked for each time: the agent may be about to make it. */
async function currentStatus(command: Command): Promise<Status> {
  return fetchStatus(agentOf(command))
}

export function formatStatus(status: Status, nowMs: number): string {
  const parts = Object.entries(status.parts).map(([part, { state, summary }]) => [part, state, summary])
  return [
    formatHead(status, nowMs),
    formatTable(['PART', 'STATE', 'SUMMARY'], parts),
    ...(status.degraded.length > 0 ? [formatDegraded(status.degraded)] : []),
  ].join('\n\n')
}

function formatHead({ name, version, pid, kernel, startedAt, options, ...status }: Status, nowMs: number): string {
  return formatDetails([
    ['Node', name],
    ['State', overall(status)],
    ['Agent', `sluice ${version}, pid ${pid}, up ${formatDuration(nowMs - Date.parse(startedAt))}`],
    ['Kernel', kernel],
    ['Uplink', options.uplink ?? ''],
    ['Workloads', options.workloadRanges.join(', ')],
    ['Manifests', options.manifests.join(', ')],
    ['Socket', options.socket],
  ])
}

function overall({ ok, degraded }: Pick<Status, 'ok' | 'degraded'>): string {
  if (ok) return 'everything works'
  return degraded.length === 0 ? 'starting' : `degraded: ${namesOf(degraded)}`
}

/** One fault may keep several parts from working; it is told once. */
function formatDegraded(degraded: readonly Degradation[]): string {
  const faults = Map.groupBy(degraded, ({ why, hint }) => `    why: ${indent(why)}\n    do:  ${indent(hint)}`)
  const blocks = [...faults].map(([fault, items]) => `  ${namesOf(items)}\n${fault}`)
  return `Degraded:\n${blocks.join('\n')}`
}

function namesOf(degraded: readonly Degradation[]): string {
  return [...new Set(degraded.map(({ what }) => what))].join(', ')
}

/** Further lines go on under the first. */
function indent(text: string): string {
  return text.replaceAll('\n', `\n${' '.repeat(9)}`)
}

function parseSeconds(text: string): number {
  const seconds = Number(text)
  if (text.trim() === '' || !(seconds >= 0 && seconds <= 86_400)) throw new InvalidArgumentError('Give seconds, from 0 to 86400.')
  return seconds
}
