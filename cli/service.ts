// `sluice service`: frontends of Services and LoadBalancers.
import type { Command } from 'commander'
import type { Service } from '../agent/api/index.ts'
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

export function frontend({ address, port, protocol }: Service): string {
  return `${withPort(address, port)}/${protocol}`
}

export function fullName({ namespace, name }: Service): string {
  return `${namespace}/${name}`
}

export function state(service: Service): string {
  return service.reason === undefined ? service.state : `${service.state}: ${service.reason}`
}

export function withPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
