// The agent's own place in the cgroup tree, so that its memory and CPU time are accounted and limited there.
import { mkdirSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { AgentError } from './errors.ts'

const CGROUP2_MAGIC = 0x63677270

/** Moves this process, with all of its threads and what it starts from now on, into the group, which is made if it is missing. */
export function joinCgroup(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true })
    if (statfsSync(folder).type !== CGROUP2_MAGIC) throw new Error(`${folder} is in no cgroup2 hierarchy`)
    writeFileSync(join(folder, 'cgroup.procs'), String(process.pid))
  } catch (cause) {
    throw new AgentError('BAD_OPTION', `cannot enter the cgroup ${folder}`, {
      cause,
      hint: 'give --cgroup a folder of the unified hierarchy that hands out no controllers to groups below it',
    })
  }
}
