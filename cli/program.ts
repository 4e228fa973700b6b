// The tree of commands: every file registers its own. Nothing runs until somebody parses with it.
import { Command, Option } from 'commander'
import * as bpf from './bpf.ts'
import { examples } from './command.ts'
import * as completion from './completion.ts'
import * as endpoint from './endpoint.ts'
import * as identity from './identity.ts'
import * as lb from './lb/index.ts'
import * as metrics from './metrics.ts'
import * as monitor from './monitor.ts'
import * as observe from './observe.ts'
import * as policies from './policies.ts'
import * as policy from './policy/index.ts'
import * as prefilter from './prefilter.ts'
import * as service from './service.ts'
import { RUN_DIRECTORY } from './socket.ts'
import * as status from './status.ts'
import * as version from './version.ts'
import { clientVersion } from './version.ts'

const COMMANDS = [status, endpoint, identity, policies, policy, service, lb, prefilter, bpf, observe, monitor, metrics, version, completion]

export function buildProgram(): Command {
  const program = new Command('sluice')
    .description('Identity-aware networking for any Linux node')
    .version(clientVersion(), '-V, --version', 'print the version of this command')
    .addOption(socketOption())
    .addOption(new Option('-o, --output <format>').hideHelp())
    .hook('preAction', passOutput)
    .showHelpAfterError('(add --help for the options)')
    .configureHelp({ showGlobalOptions: true })
    // Thrown, not exited: cli/index.ts gives wrong usage its own exit status. Commands below inherit this.
    .exitOverride()
    .addHelpText('after', ROOT_EXAMPLES)
  for (const command of COMMANDS) command.register(program)
  return program
}

function socketOption(): Option {
  const description = `socket of the agent (default: the only ${RUN_DIRECTORY}/*/sluice.sock)`
  return new Option('--socket <path>', description).env('SLUICE_SOCKET')
}

/**
 * Commander takes an option of the root wherever it stands, so that `-o json` may come before the command too; which
 * formats there are is the command's own matter.
 */
function passOutput(program: Command, command: Command): void {
  const { output } = program.opts<{ output?: string }>()
  if (output === undefined) return
  const option = command.options.find((candidate) => candidate.attributeName() === 'output')
  if (option === undefined) return command.error(`error: unknown option '-o'`, { code: 'commander.unknownOption' })
  const { flags, argChoices: choices = [] } = option
  if (choices.includes(output)) return void command.setOptionValueWithSource('output', output, 'cli')
  const allowed = `Allowed choices are ${choices.join(', ')}.`
  command.error(`error: option '${flags}' argument '${output}' is invalid. ${allowed}`, { code: 'commander.invalidArgument' })
}

const ROOT_EXAMPLES = examples(
  ['sluice status', 'what works, what does not, what to do'],
  ['sluice observe --verdict dropped --follow', 'watch what is being dropped, and by which rule'],
  ['sluice policy explain --from demo/client --to demo/web --port 80/TCP', 'why it is allowed or denied'],
  ['sluice policy apply -f examples/demo', 'enforce the policies of a folder'],
)
