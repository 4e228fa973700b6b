import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'

export interface RunOptions {
  readonly signal?: AbortSignal | undefined
  readonly input?: string | undefined
  /** Give back a failure instead of throwing it. */
  readonly allowFailure?: boolean | undefined
}

export interface RunResult {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** A command of the lab failed: which, with what status, and what it said. */
export class CommandError extends Error {
  readonly code = 'COMMAND'
  readonly result: RunResult

  constructor(command: readonly string[], result: RunResult) {
    const said = (result.stderr || result.stdout).trim()
    super(`${command.join(' ')} ended with status ${result.status}: ${said || 'it said nothing'}`)
    this.result = result
  }
}

/** Runs a command to its end. Throws CommandError unless its status is 0, and the signal's reason when aborted. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  options.signal?.throwIfAborted()
  const [file = '', ...args] = command
  const child = spawn(file, args, { stdio: 'pipe', signal: options.signal })
  child.stdin.on('error', () => {}) // EPIPE: it ended without reading its input, which its status tells.
  child.stdin.end(options.input)
  const ended = new Promise<number>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => resolve(status ?? 128))
  })
  const [status, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)])
  const result = { status, stdout, stderr }
  if (status !== 0 && options.allowFailure !== true) throw new CommandError(command, result)
  return result
}

/** Runs lines of `ip` in one process, in a namespace or in ours; the first that fails ends it. */
export async function ip(lines: readonly string[], namespace?: string, signal?: AbortSignal): Promise<void> {
  const batch = ['ip', '-batch', '-']
  const command = namespace === undefined ? batch : inNamespace(namespace, batch)
  const input = `${lines.join('\n')}\n`
  const { status, stderr, stdout } = await run(command, { input, signal, allowFailure: true })
  if (status === 0) return
  const number = Number(/Command failed -:(\d+)/.exec(stderr)?.[1] ?? 1)
  const where = namespace === undefined ? [] : ['-n', namespace]
  throw new CommandError(['ip', ...where, lines[number - 1] ?? ''], { status, stdout, stderr })
}

/**
 * A command line that runs in a network namespace. `ip -n` and `ip netns exec` mount a new /sys, which hides bpffs and
 * the cgroups and which containers forbid; nsenter changes the network alone.
 */
export function inNamespace(namespace: string, command: readonly string[]): string[] {
  return ['nsenter', `--net=/run/netns/${namespace}`, '--', ...command]
}
