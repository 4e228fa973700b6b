// `sluice policy matrix`: every ordered pair of workloads, for each port asked for.
import type { Command } from 'commander'
import { examples } from '../command.ts'
import { formatTable, outputOption, print, type OutputFormat } from '../output.ts'
import { fileOption, nameOf, parseProbe, readCluster, type Probe } from './inputs.ts'
import { Simulation } from './simulation.ts'

interface Options {
  readonly filename: readonly string[]
  readonly port: readonly string[]
  readonly output: OutputFormat
}

/** Port as written -> source -> destination -> verdict. */
export interface Matrix {
  readonly [port: string]: { readonly [from: string]: { readonly [to: string]: 'allowed' | 'denied' } }
}

export function register(policy: Command): void {
  policy
    .command('matrix')
    .description('who reaches whom, from manifests alone: no root, no agent')
    .addOption(fileOption().makeOptionMandatory())
    .requiredOption('--port <port/protocol...>', 'ports to ask about, e.g. 80/TCP 53/UDP')
    .addOption(outputOption())
    .addHelpText('after', examples(['sluice policy matrix -f policies/ --port 80/TCP 53/UDP', 'a table for each port']))
    .action(run)
}

async function run({ filename, port, output }: Options): Promise<void> {
  const probes = port.map(parseProbe)
  const simulation = await Simulation.of(await readCluster(filename))
  const matrix = matrixOf(simulation, probes)
  print(matrix, output, () => Object.entries(matrix).map(([text, rows]) => table(text, rows)).join('\n\n'))
}

export function matrixOf(simulation: Simulation, probes: readonly Probe[]): Matrix {
  const { workloads } = simulation.cluster
  const perPort = (probe: Probe) =>
    workloads.map((from) => {
      const row = workloads.map((to) => {
        const { decision } = simulation.decide({ workload: from }, { workload: to }, probe)
        // What is only audited passes.
        return [nameOf(to), decision === 'denied' ? 'denied' : 'allowed'] as const
      })
      return [nameOf(from), Object.fromEntries(row)] as const
    })
  return Object.fromEntries(probes.map((probe) => [probe.text, Object.fromEntries(perPort(probe))]))
}

function table(port: string, rows: Matrix[string]): string {
  const names = Object.keys(rows)
  const lines = names.map((from) => [from, ...names.map((to) => (rows[from]?.[to] === 'allowed' ? 'yes' : '-'))])
  return formatTable([`${port} from \\ to`, ...names], lines)
}
