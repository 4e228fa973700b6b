// `sluice version`: of this command, and of the agent where one answers.
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import type { Status } from '../agent/api/index.ts'
import { agentOf, examples } from './command.ts'
import { CliError } from './errors.ts'
import { formatDetails, outputOption, print } from './output.ts'
import type { OutputFormat } from './output.ts'

interface Options {
  readonly output: OutputFormat
}

export function register(program: Command): void {
  program
    .command('version')
    .description('versions of this command, the agent and the kernel')
    .addOption(outputOption())
    .addHelpText('after', examples(['sluice version', 'also works where no agent runs']))
    .action(version)
}

async function version({ output }: Options, command: Command): Promise<void> {
  const agent = await agentVersion(command)
  print({ client: clientVersion(), ...agent }, output, () =>
    formatDetails([
      ['Command', clientVersion()],
      ['Agent', agent?.agent ?? 'none answers'],
      ['Kernel', agent?.kernel ?? ''],
    ]),
  )
}

/** Undefined where no agent answers: this command is asked then, too. */
async function agentVersion(command: Command): Promise<{ agent: string; kernel: string } | undefined> {
  try {
    const { version: agent, kernel } = await agentOf(command).get<Status>('/v1/status')
    return { agent, kernel }
  } catch (error) {
    if (error instanceof CliError) return undefined
    throw error
  }
}

export function clientVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
  return version
}
