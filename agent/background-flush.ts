// Has a file written to the disk while nobody waits for it, so that whoever has to wait later finds little left.
import { close, fdatasync, openSync } from 'node:fs'

const DELAY_MS = 100

export class BackgroundFlush implements Disposable {
  readonly #path: string
  #file: number | undefined
  #timer: NodeJS.Timeout | undefined
  #running = false
  #disposed = false

  /** The file is there by the time of the first request. */
  constructor(path: string) {
    this.#path = path
  }

  /** What was written to it until now is on the disk some time later; nothing is promised. */
  request(): void {
    if (this.#timer !== undefined || this.#disposed) return
    this.#timer = setTimeout(() => this.#flush(), DELAY_MS)
    this.#timer.unref()
  }

  [Symbol.dispose](): void {
    this.#disposed = true
    clearTimeout(this.#timer)
    if (!this.#running) this.#close()
  }

  #flush(): void {
    this.#timer = undefined
    if (this.#running) return this.request()
    this.#running = true
    this.#file ??= openSync(this.#path, 'r')
    fdatasync(this.#file, () => {
      this.#running = false
      if (this.#disposed) this.#close()
    })
  }

  #close(): void {
    if (this.#file !== undefined) close(this.#file)
    this.#file = undefined
  }
}
