// Shell completion. The shells' scripts are three lines of glue around the hidden command `complete`, which walks
// the tree of commands: what a new command brings completes without another list of words.
import { Argument } from 'commander'
import type { Command, Option } from 'commander'
import type { Address, Endpoint, Identity, PolicyItem } from '../agent/api/index.ts'
import { loadFiles } from '../manifests/files/index.ts'
import { compile } from '../manifests/index.ts'
import { agentOf, examples } from './command.ts'
import type { AgentClient } from './client.ts'
import { CliError } from './errors.ts'

const SCRIPTS = {
  bash: `_sluice() {
  local IFS=$'\\n'
  COMPREPLY=($("\${COMP_WORDS[0]}" complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  [ \${#COMPREPLY[@]} -gt 0 ] || compopt -o default
}
# The shell would split words at a colon, which labels and addresses hold.
COMP_WORDBREAKS=\${COMP_WORDBREAKS//:}
complete -F _sluice sluice`,
  zsh: `#compdef sluice
_sluice() {
  local -a candidates
  candidates=("\${(@f)$(sluice complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "\${candidates[1]}" ]]; then compadd -a candidates; else _files; fi
}
# Loaded from fpath, this file is the function itself when it is first called.
if [[ "\${funcstack[1]}" == _sluice ]]; then _sluice "$@"; else compdef _sluice sluice; fi`,
  fish: `complete -c sluice -e
complete -c sluice -f -a '(sluice complete -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
complete -c sluice -s f -l filename -rF`,
} as const

export function register(program: Command): void {
  program
    .command('completion')
    .description('print the completion script of a shell')
    .addArgument(new Argument('<shell>').choices(Object.keys(SCRIPTS)))
    .addHelpText(
      'after',
      examples(
        ['source <(sluice completion bash)', 'in ~/.bashrc'],
        ['sluice completion zsh > "${fpath[1]}/_sluice"', 'once'],
        ['sluice completion fish > ~/.config/fish/completions/sluice.fish', 'once'],
      ),
    )
    .action((shell: keyof typeof SCRIPTS) => void process.stdout.write(`${SCRIPTS[shell]}\n`))
  program
    .command('complete', { hidden: true })
    .argument('[words...]', 'the words after `sluice`, the last being typed')
    .action(async (words: readonly string[], _options: unknown, command: Command) => {
      const found = await candidates(program, words, () => agentOf(command))
      process.stdout.write(found.map((word) => `${word}\n`).join(''))
    })
}

/** What the last of `words` may become. `agent` is asked only where names of its tables are wanted. */
export async function candidates(program: Command, words: readonly string[], agent: () => AgentClient): Promise<readonly string[]> {
  const typed = words.at(-1) ?? ''
  const before = words.slice(0, -1)
  const { command, pending } = walk(program, before)
  const choices = pending === undefined ? await wordsOf(command, typed, agent) : await valuesOf(pending, before, agent)
  return choices.filter((choice) => choice.startsWith(typed))
}

/** Follows whole words to the command that they name; `pending`: an option that waits for its value. */
function walk(program: Command, words: readonly string[]): { command: Command; pending?: Option } {
  let command = program
  let pending: Option | undefined
  for (const word of words) {
    if (pending !== undefined) pending = undefined
    else if (word.startsWith('-')) pending = waitingForValue(command, word)
    else command = subcommands(command).find((candidate) => candidate.name() === word) ?? command
  }
  return { command, ...(pending && { pending }) }
}

function waitingForValue(command: Command, word: string): Option | undefined {
  const option = optionsOf(command).find(({ long, short }) => word === long || word === short)
  return option?.required === true || option?.optional === true ? option : undefined
}

async function wordsOf(command: Command, typed: string, agent: () => AgentClient): Promise<readonly string[]> {
  if (typed.startsWith('-')) return optionsOf(command).flatMap((option) => option.long ?? [])
  if (command.commands.length > 0) return subcommands(command).map((candidate) => candidate.name())
  const choices = command.registeredArguments[0]?.argChoices
  return choices ?? (await names(pathOf(command), agent))
}

/** What an option may be given: its choices, or the names of workloads. `before`: the words before it. */
async function valuesOf(option: Option, before: readonly string[], agent: () => AgentClient): Promise<readonly string[]> {
  if (option.argChoices !== undefined) return option.argChoices
  if (option.long !== '--from' && option.long !== '--to') return []
  const paths = filesIn(before)
  return paths.length > 0 ? workloadsOfFiles(paths) : quietly(() => workloadNames(agent()))
}

/** Values of -f, which takes words up to the next option. */
function filesIn(words: readonly string[]): readonly string[] {
  let isFile = false
  return words.filter((word) => {
    if (!word.startsWith('-')) return isFile
    isFile = word === '-f' || word === '--filename'
    return false
  })
}

/** Documents without a fault have their names, whatever others have. */
async function workloadsOfFiles(paths: readonly string[]): Promise<readonly string[]> {
  const files = await loadFiles(paths)
  return compile(files.flatMap(({ documents }) => documents)).workloads.map(({ namespace, name }) => `${namespace}/${name}`)
}

async function workloadNames(agent: AgentClient): Promise<readonly string[]> {
  const addresses = await agent.list<Address>('/v1/addresses')
  return [...new Set(addresses.flatMap(({ workload }) => workload ?? []))]
}

function subcommands(command: Command): readonly Command[] {
  return command.createHelp().visibleCommands(command)
}

/** Its own, and those of the commands above it. */
function optionsOf(command: Command): readonly Option[] {
  const help = command.createHelp()
  return [...help.visibleOptions(command), ...help.visibleGlobalOptions(command)]
}

function pathOf(command: Command): string {
  return command.parent?.parent == null ? command.name() : `${command.parent.name()} ${command.name()}`
}

const NAMES: Readonly<Record<string, (agent: AgentClient) => Promise<readonly string[]>>> = {
  'endpoint get': async (agent) => (await agent.list<Endpoint>('/v1/endpoints')).map(({ name }) => name),
  'identity get': async (agent) => (await agent.list<Identity>('/v1/identities')).map(({ number }) => String(number)),
  'policy get': policyNames,
  'policy delete': policyNames,
}

async function policyNames(agent: AgentClient): Promise<readonly string[]> {
  const policies = await agent.list<PolicyItem>('/v1/policies')
  return policies.map(({ namespace, name }) => (namespace === '' ? name : `${namespace}/${name}`))
}

async function names(command: string, agent: () => AgentClient): Promise<readonly string[]> {
  return quietly(async () => (await NAMES[command]?.(agent())) ?? [])
}

/** Without an agent there are no names to offer; a half-typed line is no place for an error message. */
async function quietly(ask: () => Promise<readonly string[]>): Promise<readonly string[]> {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof CliError) return []
    throw error
  }
}
