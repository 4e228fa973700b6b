// Where an agent pins what must outlive it, and how all of it is removed.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { listPins, lockDirectory, makePinDirectory, mountBpffs, removePins } from '../loader/index.ts'
import { AgentError } from './errors.ts'
import { StateLock } from './lock.ts'
import type { RunOptions } from './options.ts'
import { removeLink } from './worker/links.ts'

const SYSTEM_BPFFS = '/sys/fs/bpf'

export interface PinDirectories {
  readonly maps: string
  readonly links: string
  /** For maps that are to take the place of others; it is there only while they are made. */
  readonly staging: string
  /** Maps that gave their places away, until no attached program writes to them. */
  readonly former: string
}

export function pinDirectories(bpffs: string): PinDirectories {
  const inside = (name: string): string => join(bpffs, name)
  return { maps: inside('maps'), links: inside('links'), staging: inside('maps-new'), former: inside('maps-old') }
}

/**
 * Whoever holds the pins holds the datapath, whatever its state folder is. The folder is made, on a bpffs that is mounted
 * where the system wants it if it is missing. Throws `LOCKED`, naming the process that holds the folder.
 */
export function lockPins(bpffs: string): Disposable {
  if (bpffs.startsWith(`${SYSTEM_BPFFS}/`)) mountBpffs(SYSTEM_BPFFS)
  makePinDirectory(bpffs)
  const lock = lockDirectory(bpffs)
  if (!('holder' in lock)) return lock
  const who = lock.holder === undefined ? '' : ` (process ${lock.holder})`
  throw new AgentError('LOCKED', `the pinned datapath in ${bpffs} is in use by another sluiced${who}`, {
    hint: 'stop that agent first, or give this one another --bpffs',
  })
}

/** Makes them in a folder that is locked. */
export function makePinDirectories(bpffs: string): PinDirectories {
  const directories = pinDirectories(bpffs)
  removePins(directories.staging) // of a start that was cut off
  for (const directory of [directories.maps, directories.links]) makePinDirectory(directory)
  return directories
}

export interface CleanupReport {
  readonly links: number
  readonly maps: number
}

/** Links first: no program may run on maps that are half gone. */
export function removePinned(bpffs: string): CleanupReport {
  const { maps, links, staging, former } = pinDirectories(bpffs)
  const report = { links: listPins(links).length, maps: listPins(maps).length }
  for (const name of listPins(links)) removeLink(join(links, name))
  for (const directory of [links, maps, staging, former]) removePins(directory)
  if (existsSync(bpffs) && listPins(bpffs).length === 0) removePins(bpffs)
  return report
}

/** `sluiced cleanup`: refuses under a running agent. The state folder stays. */
export function cleanup(options: RunOptions): CleanupReport {
  using _state = StateLock.acquire(options.stateDir)
  using _pins = lockPins(options.bpffs)
  return removePinned(options.bpffs)
}
