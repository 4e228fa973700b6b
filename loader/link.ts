// Attachments of programs: bpf_link wherever the kernel has it, a clsact filter where TCX is missing (before 6.6).

import { readFileSync } from 'node:fs'

import { removePins } from './bpffs.ts'
import { LoaderError, errnoName, systemError } from './errors.ts'
import { linkInfo, programInfo } from './info.ts'
import type { LinkInfo } from './info.ts'
import { systemLibbpf } from './libbpf.ts'
import type { Libbpf, TcFilter } from './port.ts'
import type { Program } from './program.ts'
import { Resource } from './resource.ts'

export type Direction = 'ingress' | 'egress'

/** What every kind of attachment can do. Disposal detaches, unless it is pinned. */
export interface Attachment extends Disposable {
  readonly kind: 'link' | 'clsact'
  /** Why this is not what was asked for, for `status`; undefined if it is. */
  readonly fallback: string | undefined
  /** Replaces the program; every packet meets either the old one or the new one. */
  update(program: Program): void
  /** Keeps it attached when the process ends. */
  pin(path: string): void
}

// enum bpf_attach_type of linux/bpf.h; libbpf 1.1 does not know TCX yet, its bpf_link_create passes any number on.
const ATTACH_XDP = 37
const ATTACH_TCX = { ingress: 46, egress: 47 } as const
const XDP_FLAGS = { generic: 1 << 1, native: 1 << 2 } as const
const EPERM = 1
const ENODEV = 19
const EEXIST = 17
const EBUSY = 16
const EINVAL = 22

export class Link extends Resource implements Attachment {
  readonly kind = 'link'
  readonly fallback: string | undefined
  readonly #fd: number
  readonly #libbpf: Libbpf

  constructor(fd: number, description: string, libbpf: Libbpf, fallback?: string) {
    super(description)
    this.fallback = fallback
    this.#fd = fd
    this.#libbpf = libbpf
  }

  /** Throws LoaderError `SYSTEM`, with errno ENOENT where nothing is pinned. */
  static openPinned(path: string, libbpf = systemLibbpf()): Link {
    const fd = libbpf.openPinned(path)
    if (fd < 0) throw systemError(`open pinned link ${path}`, -fd)
    return new Link(fd, `link ${path}`, libbpf)
  }

  get fd(): number {
    this.checkOpen()
    return this.#fd
  }

  get info(): LinkInfo {
    return linkInfo(this.#libbpf, this.fd)
  }

  update(program: Program): void {
    const error = this.#libbpf.linkUpdate(this.fd, program.fd)
    if (error < 0) throw systemError(`replace the program of a link by ${program.name}`, -error)
  }

  pin(path: string): void {
    const error = this.#libbpf.pin(this.fd, path)
    if (error < 0) throw systemError(`pin link at ${path}`, -error)
  }

  /** Detaches for everybody, pinned or not; the pin is left to whoever made it. */
  detach(): void {
    const error = this.#libbpf.linkDetach(this.fd)
    if (error < 0) throw systemError('detach a link', -error)
  }

  protected release(): void {
    this.#libbpf.close(this.#fd)
  }
}

/**
 * A filter of a clsact queueing discipline: belongs to the interface and outlives the process without a pin. Pinned is
 * its program, as a mark of what is to be detached.
 */
class ClsactFilter extends Resource implements Attachment {
  readonly kind = 'clsact'
  readonly fallback: string | undefined
  readonly #filter: TcFilter
  readonly #libbpf: Libbpf
  #program: Program
  #path: string | undefined

  constructor(filter: TcFilter, program: Program, libbpf: Libbpf, fallback: string) {
    super(`clsact filter on interface ${filter.ifindex}`)
    this.fallback = fallback
    this.#filter = filter
    this.#program = program
    this.#libbpf = libbpf
  }

