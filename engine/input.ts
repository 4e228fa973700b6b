// One input for the engine, written straight into its memory: words and texts, as engine/assembly/input.ts reads them.

import { EngineError } from './errors.ts'

const EQUALS = 0x3d

export class InputWriter {
  readonly #memory: WebAssembly.Memory
  readonly #encoder = new TextEncoder()
  readonly #first: number
  readonly #end: number
  #bytes: Uint8Array
  #words: Uint32Array
  /** Index of the next word. */
  #at: number

  constructor(memory: WebAssembly.Memory, address: number, capacity: number) {
    this.#memory = memory
    this.#bytes = new Uint8Array(memory.buffer)
    this.#words = new Uint32Array(memory.buffer)
    this.#at = this.#first = address >>> 2
    this.#end = (address + capacity) >>> 2
  }

  /** Begins an input. Views of a memory that has grown since the last one have no words; asking their length costs more. */
  open(): this {
    if (this.#words[this.#first] === undefined) {
      this.#bytes = new Uint8Array(this.#memory.buffer)
      this.#words = new Uint32Array(this.#memory.buffer)
    }
    this.#at = this.#first
    return this
  }

  word(value: number): this {
    this.#checkRoom(1)
    this.#words[this.#at++] = value
    return this
  }

  /** Bytes, a multiple of four, as they stand. */
  bytes(value: Uint8Array): this {
    this.#checkRoom(value.length >>> 2)
    this.#bytes.set(value, this.#at << 2)
    this.#at += value.length >>> 2
    return this
  }

  /** Its length in bytes, then UTF-8, padded with zeros to a whole word. */
  text(value: string): this {
    const at = this.#openText(value.length)
    return this.#closeText(this.#writeAscii(value, at) ? value.length : this.#writeUtf8(value, at))
  }

  /** The text `key=value`, which need not be put together first. */
  pair(key: string, value: string): this {
    const length = key.length + 1 + value.length
    const at = this.#openText(length)
    if (!this.#writeAscii(key, at) || !this.#writeAscii(value, at + key.length + 1)) return this.text(`${key}=${value}`)
    this.#bytes[at + key.length] = EQUALS
    return this.#closeText(length)
  }

  /** Where the bytes of a text begin, with zeros behind it if it is ASCII. */
  #openText(units: number): number {
    this.#checkRoom(2 + units) // UTF-8 needs at most three bytes where JavaScript has one unit.
    this.#words[this.#at + 1 + (units >>> 2)] = 0
    return (this.#at + 1) << 2
  }

  #closeText(length: number): this {
    this.#words[this.#at] = length
    this.#at += 1 + ((length + 3) >>> 2)
    return this
  }

  /** Most labels are ASCII, and short: a call of the encoder would cost more than they do. */
  #writeAscii(value: string, at: number): boolean {
    const bytes = this.#bytes
    for (let i = 0; i < value.length; i++) {
      const unit = value.charCodeAt(i)
      if (unit > 0x7f) return false
      bytes[at + i] = unit
    }
    return true
  }

  #writeUtf8(value: string, at: number): number {
    const { written } = this.#encoder.encodeInto(value, this.#bytes.subarray(at))
    this.#bytes.fill(0, at + written, (at + written + 3) & ~3)
    return written
  }

  #checkRoom(words: number): void {
    if (this.#at + words <= this.#end) return
    throw new EngineError('CAPACITY', `one input is larger than ${(this.#end - this.#first) * 4} bytes; split the policy document`)
  }
}
