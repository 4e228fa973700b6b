// `sluice policy matrix`: every ordered pair of workloads, for each port asked for.
import type { Command } from 'commander'
import type { Probe } from '../../manifests/index.ts'
import { HOST, nameOf, Simulation, type End } from '../../whatif/index.ts'
import { examples } from '../command.ts'
import { formatTable, outputOption, print, type OutputFormat } from '../output.ts'
import { fileOption, daemonOptions, portsOption, readCluster, refuseImpossible, type DaemonOptions } from './inputs.ts'

interface Options extends DaemonOptions {
  readonly filename: readonly string[]
  readonly port: readonly Probe[]
  readonly output: OutputFormat
}

/** Port as written -> source -> destination -> verdict. */
export interface Matrix {
  readonly [port: string]: { readonly [from: string]: { readonly [to: string]: 'allowed' | 'denied' } }
}

const SUMMARY = 'who reaches whom, from manifests alone: no root, no agent'

const FAMILIES = [
  "One verdict a pair, for one address of each: the destination's first whose family the source has too, and the first",
  'of each where they share none. Labels decide alike for both families; a policy by CIDR may not, and then',
  '`sluice policy verdict` with addresses tells about the other. ICMP wants IPv4 addresses of all, and ICMPv6 IPv6 ones.',
  'What is only audited counts as allowed. Where policies select nodes, host is among the ends: a node without labels.',
].join(' ')

export function register(policy: Command): void {
  const command = policy
    .command('matrix')
    .summary(SUMMARY)
    .description(`${SUMMARY}\n\n${FAMILIES}`)
    .addOption(fileOption().makeOptionMandatory())
    .addOption(portsOption())
    .addOption(outputOption())
    .addHelpText('after', examples(['sluice policy matrix -f policies/ --port 80/TCP 53/UDP', 'a table for each port']))
    .action(run)
  for (const option of daemonOptions()) command.addOption(option)
}

async function run(options: Options): Promise<void> {
  const { filename, port, output, hostPolicy } = options
  const simulation = await Simulation.of(await readCluster(filename, options), [], hostPolicy)
  const matrix = matrixOf(simulation, port)
  // Not the matrix' own order: an object has numbers, such as 80, before all else.
  print(matrix, output, () => port.map(({ text }) => table(text, matrix[text] ?? {})).join('\n\n'))
}

export function matrixOf(simulation: Simulation, probes: readonly Probe[]): Matrix {
  const { workloads } = simulation.cluster
  for (const probe of probes) for (const workload of workloads) refuseImpossible({ workload }, probe)
  const ends = [...workloads.map((workload) => ({ name: nameOf(workload), end: { workload } })), ...hostEnds(simulation)]
  const perPort = (probe: Probe) =>
    ends.map((from) => {
      const row = ends.map((to) => {
        const { decision } = simulation.decide(from.end, to.end, probe)
        // What is only audited passes.
        return [to.name, decision === 'denied' ? 'denied' : 'allowed'] as const
      })
      return [from.name, Object.fromEntries(row)] as const
    })
  return Object.fromEntries(probes.map((probe) => [probe.text, Object.fromEntries(perPort(probe))]))
}

function hostEnds(simulation: Simulation): readonly { readonly name: string; readonly end: End }[] {
  const end = { standIn: HOST }
  return simulation.isSubject(end) ? [{ name: HOST.entity, end }] : []
}

function table(port: string, rows: Matrix[string]): string {
  const names = Object.keys(rows)
  const lines = names.map((from) => [from, ...names.map((to) => (rows[from]?.[to] === 'allowed' ? 'yes' : '-'))])
  return formatTable([`${port} from \\ to`, ...names], lines)
}
