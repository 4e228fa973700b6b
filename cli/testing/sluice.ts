// Runs the real command as its users do: a process of its own, with arguments, environment and standard streams.
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

export interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly socket?: string
  readonly input?: string
  readonly cwd?: string
}

const ENTRY = fileURLToPath(new URL('../index.ts', import.meta.url))

export function startSluice(args: readonly string[], { socket, cwd }: RunOptions = {}) {
  const { SLUICE_SOCKET: _, ...environment } = process.env
  const env = { ...environment, NO_COLOR: '1', ...(socket !== undefined && { SLUICE_SOCKET: socket }) }
  return spawn(process.execPath, [ENTRY, ...args], { env, ...(cwd !== undefined && { cwd }) })
}

export async function runSluice(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const child = startSluice(args, options)
  child.stdin.end(options.input ?? '')
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const [stdout, stderr, status] = await Promise.all([text(child.stdout), text(child.stderr), exited])
  return { status, stdout, stderr }
}
