// Which agent to talk to: --socket, SLUICE_SOCKET, else the only one of this machine.
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { CliError, EXIT } from './errors.ts'

export const RUN_DIRECTORY = '/run/sluice'

/** Path of the agent's socket. `named`: from --socket or SLUICE_SOCKET. Throws CliError when it cannot be told. */
export function findSocket(named: string | undefined, runDirectory = RUN_DIRECTORY): string {
  if (named !== undefined && named !== '') return named
  const found = globSync(join(runDirectory, '*', 'sluice.sock')).sort()
  const [only, ...others] = found
  if (only === undefined) throw noAgent(runDirectory)
  if (others.length > 0) throw severalAgents(found)
  return only
}

function noAgent(runDirectory: string): CliError {
  return new CliError(
    `no agent runs on this machine: there is no socket ${runDirectory}/*/sluice.sock\n` +
      '  start the demo with `npm start`, or an agent with `sluiced`; --socket or SLUICE_SOCKET names a socket elsewhere',
    { exitStatus: EXIT.noAgent },
  )
}

function severalAgents(found: readonly string[]): CliError {
  const choices = found.map((path) => `  --socket ${path}`).join('\n')
  return new CliError(`${found.length} agents run on this machine: say which, by option or as SLUICE_SOCKET\n${choices}`, {
    exitStatus: EXIT.usage,
  })
}
