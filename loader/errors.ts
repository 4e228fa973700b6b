// Faults of the loader. A message says what was tried, on what, why it failed and what to do about it.

import { constants } from 'node:os'

export type LoaderErrorCode =
  | 'BAD_OBJECT' // the file is no BPF object that we can read
  | 'BAD_ARGUMENT' // a size, name or value that the caller gave cannot be right
  | 'NOT_FOUND' // no such program, map, constant, interface or pinned object
  | 'INCOMPATIBLE' // a pinned map has another layout than the object
  | 'NO_LIBBPF' // libbpf.so.1 is missing
  | 'VERIFIER' // the kernel refused a program
  | 'SYSTEM' // a system call failed: see errno
  | 'CLOSED' // used after it was disposed

export class LoaderError extends Error {
  readonly code: LoaderErrorCode
  /** Positive errno where the kernel gave one. */
  readonly errno: number | undefined

  constructor(code: LoaderErrorCode, message: string, options: { cause?: unknown; errno?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'LoaderError'
    this.code = code
    this.errno = options.errno
  }
}

/** What E2BIG (hashes) and ENOSPC (tries) mean when an entry is written. */
export const MAP_FULL = 'the map is full: raise its size'

export function isMapFull(errno: number): boolean {
  return errno === constants.errno.E2BIG || errno === constants.errno.ENOSPC
}

/** A system call's failure. `attempt` reads like "update map policy"; `hint` says what to do, if that is known. */
export function systemError(attempt: string, errno: number, hint = hintFor(errno)): LoaderError {
  const reason = `${errnoName(errno)}${hint === '' ? '' : `; ${hint}`}`
  return new LoaderError('SYSTEM', `cannot ${attempt}: ${reason}`, { errno })
}

const NAMES = new Map<number, string>(Object.entries(constants.errno).map(([name, number]) => [number, name]))
/** The kernel's own code for "this object cannot do that"; it never was meant for user space, but gets there. */
const ENOTSUPP = 524

export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? (errno === ENOTSUPP ? 'ENOTSUPP' : `errno ${errno}`)
}

const HINTS: Readonly<Record<number, string>> = {
  [constants.errno.EPERM]: 'it needs root (CAP_BPF and CAP_NET_ADMIN)',
  [constants.errno.ENOMEM]: 'the kernel has no memory for it: make maps smaller, or raise the memory limit of the cgroup',
  [constants.errno.ENODEV]: 'there is no such interface in this network namespace'
}

function hintFor(errno: number): string {
  return HINTS[errno] ?? ''
}
