// `sluice service` and `sluice lb`: frontends, and how their connections spread over the backends.
import type { Command } from 'commander'
import type { Service, ServiceBackend } from '../agent/api/index.ts'
import { agentOf, examples, group } from './command.ts'
import { formatTable, outputOption, print } from './output.ts'
import type { OutputFormat } from './output.ts'

interface Options {
  readonly output: OutputFormat
}

export function register(program: Command): void {
  group(program, 'service', 'services: frontends and their backends')
    .command('list')
    .description('every frontend, of Services and LoadBalancers')
    .addOption(outputOption())
    .addHelpText('after', examples(['sluice service list', 'a line a frontend']))
    .action(listServices)
  group(program, 'lb', 'the XDP load balancer')
    .command('list')
    .description('every LoadBalancer frontend and the share of each backend')
    .addOption(outputOption())
    .addHelpText('after', examples(['sluice lb list', 'a line a backend, with its share of new connections']))
    .action(listLoadBalancers)
}

async function listServices({ output }: Options, command: Command): Promise<void> {
  const services = await agentOf(command).list<Service>('/v1/services')
  const header = ['FRONTEND', 'NAME', 'KIND', 'FORWARDING', 'ALGORITHM', 'BACKENDS', 'STATE']
  print(services, output, () => formatTable(header, services.map(serviceRow)))
}

function serviceRow(service: Service): string[] {
  const { kind, forwarding, algorithm, backends } = service
  return [frontend(service), fullName(service), kind, forwarding, algorithm, String(backends.length), state(service)]
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

function frontend({ address, port, protocol }: Service): string {
  return `${withPort(address, port)}/${protocol}`
}

function fullName({ namespace, name }: Service): string {
  return `${namespace}/${name}`
}

function state(service: Service): string {
  return service.reason === undefined ? service.state : `${service.state}: ${service.reason}`
}

function withPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
