// The `sluice` command: every group of subcommands registers itself. Whatever fails says so on standard error and
// exits with 1; standard output holds results only.
import { Command } from 'commander'
import { fail } from './output.ts'
import * as policy from './policy/index.ts'

const program = new Command('sluice')
  .description('Identity-aware networking for any Linux node')
  .showHelpAfterError('(add --help for the options)')
  .configureHelp({ showGlobalOptions: true })

policy.register(program)

try {
  await program.parseAsync()
} catch (error) {
  fail(error)
}
