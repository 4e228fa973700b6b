// A loaded program.

import { systemError } from './errors.ts'
import { programInfo } from './info.ts'
import type { ProgramInfo } from './info.ts'
import { systemLibbpf } from './libbpf.ts'
import type { Libbpf } from './port.ts'
import { Resource } from './resource.ts'

export interface TestRunInput {
  /** The packet, from its Ethernet header on. */
  readonly data: Uint8Array
  /** struct __sk_buff or struct xdp_md, where the run wants one. */
  readonly context?: Uint8Array
  readonly repeat?: number
}

export interface TestRunOutput {
  /** What the program returned: TC_ACT_*, XDP_*. */
  readonly result: number
  /** The packet afterwards. */
  readonly data: Uint8Array
  readonly context: Uint8Array
  /** Mean of the repeats. */
  readonly durationNs: number
}

/** The kernel gives a test packet at most one page, headroom and tailroom included. */
const OUTPUT_SIZE = 4096

export class Program extends Resource {
  readonly name: string
  readonly #fd: number
  readonly #owned: boolean
  readonly #libbpf: Libbpf

  /** `owned`: whether disposal closes the descriptor; those of an object are closed with it. */
  constructor(fd: number, name: string, owned: boolean, libbpf: Libbpf) {
    super(`program ${name}`)
    this.name = name
    this.#fd = fd
    this.#owned = owned
    this.#libbpf = libbpf
  }

  /** Throws LoaderError `SYSTEM`, with errno ENOENT where nothing is pinned. */
  static openPinned(path: string, libbpf = systemLibbpf()): Program {
    const fd = libbpf.openPinned(path)
    if (fd < 0) throw systemError(`open pinned program ${path}`, -fd)
    return new Program(fd, programInfo(libbpf, fd).name, true, libbpf)
  }

  get fd(): number {
    this.checkOpen()
    return this.#fd
  }

  get info(): ProgramInfo {
    return programInfo(this.#libbpf, this.fd)
  }

  get id(): number {
    return this.info.id
  }

  get instructions(): number {
    return this.info.instructions
  }

  get verifiedInstructions(): number {
    return this.info.verifiedInstructions
  }

  pin(path: string): void {
    const error = this.#libbpf.pin(this.fd, path)
    if (error < 0) throw systemError(`pin program ${this.name} at ${path}`, -error)
  }

  /** Runs the program on a packet, in no interface's way (BPF_PROG_TEST_RUN). */
  testRun({ data, context, repeat = 1 }: TestRunInput): TestRunOutput {
    const output = new Uint8Array(OUTPUT_SIZE)
    const outputContext = new Uint8Array(context?.byteLength ?? 0)
    const run = this.#libbpf.testRun(this.fd, { data, context, output, outputContext, repeat, flags: 0 })
    if (run.error < 0) throw systemError(`test-run program ${this.name} on ${data.byteLength} bytes`, -run.error)
    return { result: run.result, data: output.subarray(0, run.outputSize), context: outputContext, durationNs: run.durationNs }
  }

  protected release(): void {
    if (this.#owned) this.#libbpf.close(this.#fd)
  }
}
