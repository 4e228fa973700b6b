// The file system that keeps maps, programs and links alive without a process.

import { mkdirSync, readdirSync, rmSync, statfsSync } from 'node:fs'

import { LoaderError, systemError } from './errors.ts'
import { systemLibbpf } from './libbpf.ts'

const BPF_FS_MAGIC = 0xcafe4a11
const SYSTEM_BPFFS = '/sys/fs/bpf'

export function isBpffs(path: string): boolean {
  try {
    return statfsSync(path).type === BPF_FS_MAGIC
  } catch {
    return false
  }
}

/**
 * Mounts a bpffs at `path` unless there is one. Returns whether it did. Below `ip netns exec` the system's bpffs is
 * hidden by a fresh /sys: enter namespaces with nsenter --net instead.
 */
export function mountBpffs(path = SYSTEM_BPFFS, libbpf = systemLibbpf()): boolean {
  if (isBpffs(path)) return false
  const error = libbpf.mount('bpf', path, 'bpf')
  if (error < 0) throw systemError(`mount a bpffs at ${path}`, -error)
  return true
}

/** Makes a folder for pins. Throws LoaderError `BAD_ARGUMENT` where `path` is on no bpffs. */
export function makePinDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  if (isBpffs(path)) return
  throw new LoaderError('BAD_ARGUMENT', `${path} is on no bpffs: choose a folder below ${SYSTEM_BPFFS}, or mount one there`)
}

/** Names of the pins in a folder; none where there is no folder. */
export function listPins(directory: string): string[] {
  try {
    return readdirSync(directory).sort()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Removes a pin, or a folder with all of its pins: the kernel frees what nobody else holds. */
export function removePins(path: string): void {
  rmSync(path, { recursive: true, force: true })
}