  update(program: Program): void {
    this.checkOpen()
    attachFilter(this.#libbpf, this.#filter, program)
    this.#program = program
    if (this.#path !== undefined) this.pin(this.#path)
  }

  pin(path: string): void {
    removePins(path)
    this.#program.pin(path)
    this.#path = path
  }

  protected release(): void {
    if (this.#path === undefined) this.#libbpf.tcDetach(this.#filter)
  }
}

function attachFilter(libbpf: Libbpf, filter: TcFilter, program: Program): void {
  const error = libbpf.tcAttach(filter, program.fd)
  if (error < 0) throw systemError(`attach program ${program.name} to clsact of interface ${filter.ifindex}`, -error)
}

export interface XdpOptions {
  /** `native` (default) falls back to generic, and says so in `fallback`, where the driver cannot. */
  readonly mode?: 'native' | 'generic'
  readonly libbpf?: Libbpf
}

/** `ifindex` is of the calling thread's network namespace. */
export function attachXdp(program: Program, ifindex: number, { mode = 'native', libbpf = systemLibbpf() }: XdpOptions = {}): Link {
  const attempt = `attach XDP program ${program.name} to interface ${ifindex} (${mode})`
  const fd = libbpf.linkCreate(program.fd, ifindex, ATTACH_XDP, XDP_FLAGS[mode])
  if (fd >= 0) return new Link(fd, `XDP link on interface ${ifindex}`, libbpf)
  if (mode === 'generic' || [EPERM, ENODEV, EEXIST, EBUSY].includes(-fd)) throw systemError(attempt, -fd, hintForXdp(-fd))
  const generic = libbpf.linkCreate(program.fd, ifindex, ATTACH_XDP, XDP_FLAGS.generic)
  if (generic < 0) throw systemError(attempt, -generic)
  return new Link(generic, `XDP link on interface ${ifindex}`, libbpf, `generic XDP: the driver refused native mode with ${errnoName(-fd)}`)
}

function hintForXdp(errno: number): string | undefined {
  return errno === EEXIST || errno === EBUSY ? 'another XDP program is attached: remove it first (bpftool net)' : undefined
}

/** Ours among the filters of an interface; fixed, so that attaching again replaces. */
const FILTER_HANDLE = 1
const FILTER_PRIORITY = 1
const TC_ATTACH_POINT = { ingress: 1, egress: 2 } as const

/** Where a TCX program stands among those that are there: BPF_F_BEFORE without a relative is before all of them. */
const TCX_FLAGS = { last: 0, first: 1 << 3 } as const

/** `ifindex` is of the calling thread's network namespace. Without TCX there is one filter of ours, and no order. */
export function attachTcx(program: Program, ifindex: number, direction: Direction, libbpf = systemLibbpf(), place: keyof typeof TCX_FLAGS = 'last'): Attachment {
  const fd = libbpf.linkCreate(program.fd, ifindex, ATTACH_TCX[direction], TCX_FLAGS[place])
  if (fd >= 0) return new Link(fd, `TCX ${direction} link on interface ${ifindex}`, libbpf)
  if (fd !== -EINVAL) throw systemError(`attach program ${program.name} to interface ${ifindex} (${direction})`, -fd)
  return attachClsact(program, ifindex, direction, 'clsact: the kernel has no TCX (6.6 and later have)', libbpf)
}

/** As before Linux 6.6. `reason` is what `fallback` will say. */
export function attachClsact(
  program: Program,
  ifindex: number,
  direction: Direction,
  reason: string,
  libbpf = systemLibbpf()
): Attachment {
  const filter = filterOf(ifindex, direction)
  const error = libbpf.tcCreateHook(filter)
  if (error < 0 && error !== -EEXIST) throw systemError(`add clsact to interface ${ifindex}`, -error)
  attachFilter(libbpf, filter, program)
  return new ClsactFilter(filter, program, libbpf, reason)
}

/** Id of the program that `attachClsact` put there; undefined where it is gone, or the interface is. */
export function clsactProgram(ifindex: number, direction: Direction, libbpf = systemLibbpf()): number | undefined {
  const id = libbpf.tcQuery(filterOf(ifindex, direction))
  return id > 0 ? id : undefined
}

function filterOf(ifindex: number, direction: Direction): TcFilter {
  return { ifindex, attachPoint: TC_ATTACH_POINT[direction], handle: FILTER_HANDLE, priority: FILTER_PRIORITY }
}

/** enum bpf_attach_type of the cgroup hooks that a service's socket translation uses. */
export const CgroupHook = {
  CONNECT4: 10,
  CONNECT6: 11,
  SENDMSG4: 14,
  SENDMSG6: 15,
  RECVMSG4: 19,
  RECVMSG6: 20,
  GETPEERNAME4: 29,
  GETPEERNAME6: 30
} as const
export type CgroupHook = (typeof CgroupHook)[keyof typeof CgroupHook]

/** `cgroupFd` is of an open cgroup2 directory. */
export function attachCgroup(program: Program, cgroupFd: number, hook: CgroupHook, libbpf = systemLibbpf()): Link {
  const fd = libbpf.linkCreate(program.fd, cgroupFd, hook, 0)
  if (fd < 0) throw systemError(`attach program ${program.name} to a cgroup`, -fd)
  return new Link(fd, 'cgroup link', libbpf)
}

/** Where a program is to be, and how it gets there. */
export interface Place {
  readonly ifindex: number
  /** Of a tc program. */
  readonly direction?: Direction
  readonly attach: () => Attachment
}

/**
 * Takes over what is pinned at `path`, with `program` put in atomically, or attaches and pins anew. What is pinned but
 * detached, or on another interface, is LoaderError `INCOMPATIBLE`: unpin it first.
 */
export function ensurePinned(path: string, program: Program, { ifindex, direction, attach }: Place, libbpf = systemLibbpf()): Attachment {
  const fd = libbpf.openPinned(path)
  if (fd >= 0 && !isProgram(fd)) return takeOver(new Link(fd, `link ${path}`, libbpf), path, program, ifindex)
  if (fd >= 0) {
    libbpf.close(fd)
    if (direction === undefined || clsactProgram(ifindex, direction, libbpf) === undefined)
      throw new LoaderError('INCOMPATIBLE', `the filter whose program is pinned at ${path} is not on interface ${ifindex}: remove the pin and attach again`)
  }
  const attachment = attach()
  try {
    attachment.pin(path)
  } catch (error) {
    attachment[Symbol.dispose]()
    throw error
  }
  return attachment
}

/** Detaches what `ensurePinned` pinned: a link goes with its pin, a filter is taken from its interface. */
export function detachPinned(path: string, ifindex: number, direction: Direction, libbpf = systemLibbpf()): void {
  const fd = libbpf.openPinned(path)
  // Numbers of programs are the machine's, those of interfaces the namespace's: another one's filter is left alone.
  if (fd >= 0 && isProgram(fd) && programInfo(libbpf, fd).id === clsactProgram(ifindex, direction, libbpf)) libbpf.tcDetach(filterOf(ifindex, direction))
  if (fd >= 0) libbpf.close(fd)
  removePins(path)
}

/** Links and programs answer the kernel's question for information alike, whatever they are asked for. */
function isProgram(fd: number): boolean {
  return readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8').includes('prog_type:')
}

function takeOver(link: Link, path: string, program: Program, ifindex: number): Link {
  try {
    const attached = link.info.ifindex
    if (attached !== ifindex)
      throw new LoaderError('INCOMPATIBLE', `the link pinned at ${path} is on interface ${attached}, not ${ifindex}: remove the pin and attach again`)
    link.update(program)
    return link
  } catch (error) {
    link[Symbol.dispose]()
    throw error
  }
}
