import { readFileSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ip } from './command.ts'
import { bpffsRoot } from './privilege.ts'
import { endProcesses, processesWith, type ProcessId } from './process.ts'
import { isAbandoned, labFolder, labVariable, listFolder, records, removeRecord, runFolder } from './record.ts'

const namespaceFolder = '/run/netns'
const groupWaitMs = 3000
const groupPollMs = 20

/** What a lab has on the machine, all found by its name. */
export interface LabObjects {
  readonly processes: readonly ProcessId[]
  readonly namespaces: readonly string[]
  /** Folders in bpffs, in the cgroup tree and below /run/sluice, as full paths. */
  readonly bpffs: readonly string[]
  readonly cgroups: readonly string[]
  readonly folders: readonly string[]
}

export function objectsOf(lab: string): LabObjects {
  const pids = listFolder('/proc').map(Number).filter(Number.isInteger)
  const starting = (folder: string, prefix: string) =>
    listFolder(folder).filter((name) => name.startsWith(prefix)).map((name) => join(folder, name))
  const cgroups = cgroupRoot()
  return {
    processes: processesWith(labVariable, lab, pids),
    namespaces: listFolder(namespaceFolder).filter((name) => name.startsWith(`sluice-${lab}-`)),
    bpffs: starting(bpffsRoot, `sluice-${lab}-`),
    cgroups: cgroups === undefined ? [] : starting(cgroups, `sluice-${lab}-`),
    folders: [...starting(runFolder, `${lab}-`), ...starting(labFolder, `${lab}-`)],
  }
}

/**
 * Removes a lab, whoever made it and however far that came; running it again is harmless. The agent ends first, so
 * that nothing is made anew, then what it pinned, then the namespaces with all their links.
 */
export async function removeLab(lab: string): Promise<LabObjects> {
  const objects = objectsOf(lab)
  await endProcesses(objects.processes)
  for (const path of objects.bpffs) rmSync(path, { recursive: true, force: true })
  if (objects.namespaces.length > 0) await ip(objects.namespaces.map((name) => `netns delete ${name}`))
  for (const path of objects.cgroups) await removeGroup(path)
  for (const path of objects.folders) rmSync(path, { recursive: true, force: true })
  removeRecord(lab)
  return objects
}

/** A process that has ended leaves its group only when the kernel has done with it, some milliseconds later. */
async function removeGroup(path: string): Promise<void> {
  const deadline = Date.now() + groupWaitMs
  for (;;) {
    try {
      return rmdirSync(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY' || Date.now() > deadline) throw error
      await sleep(groupPollMs)
    }
  }
}

/** Removes what killed runs left behind. */
export async function removeAbandonedLabs(): Promise<void> {
  for (const name of abandonedLabs()) await removeLab(name)
}

export function abandonedLabs(): string[] {
  return records().filter(isAbandoned).map((record) => record.name)
}

/** Where the unified cgroup hierarchy is mounted; undefined if it is not. */
export function cgroupRoot(): string | undefined {
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n').map((line) => line.split(' '))
  return mounts.find((fields) => fields[2] === 'cgroup2')?.[1]
}
