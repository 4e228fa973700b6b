// Attaching and pins by the loader.
import { existsSync } from 'node:fs'
import { basename } from 'node:path'
import { attachTcx, attachXdp, clsactProgram, detachPinned, ensurePinned, interfaceName, Link, listPins, removePins, systemLibbpf } from '../../loader/index.ts'
import type { Attachment as LoaderAttachment, Direction, Libbpf, Place, Program } from '../../loader/index.ts'
import type { KernelOptions } from '../kernel.ts'
import type { ProgramObjects } from './objects.ts'
import { type AttachedProgram, type Attachment, type LinkPort, parsePinName, type ProgramName } from '../reconcilers/programs.ts'

type TcProgramName = Exclude<ProgramName, 'xdp_lb'>

/** What a workload or the world sends comes in at the hook for ingress. */
const DIRECTIONS: Readonly<Record<TcProgramName, Direction>> = {
  from_endpoint: 'ingress',
  to_endpoint: 'egress',
  from_world: 'ingress',
  to_world: 'egress',
}

/** Of a backend, which `sluiced decap` attaches. */
export const DECAP_TC = 'decap_tc'

function directionOf(name: string): Direction | undefined {
  return name === DECAP_TC ? 'ingress' : (DIRECTIONS as Readonly<Record<string, Direction>>)[name]
}

/** Detaches a program by its pin, whatever way it was attached. */
export function removeLink(pin: string, libbpf = systemLibbpf()): void {
  const { program, ifindex } = parsePinName(basename(pin))
  const direction = directionOf(program)
  if (direction === undefined || ifindex === undefined) removePins(pin)
  else detachPinned(pin, ifindex, direction, libbpf)
}

export interface LoaderLinksParts {
  readonly programs: Pick<ProgramObjects, 'program'>
  readonly xdpMode: KernelOptions['xdpMode']
  readonly libbpf?: Libbpf
}

export class LoaderLinks implements LinkPort {
  readonly #programs: LoaderLinksParts['programs']
  readonly #xdpMode: KernelOptions['xdpMode']
  readonly #libbpf: Libbpf

  constructor({ programs, xdpMode, libbpf = systemLibbpf() }: LoaderLinksParts) {
    this.#programs = programs
    this.#xdpMode = xdpMode
    this.#libbpf = libbpf
  }

  programId(name: ProgramName): number | undefined {
    return this.#programs.program(name)?.id
  }

  ensure(attachment: Attachment, pin: string): AttachedProgram {
    const program = this.#programs.program(attachment.program)
    if (program === undefined) throw new Error(`program ${attachment.program} is attached before it is loaded`)
    const takenOver = existsSync(pin)
    const place = { ...placeOf(attachment), attach: () => this.#attach(program, attachment) }
    // Pinned, so closing this handle leaves the program attached, and removing the pin alone detaches it.
    using link = ensurePinned(pin, program, place, this.#libbpf)
    return this.#describe(attachment, pin, program, link, takenOver)
  }

  isAttached({ id, name, pin, ifindex, linkId }: AttachedProgram): boolean {
    if (!existsSync(pin)) return false
    const direction = directionOf(name)
    if (linkId === undefined) return direction !== undefined && clsactProgram(ifindex, direction, this.#libbpf) === id
    using link = Link.openPinned(pin, this.#libbpf)
    return link.info.ifindex === ifindex // 0 once it is detached.
  }

  pins(directory: string): readonly string[] {
    return listPins(directory)
  }

  remove(pin: string): void {
    removeLink(pin, this.#libbpf)
  }

  interfaceName(ifindex: number): string | undefined {
    return interfaceName(ifindex)
  }

  #attach(program: Program, { program: name, ifindex }: Attachment): LoaderAttachment {
    if (name !== 'xdp_lb') return attachTcx(program, ifindex, DIRECTIONS[name], this.#libbpf)
    return attachXdp(program, ifindex, { mode: this.#xdpMode === 'generic' ? 'generic' : 'native', libbpf: this.#libbpf })
  }

  #describe(attachment: Attachment, pin: string, program: Program, link: LoaderAttachment, takenOver: boolean): AttachedProgram {
    return {
      id: program.id,
      name: attachment.program,
      hook: hookOf(attachment.program, link, this.#xdpMode, takenOver),
      ifindex: attachment.ifindex,
      interface: attachment.interface,
      pin,
      linkId: link instanceof Link ? link.info.id : undefined,
      instructions: program.instructions,
      verifiedInstructions: program.verifiedInstructions,
      fallback: link.fallback,
    }
  }
}

function placeOf({ program, ifindex }: Attachment): Omit<Place, 'attach'> {
  const direction = directionOf(program)
  return { ifindex, ...(direction !== undefined && { direction }) }
}

/** A link that was taken over does not say in which mode it was attached. */
function hookOf(name: ProgramName, link: LoaderAttachment, mode: KernelOptions['xdpMode'], takenOver: boolean): string {
  if (name !== 'xdp_lb') return `${link.kind === 'clsact' ? 'clsact' : 'tcx'}/${DIRECTIONS[name]}`
  if (takenOver) return 'xdp'
  return link.fallback !== undefined || mode === 'generic' ? 'xdp/generic' : 'xdp/native'
}
