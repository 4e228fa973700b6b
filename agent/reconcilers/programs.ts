// Programs on interfaces. Links are pinned, so they outlive the agent; a new agent puts its programs into the pinned
// links atomically. Runs in the worker thread.
import { join } from 'node:path'
import { codeOf, messageOf } from '../log.ts'

export const PROGRAM_NAMES = ['from_endpoint', 'to_endpoint', 'from_world', 'to_world', 'xdp_lb'] as const
export type ProgramName = (typeof PROGRAM_NAMES)[number]

export interface Attachment {
  readonly program: ProgramName
  readonly ifindex: number
  readonly interface: string
}

export interface AttachedProgram {
  readonly id: number
  readonly name: ProgramName
  /** e.g. "tcx/ingress", "xdp/native" */
  readonly hook: string
  readonly ifindex: number
  readonly interface: string
  readonly pin: string
  readonly linkId: number | undefined
  readonly instructions: number
  readonly verifiedInstructions: number
  /** Why it is attached in another way than wanted. */
  readonly fallback: string | undefined
}

/** Code of a failure whose cause is that the program's object was refused. */
export const NOT_LOADED = 'NOT_LOADED'

export interface AttachmentFailure {
  readonly attachment: Attachment
  readonly code: string | undefined
  readonly message: string
}

/** One failure does not keep the others from being attached. */
export interface ProgramReport {
  readonly attached: readonly AttachedProgram[]
  readonly failures: readonly AttachmentFailure[]
}

export interface LinkReport extends ProgramReport {
  /** A link was made or got another program. */
  readonly updated: boolean
  /** A pinned link still has the program of an earlier agent. */
  readonly outdated: boolean
}

/** Attaching and pins, as the kernel does them. */
export interface LinkPort {
  /** Id of the program that is to be attached; undefined while its object is refused. */
  programId(name: ProgramName): number | undefined
  /** Takes over the link pinned at `pin` with the program put in, or makes one. Throws INCOMPATIBLE for another's. */
  ensure(attachment: Attachment, pin: string): AttachedProgram
  /** As the kernel has it now: a link may be detached by force, and an interface may be made again with the same number. */
  isAttached(attached: AttachedProgram): boolean
  pins(directory: string): readonly string[]
  remove(pin: string): void
  /** Undefined where there is no such interface. */
  interfaceName(ifindex: number): string | undefined
}

export class ProgramLinks {
  readonly #links: LinkPort
  readonly #directory: string
  readonly #attached = new Map<string, AttachedProgram>()

  constructor(links: LinkPort, directory: string) {
    this.#links = links
    this.#directory = directory
  }

  /** `complete`: all sources have listed, so pins that nobody wants may go. */
  reconcile(wanted: readonly Attachment[], { complete }: { complete: boolean }): LinkReport {
    const failures: AttachmentFailure[] = []
    const before = new Set(this.#attached.values())
    const kept = this.#failingClosed(wanted)
    const staying = [...wanted, ...kept]
    for (const attachment of staying) {
      try {
        this.#ensure(attachment, { mend: !kept.includes(attachment) })
      } catch (error) {
        failures.push({ attachment, code: codeOf(error), message: messageOf(error) })
      }
    }
    if (complete) this.#prune(new Set(staying.map(pinName)))
    const attached = [...this.#attached.values()]
    const outdated = this.#links.pins(this.#directory).some((name) => !this.#attached.has(name))
    return { attached, failures, updated: attached.some((each) => !before.has(each)), outdated }
  }

  /**
   * An endpoint's programs stay until its interface is gone, even if no manifest names it any more: without them its
   * packets would go through the host's stack unfiltered; with them they are dropped. They are kept up to date as the
   * others are, since an earlier agent's program may use maps that no agent writes any more.
   */
  #failingClosed(wanted: readonly Attachment[]): Attachment[] {
    const names = new Set(wanted.map(pinName))
    return this.#links.pins(this.#directory).flatMap((name) => {
      const { program, ifindex } = parsePinName(name)
      if (names.has(name) || ifindex === undefined || (program !== 'from_endpoint' && program !== 'to_endpoint')) return []
      const device = this.#links.interfaceName(ifindex)
      return device === undefined ? [] : [{ program, ifindex, interface: device }]
    })
  }

  /** `mend`: a link that is detached is made again; else its pin, which holds nothing, goes. */
  #ensure(attachment: Attachment, { mend }: { mend: boolean }): void {
    const name = pinName(attachment)
    const known = this.#attached.get(name)
    const wantedId = this.#links.programId(attachment.program)
    if (known !== undefined && known.id === wantedId && this.#links.isAttached(known)) return
    if (wantedId === undefined) return this.#checkLeft(attachment, name)
    this.#attached.delete(name)
    const pin = join(this.#directory, name)
    try {
      this.#attached.set(name, this.#links.ensure(attachment, pin))
    } catch (error) {
      if (codeOf(error) !== 'INCOMPATIBLE') throw error
      this.#links.remove(pin) // detached, or its interface is gone and the number has a new one
      if (mend) this.#attached.set(name, this.#links.ensure(attachment, pin))
    }
  }

  /** What an earlier agent attached does its work while our program is refused. */
  #checkLeft({ program }: Attachment, name: string): void {
    if (this.#links.pins(this.#directory).includes(name)) return
    throw Object.assign(new Error(`program ${program} is not loaded: the kernel refused it or it was not built`), { code: NOT_LOADED })
  }

  #prune(staying: ReadonlySet<string>): void {
    for (const name of this.#links.pins(this.#directory)) {
      if (staying.has(name)) continue
      this.#links.remove(join(this.#directory, name))
      this.#attached.delete(name)
    }
  }
}

/** By number: names of interfaces may hold dots, which bpffs refuses. */
export function pinName({ program, ifindex }: Attachment): string {
  return `${program}-${ifindex}`
}

export function parsePinName(name: string): { program: string; ifindex: number | undefined } {
  const match = /^(.+)-(\d+)$/.exec(name)
  return { program: match?.[1] ?? name, ifindex: match?.[2] === undefined ? undefined : Number(match[2]) }
}
