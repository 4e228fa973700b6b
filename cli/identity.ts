// `sluice identity`: the sets of labels that policy speaks of, and their numbers.
import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import type { Address, Identity } from '../agent/api/index.ts'
import { agentOf, examples, group } from './command.ts'
import { CliError } from './errors.ts'
import { shortLabels } from './labels.ts'
import { formatDetails, formatTable, outputOption, print } from './output.ts'
import type { OutputFormat } from './output.ts'

interface Options {
  readonly output: OutputFormat
}

export function register(program: Command): void {
  const identity = group(program, 'identity', 'sets of labels and their numbers')
  identity
    .command('list')
    .description('every identity that this node knows')
    .addOption(outputOption())
    .addHelpText('after', examples(['sluice identity list', 'a table']))
    .action(list)
  identity
    .command('get')
    .description('one identity with all its labels, and the addresses that carry it')
    .argument('<number>', 'as flows and endpoints show it', parseNumber)
    .addOption(outputOption())
    .addHelpText('after', examples(['sluice identity get 2', 'what is identity 2?']))
    .action(get)
}

async function list({ output }: Options, command: Command): Promise<void> {
  const identities = await agentOf(command).list<Identity>('/v1/identities')
  print(identities, output, () => formatTable(['NUMBER', 'ADDRESSES', 'LABELS'], identities.map(row)))
}

function row({ number, addresses, labels }: Identity): string[] {
  return [String(number), String(addresses), shortLabels(labels)]
}

async function get(number: number, { output }: Options, command: Command): Promise<void> {
  const agent = agentOf(command)
  const [identities, addresses] = await Promise.all([
    agent.list<Identity>('/v1/identities'),
    agent.list<Address>('/v1/addresses'),
  ])
  const identity = identities.find((candidate) => candidate.number === number)
  if (identity === undefined) {
    throw new CliError(`no identity ${number} on this node: \`sluice identity list\` shows those that it knows`)
  }
  const carriers = addresses.filter((address) => address.identity === number)
  print({ ...identity, carriers }, output, () => details(identity, carriers))
}

function details(identity: Identity, carriers: readonly Address[]): string {
  return formatDetails([
    ['Number', String(identity.number)],
    ['Reserved', identity.reserved ? 'yes' : 'no'],
    ['Labels', identity.labels.join('\n')],
    ['Addresses', carriers.map(({ prefix, workload }) => (workload === undefined ? prefix : `${prefix}  ${workload}`)).join('\n')],
  ])
}

function parseNumber(text: string): number {
  if (!/^\d{1,8}$/.test(text)) throw new InvalidArgumentError('Give a number, e.g. 256.')
  return Number(text)
}
