// Memory that the kernel shares with us.

import { LoaderError, systemError } from './errors.ts'
import type { Libbpf, MappedAddress } from './port.ts'
import { Resource } from './resource.ts'

export interface Mapping {
  /** For messages: what is mapped. */
  readonly what: string
  readonly length: number
  readonly writable: boolean
  /** Bytes from the object's start, whole pages. */
  readonly offset: number
}

/** A mapped area. Disposal detaches the buffer first, so that a view kept too long reads nothing instead of freed pages. */
export class MappedMemory extends Resource {
  readonly #libbpf: Libbpf
  readonly #address: MappedAddress
  readonly #length: number
  readonly #buffer: ArrayBuffer

  constructor(libbpf: Libbpf, fd: number, { what, length, writable, offset }: Mapping) {
    const address = libbpf.mmap(fd, length, writable, offset)
    if (typeof address === 'number') throw systemError(`map ${length} bytes of ${what} into memory`, -address)
    super(`memory of ${what}`)
    this.#libbpf = libbpf
    this.#address = address
    this.#length = length
    this.#buffer = libbpf.view(address, length)
  }

  /** Writing to an area that was mapped read-only kills the process, as it does in C. */
  get buffer(): ArrayBuffer {
    this.checkOpen()
    return this.#buffer
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.buffer)
  }

  protected release(): void {
    this.#buffer.transfer(0)
    if (!this.#buffer.detached) throw new LoaderError('SYSTEM', 'a view of mapped memory could not be detached: it stays mapped')
    this.#libbpf.munmap(this.#address, this.#length)
  }
}
