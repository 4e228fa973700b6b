// `sluice policy diff`: which connections a change of policies would change, before anybody applies it.
import type { Command } from 'commander'
import type { Cluster } from '../../manifests/index.ts'
import {
  compare, compareFlows, describePortRanges, entityStandIns, formatPortRanges, membersOf, nameOf, outsideRegions, RecordedEnds,
  Simulation, type Change, type ChangedFlows, type Comparison, type FlowComparison, type EntityStandIn, type FlowRecord,
  type HostPolicyMode,
} from '../../whatif/index.ts'
import { examples } from '../command.ts'
import { CliError, EXIT } from '../errors.ts'
import { formatTable, outputOption, print, type OutputFormat } from '../output.ts'
import { flowsOption, readFlowRecord } from './flow-record.ts'
import { fileOption, daemonOptions, readCluster, type DaemonOptions } from './inputs.ts'

interface Options extends DaemonOptions {
  readonly filename?: readonly string[]
  readonly flows?: string
  readonly output: OutputFormat
}

interface DiffResult {
  readonly changes: readonly (Omit<Change, 'ports'> & { readonly ports: readonly string[] })[]
  readonly pairs: Comparison['pairs']
  /** Of one version only, and therefore not compared. */
  readonly workloads: { readonly added: readonly string[]; readonly removed: readonly string[] }
  readonly flows?: FlowComparison & { readonly read: number; readonly replies: number }
}

const SUMMARY = 'which connections a change of policies would change: no root, no agent'

const DESCRIPTION = `${SUMMARY}

OLD and NEW are files or folders of manifests; what both need, such as the workloads, may stand in files of its own (-f).
Every pair of workloads, nodes, entities and regions of the world outside is compared, on every protocol and port. The
status is 1 if any connection, or any recorded flow, is decided differently.`

export function register(policy: Command): void {
  const command = policy
    .command('diff')
    .summary(SUMMARY)
    .description(DESCRIPTION)
    .argument('<old>', 'file or folder of manifests')
    .argument('<new>', 'file or folder of manifests')
    .addOption(fileOption())
    .addOption(flowsOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        ['sluice policy diff main/ branch/', 'folders with policies and workloads'],
        ['sluice policy diff old.yaml new.yaml -f workloads/', 'policies alone; both versions have these workloads'],
        ['sluice policy diff old.yaml new.yaml --flows yesterday.jsonl', 'which recorded connections would change'],
      ),
    )
    .action(run)
  for (const option of daemonOptions()) command.addOption(option)
}

async function run(oldPath: string, newPath: string, options: Options): Promise<void> {
  const { filename = [], flows, output, hostPolicy } = options
  const record = flows === undefined ? undefined : await readFlowRecord(flows)
  const before = await readCluster([oldPath, ...filename], options)
  const after = await readCluster([newPath, ...filename], options)
  const { changes, ...rest } = await diff(before, after, record, hostPolicy)
  const inWords = changes.map(({ ports, ...change }) => ({ ...change, ports: formatPortRanges(ports) }))
  const result: DiffResult = { changes: inWords, ...rest }
  print(result, output, () => [describeChanges(changes), ...describeRest(result)].join('\n\n'))
  if (differs(result)) process.exitCode = EXIT.failed
}

function differs({ changes, flows }: DiffResult): boolean {
  return changes.length > 0 || (flows !== undefined && flows.newlyDropped.length + flows.newlyAllowed.length > 0)
}

type Found = Comparison & Omit<DiffResult, 'changes'>

