// Entry of the daemon: see ./sluiced --help.
import { Agent } from './agent.ts'
import { joinCgroup } from './cgroup.ts'
import { attachDecap, detachDecap } from './decap.ts'
import { AgentError } from './errors.ts'
import { SystemInterfaces } from './interfaces.ts'
import { codeOf, Logger, messageOf } from './log.ts'
import { type Command, parseCommand, type RunOptions } from './options.ts'
import { cleanup, removePinned } from './pins.ts'

try {
  await execute(parseCommand(process.argv.slice(2), process.env))
} catch (error) {
  fail(error)
}

async function execute(parsed: Command): Promise<void> {
  switch (parsed.command) {
    case 'run':
      return run(parsed.options)
    case 'cleanup': {
      const { links, maps } = cleanup(parsed.options)
      console.log(`removed ${links} links and ${maps} maps of ${parsed.options.bpffs}`)
      return
    }
    case 'decap': {
      if (parsed.options.detach) return console.log(detachDecap(parsed.options) ? 'detached' : 'was not attached')
      const links = await new SystemInterfaces(new Logger('info')).list()
      const own = links.find(({ name }) => name === parsed.options.interface)?.addresses ?? []
      const { interface: device, vips, sources, fallback } = attachDecap(parsed.options, own)
      console.log(`${device} receives for ${vips.join(', ')} from ${sources.join(', ')}${fallback === undefined ? '' : ` (${fallback})`}`)
    }
  }
}

async function run(options: RunOptions): Promise<void> {
  if (options.cgroup !== undefined) joinCgroup(options.cgroup)
  const log = new Logger(options.logLevel)
  const { promise: stopped, resolve: stop, reject } = Promise.withResolvers<void>()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop())
  {
    await using agent = new Agent(options, log, reject)
    await agent.start()
    await stopped
    log.info('stopping', { datapath: options.cleanup ? 'removed' : 'left in place' })
  }
  if (options.cleanup) removePinned(options.bpffs)
  process.exit(0)
}

/** A line for people; the whole error at log level debug. */
function fail(error: unknown): never {
  const hint = error instanceof AgentError && error.hint !== undefined ? `; ${error.hint}` : ''
  const cause = error instanceof Error && error.cause !== undefined ? ` (${messageOf(error.cause)})` : ''
  console.error(`sluiced: ${messageOf(error)}${cause}${hint}`)
  if (codeOf(error) === undefined && error instanceof Error) console.error(error.stack)
  process.exit(codeOf(error) === 'BAD_OPTION' ? 2 : 1)
}
