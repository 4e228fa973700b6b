// Attaching and pins by the loader.
import { existsSync } from 'node:fs'
import { attachTcx, attachXdp, interfaceName, ensurePinned, Link, listPins, removePins } from '../../loader/index.ts'
import type { Attachment as LoaderAttachment, Program } from '../../loader/index.ts'
import type { KernelOptions } from '../kernel.ts'
import type { ProgramObjects } from './objects.ts'
import type { AttachedProgram, Attachment, LinkPort, ProgramName } from '../reconcilers/programs.ts'

/** What a workload or the world sends comes in at the hook for ingress. */
function directionOf(name: Exclude<ProgramName, 'xdp_lb'>): 'ingress' | 'egress' {
  return name === 'from_endpoint' || name === 'from_world' ? 'ingress' : 'egress'
}

export class LoaderLinks implements LinkPort {
  readonly #objects: ProgramObjects
  readonly #xdpMode: KernelOptions['xdpMode']

  constructor(objects: ProgramObjects, xdpMode: KernelOptions['xdpMode']) {
    this.#objects = objects
    this.#xdpMode = xdpMode
  }

  programId(name: ProgramName): number | undefined {
    return this.#objects.program(name)?.id
  }

  ensure(attachment: Attachment, pin: string): AttachedProgram {
    const program = this.#objects.program(attachment.program)
    if (program === undefined) throw new Error(`program ${attachment.program} is attached before it is loaded`)
    const takenOver = existsSync(pin)
    // Pinned, so closing this handle leaves the program attached, and removing the pin alone detaches it.
    using link = ensurePinned(pin, program, attachment.ifindex, () => this.#attach(program, attachment))
    return this.#describe(attachment, pin, program, link, takenOver)
  }

  /** A filter of clsact has no link to ask, thus is put there again; that replaces it by itself. */
  isAttached({ pin, ifindex, linkId }: AttachedProgram): boolean {
    if (linkId === undefined || !existsSync(pin)) return false
    using link = Link.openPinned(pin)
    return link.info.ifindex === ifindex // 0 once it is detached.
  }

  pins(directory: string): readonly string[] {
    return listPins(directory)
  }

  remove(pin: string): void {
    removePins(pin)
  }

  interfaceName(ifindex: number): string | undefined {
    return interfaceName(ifindex)
  }

  #attach(program: Program, { program: name, ifindex }: Attachment): LoaderAttachment {
    if (name !== 'xdp_lb') return attachTcx(program, ifindex, directionOf(name))
    return attachXdp(program, ifindex, { mode: this.#xdpMode === 'generic' ? 'generic' : 'native' })
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

/** A link that was taken over does not say in which mode it was attached. */
function hookOf(name: ProgramName, link: LoaderAttachment, mode: KernelOptions['xdpMode'], takenOver: boolean): string {
  if (name !== 'xdp_lb') return `${link.kind === 'clsact' ? 'clsact' : 'tcx'}/${directionOf(name)}`
  if (takenOver) return 'xdp'
  return link.fallback !== undefined || mode === 'generic' ? 'xdp/generic' : 'xdp/native'
}
