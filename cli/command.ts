// What the commands of this folder share: groups, examples in help, and the way to the agent.
import type { Command } from 'commander'
import { AgentClient } from './client.ts'
import { findSocket } from './socket.ts'

/** The subcommand group `name`, made by whoever asks first, so that several files can add to it. */
export function group(program: Command, name: string, description: string): Command {
  return program.commands.find((command) => command.name() === name) ?? program.command(name).description(description)
}

/** Text for `addHelpText('after', ...)`: what to type, and what it is good for. */
export function examples(...lines: readonly (readonly [command: string, purpose: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length))
  return `\nExamples:\n${lines.map(([command, purpose]) => `  ${command.padEnd(width)}   ${purpose}`).join('\n')}`
}

/** Socket named by --socket or SLUICE_SOCKET, if any. */
function namedSocket(command: Command): string | undefined {
  return command.optsWithGlobals<{ socket?: string }>().socket
}

/** The agent that this command line means. Throws CliError when none can be told. */
export function agentOf(command: Command): AgentClient {
  return new AgentClient({ socket: findSocket(namedSocket(command)) })
}