async function diff(before: Cluster, after: Cluster, record: FlowRecord | undefined, hostPolicy: HostPolicyMode): Promise<Found> {
  const connections = record?.connections ?? []
  const entities = entityStandIns(after)
  const version = (cluster: Cluster) => versionOf(cluster, connections, entities, hostPolicy)
  const [was, is] = [await version(before), await version(after)]
  const [oldNames, newNames] = [namesOf(was), namesOf(is)]
  if (oldNames.size + newNames.size === 0) {
    throw new CliError('there are no workloads to compare: give their manifests with -f, or recorded flows with --flows')
  }
  const regions = outsideRegions([was.ends.cluster, is.ends.cluster])
  const members = membersOf(is.ends.cluster, entities, regions).filter(({ kind, name }) => kind !== 'workload' || oldNames.has(name))
  return {
    ...compare(was.simulation, is.simulation, members),
    workloads: { added: [...newNames.difference(oldNames)], removed: [...oldNames.difference(newNames)] },
    ...(record && { flows: { read: record.flows, replies: record.replies, ...compareFlows(was, is, connections) } }),
  }
}

interface Version {
  readonly simulation: Simulation
  readonly ends: RecordedEnds
}

async function versionOf(
  cluster: Cluster, connections: FlowRecord['connections'], entities: readonly EntityStandIn[], hostPolicy: HostPolicyMode,
): Promise<Version> {
  const ends = new RecordedEnds(cluster, connections)
  return { ends, simulation: await Simulation.of(ends.cluster, [...entities, ...ends.standIns], hostPolicy) }
}

const namesOf = ({ ends }: Version): ReadonlySet<string> => new Set(ends.cluster.workloads.map(nameOf))

function describeChanges(changes: readonly Change[]): string {
  const rows = changes.map((change) => [
    brief(change.from), brief(change.to), portsOf(change), change.old, change.new, `${change.pairs}`,
    because(change),
  ])
  return rows.length === 0 ? 'no connection changes' : formatTable(['FROM', 'TO', 'PORTS', 'OLD', 'NEW', 'PAIRS', 'BECAUSE'], rows)
}

function because({ newRules, oldRules }: Pick<Change, 'newRules' | 'oldRules'>): string {
  const gone = oldRules.map((rule) => `no longer ${rule}`)
  return [newRules, gone, ['no policy selects either end']].find((reasons) => reasons.length > 0)?.join('\n') ?? ''
}

function portsOf({ ports, families }: Change): string {
  const text = describePortRanges(ports)
  return families.length === 1 ? `${text} (${families[0]})` : text
}

const SHOWN = 3

/** JSON and YAML have all of them. */
function brief(names: readonly string[]): string {
  const more = names.length > SHOWN ? [`and ${names.length - SHOWN} more`] : []
  return [...names.slice(0, SHOWN), ...more].join('\n')
}

function describeRest({ pairs, workloads, flows }: DiffResult): readonly string[] {
  const only = (names: readonly string[], where: string) => {
    const some = brief(names).replaceAll('\n', ', ')
    return names.length === 0 ? [] : [`${names.length} workloads of ${where} alone are not compared: ${some}`]
  }
  return [
    `${pairs.changed} of ${pairs.compared} pairs change`,
    ...only(workloads.removed, 'OLD'),
    ...only(workloads.added, 'NEW'),
    ...(flows === undefined ? [] : describeFlows(flows)),
  ]
}

function describeFlows(flows: NonNullable<DiffResult['flows']>): readonly string[] {
  const { read, replies, newlyDropped, newlyAllowed, unchanged, unlikeOld } = flows
  const table = (title: string, changed: readonly ChangedFlows[]) => {
    const rows = changed.map((each) => [`${each.flows}`, each.from, each.to, each.port, because(each)])
    return changed.length === 0 ? [] : [`${title}:\n${formatTable(['FLOWS', 'FROM', 'TO', 'PORT', 'BECAUSE'], rows)}`]
  }
  const count = (changed: readonly ChangedFlows[]) => changed.reduce((sum, each) => sum + each.flows, 0)
  const changes = `${count(newlyDropped)} would be newly dropped, ${count(newlyAllowed)} newly allowed`
  return [
    ...table('recorded and newly dropped', newlyDropped),
    ...table('recorded and newly allowed', newlyAllowed),
    `of ${read} recorded flows ${changes}; ${unchanged} are decided alike, ${replies} are replies`,
    ...(unlikeOld === 0 ? [] : [`${unlikeOld} flows were not recorded as OLD decides them: something else was enforced then`]),
  ]
}
