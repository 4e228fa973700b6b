// Entry of the daemon: see ./sluiced --help.
import { Agent } from './agent.ts'
import { joinCgroup } from './cgroup.ts'
import { addressesOf, attachDecap, detachDecap, followAddresses } from './decap.ts'
import { AgentError } from './errors.ts'
import { SystemInterfaces } from './interfaces.ts'
import { codeOf, Logger, messageOf } from './log.ts'
import { type Command, type DecapOptions, parseCommand, type RunOptions } from './options.ts'
import { cleanup } from './pins.ts'

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
    case 'decap':
      return decap(parsed.options)
  }
}

async function decap(options: DecapOptions): Promise<void> {
  if (options.detach) return console.log(detachDecap(options) ? 'detached' : 'was not attached')
  const log = new Logger('info')
  const interfaces = new SystemInterfaces(log)
  const { interface: device, vips, sources, hook, fallback } = attachDecap(options, await addressesOf(options.interface, interfaces))
  console.log(`${device} receives for ${vips.join(', ')} from ${sources.join(', ')} by ${hook}${fallback === undefined ? '' : ` (${fallback})`}`)
  if (options.follow) await followAddresses(options, interfaces, log, stopSignal())
}

/** Aborts when the process is asked to end. */
function stopSignal(): AbortSignal {
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort())
  return stop.signal
}

async function run(options: RunOptions): Promise<void> {
  if (options.cgroup !== undefined) joinCgroup(options.cgroup)
  const log = new Logger(options.logLevel)
  const { promise: stopped, resolve, reject } = Promise.withResolvers<void>()
  stopSignal().addEventListener('abort', () => resolve())
  {
    await using agent = new Agent(options, log, reject)
    await agent.start()
    await stopped
    log.info('stopping', { datapath: options.cleanup ? 'removed' : 'left in place' })
  }
  if (options.cleanup) cleanup(options)
  process.exit(0)
}

/** A line for people; the stack of what nobody foresaw. */
function fail(error: unknown): never {
  const code = codeOf(error)
  const unforeseen = error instanceof Error && (code === undefined || code === 'INTERNAL')
  console.error(`sluiced: ${unforeseen ? error.stack : describe(error)}`)
  process.exit(code === 'BAD_OPTION' ? 2 : 1)
}

function describe(error: unknown): string {
  const hint = error instanceof AgentError && error.hint !== undefined ? `; ${error.hint}` : ''
  const cause = error instanceof Error && error.cause !== undefined ? ` (${messageOf(error.cause)})` : ''
  return `${messageOf(error)}${cause}${hint}`
}
