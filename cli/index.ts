// The `sluice` command. Whatever fails says so on standard error; standard output holds results only.
import { CommanderError } from 'commander'
import { EXIT, fail } from './errors.ts'
import { buildProgram } from './program.ts'

// `sluice observe --follow | head` ends when its reader does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(EXIT.ok)
})

try {
  await buildProgram().parseAsync()
} catch (error) {
  // Commander has printed its own message. Asking for help is no error, unless only help was left to print.
  if (!(error instanceof CommanderError)) fail(error)
  else process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage
}
