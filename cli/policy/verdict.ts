// `sluice policy verdict`: one connection, from manifests alone.
import type { Command } from 'commander'
import type { ExplainedSide } from '../../agent/api/index.ts'
import { formatRule, type Probe } from '../../manifests/index.ts'
import { Simulation, type Outcome, type Side } from '../../whatif/index.ts'
import { examples } from '../command.ts'
import { formatTable, outputOption, print, type OutputFormat } from '../output.ts'
import { fileOption, daemonOptions, parseEnd, portOption, readCluster, refuseImpossible, refuseVip, type DaemonOptions } from './inputs.ts'

export interface ConnectionOptions extends DaemonOptions {
  readonly filename: readonly string[]
  readonly from: string
  readonly to: string
  readonly port: Probe
  readonly output: OutputFormat
}

export interface VerdictResult {
  readonly verdict: ExplainedSide['verdict']
  readonly egress: ExplainedSide
  readonly ingress: ExplainedSide
}

export function register(policy: Command): void {
  const command = policy
    .command('verdict')
    .description('whether one connection is allowed, from manifests alone: no root, no agent')
    .addOption(fileOption().makeOptionMandatory())
    .requiredOption('--from <end>', 'namespace/name of a Pod or Workload, an address, or host')
    .requiredOption('--to <end>', 'namespace/name of a Pod or Workload, an address, or host')
    .addOption(portOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        ['sluice policy verdict -f policies/ --from demo/client --to demo/web --port 80/TCP', 'between two workloads'],
        ['sluice policy verdict -f policies/ --from demo/web --to 203.0.113.9 --port 443/TCP', 'to an address outside'],
      ),
    )
    .action(run)
  for (const option of daemonOptions()) command.addOption(option)
}

async function run(options: ConnectionOptions): Promise<void> {
  const outcome = await decide(options)
  const result = verdictOf(outcome)
  print(result, options.output, () => table(result))
}

async function decide(options: ConnectionOptions): Promise<Outcome> {
  const { filename, from, to, port, hostPolicy } = options
  const cluster = await readCluster(filename, options)
  const ends = [parseEnd(cluster, from), parseEnd(cluster, to)] as const
  refuseVip(cluster, ends[1], port)
  for (const end of ends) refuseImpossible(end, port)
  return (await Simulation.of(cluster, [], hostPolicy)).decide(...ends, port)
}

export function verdictOf({ decision, egress, ingress }: Outcome): VerdictResult {
  return { verdict: decision, egress: sideOf(egress), ingress: sideOf(ingress) }
}

export function sideOf({ decision, rule, reference, reason, entries }: Side): ExplainedSide {
  const compared = entries === undefined ? {} : { entries }
  if (reference === undefined) return { verdict: decision, rule, reason, ...compared }
  const { action, description } = reference
  const described = description === undefined ? {} : { description }
  return { verdict: decision, rule, policy: formatRule(reference), action, ...described, reason, ...compared }
}

function table({ verdict, egress, ingress }: VerdictResult): string {
  const row = (name: string, { verdict: decision, policy = '-', reason }: ExplainedSide) => [name, decision, policy, reason]
  return `${verdict}\n\n${formatTable(['SIDE', 'VERDICT', 'RULE', 'REASON'], [row('egress', egress), row('ingress', ingress)])}`
}
