// `sluice endpoint`: the workloads with an interface on this node.
import type { Command } from 'commander'
import type { Endpoint } from '../agent/api/index.ts'
import { agentOf, examples, group } from './command.ts'
import { CliError } from './errors.ts'
import { shortLabels } from './labels.ts'
import { formatDetails, formatTable, outputOption, print } from './output.ts'
import type { OutputFormat } from './output.ts'

interface Options {
  readonly output: OutputFormat
}

export function register(program: Command): void {
  const endpoint = group(program, 'endpoint', 'workloads of this node: addresses, labels, identity')
  endpoint
    .command('list')
    .description('every workload with an interface on this node')
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        ['sluice endpoint list', 'a table'],
        ["sluice endpoint list -o json | jq -r '.[] | select(.state != \"ready\").name'", 'which are not ready'],
      ),
    )
    .action(list)
  endpoint
    .command('get')
    .description('one workload with all its labels')
    .argument('<endpoint>', 'namespace/name, number, interface or address')
    .addOption(outputOption())
    .addHelpText('after', examples(['sluice endpoint get demo/web-1', 'by name'], ['sluice endpoint get 10.77.1.11', 'by address']))
    .action(get)
}

async function list({ output }: Options, command: Command): Promise<void> {
  const endpoints = await agentOf(command).list<Endpoint>('/v1/endpoints')
  print(endpoints, output, () => formatTable(HEADER, endpoints.map(row)))
}

const HEADER = ['ID', 'NAME', 'NETNS', 'INTERFACE', 'ADDRESSES', 'IDENTITY', 'STATE', 'LABELS']

function row(endpoint: Endpoint): string[] {
  const { id, name, netns = '-', identity, state, addresses, labels } = endpoint
  return [String(id), name, netns, endpoint.interface, addresses.join('\n'), String(identity), state, shortLabels(labels)]
}

async function get(wanted: string, { output }: Options, command: Command): Promise<void> {
  const agent = agentOf(command)
  const endpoints = await agent.list<Endpoint>('/v1/endpoints')
  const endpoint = endpoints.find((candidate) => namesOf(candidate).includes(wanted))
  if (endpoint === undefined) throw notFound(wanted, endpoints)
  print(endpoint, output, () => details(endpoint))
}

function namesOf(endpoint: Endpoint): readonly string[] {
  return [endpoint.name, String(endpoint.id), endpoint.interface, ...endpoint.addresses]
}

function notFound(wanted: string, endpoints: readonly Endpoint[]): CliError {
  const known = endpoints.map(({ name }) => name).join(', ') || 'none'
  return new CliError(`no endpoint "${wanted}" on this node: give a name (${known}), number, interface or address`)
}

function details(endpoint: Endpoint): string {
  return formatDetails([
    ['Name', endpoint.name],
    ['Number', String(endpoint.id)],
    ['State', endpoint.state],
    ['Reason', endpoint.reason ?? ''],
    ['Identity', String(endpoint.identity)],
    ['Labels', endpoint.labels.join('\n')],
    ['Addresses', endpoint.addresses.join('\n')],
    ['Netns', endpoint.netns ?? ''],
    ['Interface', `${endpoint.interface} (ifindex ${endpoint.ifindex})`],
    ['MAC', endpoint.mac ?? ''],
  ])
}
