import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { endProcesses, isAlive, type ProcessId, processId, signalProcess } from './process.ts'

const readyMs = 15_000
const pollMs = 10
const shownLines = 15

export interface ServiceOptions {
  /** What it is, for messages. */
  readonly what: string
  readonly command: readonly string[]
  readonly logFile: string
  readonly environment: NodeJS.ProcessEnv
  readonly signal?: AbortSignal | undefined
}

/** A process in the background, with its output in a file, that may outlive us. */
export class Service implements AsyncDisposable {
  readonly what: string
  readonly logFile: string
  readonly process: ProcessId

  constructor({ what, command, logFile, environment }: ServiceOptions) {
    const [file = '', ...args] = command
    const log = openSync(logFile, 'a')
    try {
      const child = spawn(file, args, { detached: true, stdio: ['ignore', log, log], env: environment })
      child.on('error', () => {}) // No such file: told below, since there is no process then.
      child.unref()
      const id = child.pid === undefined ? undefined : processId(child.pid)
      if (id === undefined) throw new Error(`${what} did not start: ${command.join(' ')} (see ${logFile})`)
      this.process = id
    } finally {
      closeSync(log)
    }
    this.what = what
    this.logFile = logFile
  }

  get isAlive(): boolean {
    return isAlive(this.process)
  }

  kill(signal: NodeJS.Signals): void {
    signalProcess(this.process, signal)
  }

  /** Waits until `ready` holds; throws with the last lines of the log if the process ends or takes 15 seconds. */
  async waitUntil(ready: () => boolean | Promise<boolean>, signal?: AbortSignal): Promise<void> {
    const deadline = Date.now() + readyMs
    while (!(await ready())) {
      if (!this.isAlive) throw new Error(`${this.what} ended before it was ready:\n${this.lastLines()}`)
      if (Date.now() > deadline) throw new Error(`${this.what} was not ready in 15 s:\n${this.lastLines()}`)
      await sleep(pollMs, undefined, signal && { signal })
    }
  }

  /** Ready is when it has printed this line. */
  waitForLine(line: string, signal?: AbortSignal): Promise<void> {
    return this.waitUntil(() => this.log().split('\n').includes(line), signal)
  }

  log(): string {
    return readFileSync(this.logFile, 'utf8')
  }

  lastLines(): string {
    return this.log().trimEnd().split('\n').slice(-shownLines).map((line) => `  ${line}`).join('\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await endProcesses([this.process])
  }
}
