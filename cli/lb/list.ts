// `sluice lb list`: how connections spread over the backends.
import type { Command } from 'commander'
import type { Service, ServiceBackend } from '../../agent/api/index.ts'
import { agentOf, examples } from '../command.ts'
import { formatTable, outputOption, print, type OutputFormat } from '../output.ts'
import { frontend, fullName, state, withPort } from '../service.ts'

interface Options {
  readonly output: OutputFormat
}

export function register(lb: Command): void {
  lb
    .command('list')
    .description('every LoadBalancer frontend and the share of each backend')
    .addOption(outputOption())
    .addHelpText('after', examples(['sluice lb list', 'a line a backend, with its share of new connections']))
    .action(listLoadBalancers)
}

async function listLoadBalancers({ output }: Options, command: Command): Promise<void> {
  const services = await agentOf(command).list<Service>('/v1/services')
  const balancers = services.filter(({ kind }) => kind === 'LoadBalancer')
  const header = ['FRONTEND', 'NAME', 'BACKEND', 'ADDRESS', 'WEIGHT', 'BACKEND STATE', 'SLOTS', 'SHARE', 'STATE']
  print(balancers, output, () => formatTable(header, balancers.flatMap(balancerRows)))
}

function balancerRows(service: Service): string[][] {
  if (service.backends.length === 0) return [[frontend(service), fullName(service), '-', '-', '-', '-', '-', '-', state(service)]]
  return service.backends.map((backend, i) => [
    ...(i === 0 ? [frontend(service), fullName(service)] : ['', '']),
    ...backendCells(backend, service.tableSize),
    i === 0 ? state(service) : '',
  ])
}

function backendCells({ name, address, port, weight, state, slots }: ServiceBackend, tableSize: number): string[] {
  const share = tableSize === 0 ? '-' : `${((100 * slots) / tableSize).toFixed(1)}%`
  return [name, withPort(address, port), String(weight), state, String(slots), share]
}
