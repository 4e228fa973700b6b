// `sluice policy explain`: why a connection is allowed or denied; from manifests with -f, else from the agent.
import type { Command } from 'commander'
import type { ComparedEntry, ExplainedEnd, ExplainedSide, Explanation } from '../../agent/api/index.ts'
import type { Direction } from '../../engine/index.ts'
import type { Probe } from '../../manifests/index.ts'
import { missingProxies, nameOf, Simulation, trace, type End, type Facts, type Side, type TracedRule } from '../../whatif/index.ts'
import { agentOf, examples } from '../command.ts'
import { formatTable, outputOption, print } from '../output.ts'
import { fileOption, daemonOptions, parseEnd, portOption, readCluster, refuseImpossible, refuseVip, type DaemonOptions } from './inputs.ts'
import { sideOf, type ConnectionOptions } from './verdict.ts'

/** Manifests tell more than the agent's tables do. */
interface TracedSide extends ExplainedSide {
  readonly peerClass?: number
  readonly rules?: readonly TracedRule[]
}

interface TracedExplanation extends Explanation {
  readonly egress?: TracedSide
  readonly ingress?: TracedSide
}

type Options = Omit<ConnectionOptions, 'filename'> & Partial<Pick<ConnectionOptions, 'filename'>> & { readonly entries?: boolean }

export function register(policy: Command): void {
  const command = policy
    .command('explain')
    .description('why a connection is allowed or denied, and by which rule')
    .addOption(fileOption())
    .requiredOption('--from <end>', 'namespace/name of a workload, an address, or host')
    .requiredOption('--to <end>', 'namespace/name of a workload, an address, or host')
    .addOption(portOption())
    .option('--entries', 'show the rows of the policy map that were compared too; json and yaml always have them')
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        ['sluice policy explain --from demo/client --to demo/web --port 80/TCP', 'as the agent enforces it now'],
        ['sluice policy explain -f policies/ --from demo/client --to demo/web --port 80/TCP', 'as manifests say, rule by rule'],
        ['sluice policy explain --entries --from demo/client --to demo/web --port 80/TCP', 'with the rows that were compared'],
      ),
    )
    .action(run)
  for (const option of daemonOptions()) command.addOption(option)
}

async function run(options: Options, command: Command): Promise<void> {
  const { filename, from, to, port, output, entries = false } = options
  const explanation =
    filename === undefined
      ? await agentOf(command).get<TracedExplanation>('/v1/explain', { from, to, port: port.text })
      : await explain(filename, from, to, port, options)
  print(explanation, output, () => describe(explanation, entries))
}

async function explain(filename: readonly string[], from: string, to: string, probe: Probe, options: DaemonOptions): Promise<TracedExplanation> {
  const cluster = await readCluster(filename, options)
  const [source, destination] = [parseEnd(cluster, from), parseEnd(cluster, to)]
  refuseVip(cluster, destination, probe)
  for (const end of [source, destination]) refuseImpossible(end, probe)
  const simulation = await Simulation.of(cluster, [], options.hostPolicy)
  const outcome = simulation.explain(source, destination, probe)
  const ends = { from: simulation.facts(source, outcome.from), to: simulation.facts(destination, outcome.to) }
  const side = (direction: Direction, decided: Side): TracedSide => {
    const [own, address, peer] = direction === 'egress' ? [source, outcome.from, ends.to] : [destination, outcome.to, ends.from]
    const subject = simulation.subjectFacts(own, address)
    const rules = simulation.isSubject(own) ? trace(cluster, direction, subject, peer, probe) : []
    const lacking = decided.decision === 'allowed' ? [] : missingProxies(cluster, direction, subject, peer, probe)
    return { ...sideOf(decided), ...(lacking.length > 0 && { lacking }), peerClass: decided.peerClass, rules }
  }
  return {
    from: endOf(simulation, source, ends.from),
    to: endOf(simulation, destination, ends.to),
    port: probe.text,
    verdict: outcome.decision,
    egress: side('egress', outcome.egress),
    ingress: side('ingress', outcome.ingress),
  }
}

function endOf(simulation: Simulation, end: End, { address, labels }: Facts): ExplainedEnd {
  const identity = simulation.identityOf(end, address)
  const { workload } = end
  return { address, ...(workload && { workload: nameOf(workload) }), identity, labels }
}

function describe({ from, to, port, verdict, egress, ingress }: TracedExplanation, withEntries: boolean): string {
  const ends = formatTable(['', 'WORKLOAD', 'ADDRESS', 'LABELS'], [endRow('from', from), endRow('to', to)])
  const sides = [
    ...(egress ? [describeSide('egress', from, egress, withEntries)] : []),
    ...(ingress ? [describeSide('ingress', to, ingress, withEntries)] : []),
  ]
  return [`${port}: ${verdict}`, ends, ...sides].join('\n\n')
}

function endRow(role: string, { workload = '-', address, labels }: ExplainedEnd): string[] {
  // Labels of the namespace would hide the workload's own.
  return [role, workload, address, labels.filter((label) => !label.startsWith('k8s:io.cilium.k8s.')).join(' ')]
}

function describeSide(direction: Direction, end: ExplainedEnd, side: TracedSide, withEntries: boolean): string {
  const title = `${direction} of ${end.workload ?? end.address}: ${side.verdict}`
  const lines = [title, `  ${side.reason}`, ...(side.description === undefined ? [] : [`  "${side.description}"`]), ...(side.lacking ?? []).map((line) => `  ${line}`)]
  const tables = [ruleTable(direction, side.rules ?? []), ...(withEntries ? [entryTable(side.entries ?? [])] : [])]
  return [...lines, ...tables.filter((table) => table !== '').flatMap((table) => ['', indent(table)])].join('\n')
}

const indent = (text: string): string => text.split('\n').map((line) => `  ${line}`).join('\n')

function entryTable(entries: readonly ComparedEntry[]): string {
  if (entries.length === 0) return ''
  const rows = entries.map(({ peers, ports, tier, precedence, verdict, policy = '-', decides }) =>
    [decides ? 'decides' : '', peers, ports, tier, `0x${precedence.toString(16)}`, verdict, policy])
  return formatTable(['', 'ROW FOR', 'PORTS', 'TIER', 'PRECEDENCE', 'VERDICT', 'RULE'], rows)
}

function ruleTable(direction: Direction, rules: readonly TracedRule[]): string {
  if (rules.length === 0) return ''
  const peer = direction === 'egress' ? 'TO' : 'FROM'
  const rows = rules.map(({ rule, action, peerMatches, portMatches }) => [rule, action, mark(peerMatches), mark(portMatches)])
  return formatTable(['RULE', 'ACTION', `${peer} MATCHES`, 'PORT MATCHES'], rows)
}

const mark = (matches: boolean): string => (matches ? 'yes' : 'no')
