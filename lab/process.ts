import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** A process, not to be mistaken for a later one with the same number. */
export interface ProcessId {
  readonly pid: number
  /** Clock ticks since boot: field 22 of /proc/PID/stat, see proc_pid_stat(5). */
  readonly startTime: number
}

const graceMs = 3000
const pollMs = 20

/** The process that has this number now; undefined if there is none or it is a zombie. */
export function processId(pid: number): ProcessId | undefined {
  try {
    // The command name, in parentheses, may hold anything; fields are counted from what follows it.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)\s/s, '').split(' ')
    return fields[0] === 'Z' ? undefined : { pid, startTime: Number(fields[19]) }
  } catch {
    return undefined
  }
}

export function isAlive(id: ProcessId): boolean {
  return processId(id.pid)?.startTime === id.startTime
}

/** Sends a signal to exactly this process, and nothing if it is gone. */
export function signalProcess(id: ProcessId, signal: NodeJS.Signals): void {
  try {
    if (isAlive(id)) process.kill(id.pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Ends processes: SIGTERM, then SIGKILL for those that need longer than three seconds. */
export async function endProcesses(ids: readonly ProcessId[]): Promise<void> {
  for (const id of ids) signalProcess(id, 'SIGTERM')
  await waitForEnd(ids)
  for (const id of ids) signalProcess(id, 'SIGKILL')
  await waitForEnd(ids)
}

async function waitForEnd(ids: readonly ProcessId[]): Promise<void> {
  const deadline = Date.now() + graceMs
  while (ids.some(isAlive) && Date.now() < deadline) await sleep(pollMs)
}

/** Processes whose environment holds the variable with this value. */
export function processesWith(variable: string, value: string, pids: readonly number[]): ProcessId[] {
  const entry = `${variable}=${value}`
  return pids.filter((pid) => pid !== process.pid && environment(pid).includes(entry))
    .map(processId).filter((id) => id !== undefined)
}

function environment(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
  } catch {
    return []
  }
}

export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  } catch {
    return 'gone'
  }
}
