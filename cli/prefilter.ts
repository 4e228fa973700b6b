// `sluice prefilter`: senders that the uplink takes nothing from.
import type { Command } from 'commander'
import type { PrefilterItem } from '../agent/api/index.ts'
import { agentOf, examples, group } from './command.ts'
import { formatTable, outputOption, print, type OutputFormat } from './output.ts'

interface Options {
  readonly output: OutputFormat
}

export function register(program: Command): void {
  group(program, 'prefilter', 'senders that the uplink takes nothing from')
    .command('list')
    .description('every prefix of the Prefilters, and the exceptions')
    .addOption(outputOption())
    .addHelpText('after', examples(['sluice prefilter list', 'of the prefixes that cover an address the longest decides']))
    .action(listPrefilter)
}

async function listPrefilter({ output }: Options, command: Command): Promise<void> {
  const items = await agentOf(command).list<PrefilterItem>('/v1/prefilter')
  print(items, output, () => formatTable(['PREFIX', 'VERDICT', 'PREFILTER'], items.map(({ prefix, verdict, document }) => [prefix, verdict, document])))
}
