// An exclusive lock on a folder, dropped by the kernel with the process that holds it, however that ends. A bpffs takes
// no files to lock; its folders can be locked themselves, and all mounts and namespaces see the same lock.

import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import { constants as system } from 'node:os'

import { systemError } from './errors.ts'
import { systemLibbpf } from './libbpf.ts'

export interface HeldElsewhere {
  /** undefined where it runs in a process namespace that we do not see. */
  readonly holder: number | undefined
}

/** Who has the lock already, or the lock. Throws LoaderError `SYSTEM`. */
export function lockDirectory(path: string, libbpf = systemLibbpf()): Disposable | HeldElsewhere {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  const error = libbpf.lock(fd)
  if (error === 0) return { [Symbol.dispose]: () => closeSync(fd) }
  const holder = holderOf(fd)
  closeSync(fd)
  if (-error === system.errno.EWOULDBLOCK) return { holder }
  throw systemError(`lock ${path}`, -error)
}

/** A line of /proc/locks (proc_locks(5)): `1: FLOCK  ADVISORY  WRITE 4711 00:1f:9321 0 EOF`. */
function holderOf(fd: number): number | undefined {
  const { dev, ino } = fstatSync(fd, { bigint: true })
  const file = `${hex(major(dev))}:${hex(minor(dev))}:${ino}`
  const locks = readFileSync('/proc/locks', 'utf8').split('\n').map((line) => line.split(/\s+/))
  const pid = Number(locks.find(([, type, , , , locked]) => type === 'FLOCK' && locked === file)?.[4])
  return pid > 0 ? pid : undefined
}

const hex = (part: bigint): string => part.toString(16).padStart(2, '0')

/** Parts of a device number as glibc's gnu_dev_major() and gnu_dev_minor() take them. */
const major = (device: bigint): bigint => ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)
const minor = (device: bigint): bigint => (device & 0xffn) | ((device >> 12n) & ~0xffn & 0xffffffffn)
