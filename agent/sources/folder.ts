// Source: folders of manifests, watched. Gives the complete listing whenever it changed; what it means is
// for manifests.ts to say. Of what the system tells only the files themselves are read again.
import { type FSWatcher, watch } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from '../log.ts'
import { messageOf } from '../log.ts'
import { Files, type FolderListing } from './files.ts'

export type { FileContent, FolderListing } from './files.ts'

/** Editors and `kubectl` write in several steps; a file is read when it has been quiet this long. */
const QUIET_MS = 60
/** A change that never gets quiet is read all the same after this. */
const LONGEST_WAIT_MS = 500
/** inotify queues overflow and some file systems have no notices, so look again now and then. */
const RESCAN_MS = 5_000

export class FolderSource {
  readonly #folders: readonly string[]
  readonly #files: Files
  readonly #onListing: (listing: FolderListing) => Promise<void>
  readonly #log: Logger
  readonly #signal: AbortSignal
  readonly #watchers = new Map<string, FSWatcher>()
  #quiet: NodeJS.Timeout | undefined
  #waitingSince: number | undefined
  /** Paths that something was told of since the last look; undefined: look at everything. */
  #told: Set<string> | undefined
  #running = false
  #again = false
  #last: FolderListing | undefined

  constructor(
    folders: readonly string[],
    onListing: (listing: FolderListing) => Promise<void>,
    { log, signal }: { log: Logger; signal: AbortSignal },
  ) {
    this.#folders = folders
    this.#files = new Files(folders)
    this.#onListing = onListing
    this.#log = log
    this.#signal = signal
  }

  /** Watches first, then lists: nothing can change unseen between the two. */
  start(): void {
    this.#watchAll()
    this.#listOrLog()
    const timer = setInterval(() => this.#changed(), RESCAN_MS)
    timer.unref()
    this.#signal.addEventListener('abort', () => {
      clearInterval(timer)
      clearTimeout(this.#quiet)
    })
  }

  #watchAll(): void {
    for (const folder of this.#folders) if (!this.#watchers.has(folder)) this.#watch(folder)
  }

  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { recursive: true, signal: this.#signal }, (_event, name) => this.#changed(name === null ? undefined : join(folder, name)))
      watcher.on('error', () => this.#watchers.delete(folder))
      this.#watchers.set(folder, watcher)
    } catch (error) {
      this.#log.debug('cannot watch yet', { folder, reason: messageOf(error) })
    }
  }

  /** No path: anything may have changed. */
  #changed(path?: string): void {
    if (path === undefined) this.#told = undefined
    else this.#told?.add(path)
    const now = performance.now()
    this.#waitingSince ??= now
    const waitMs = Math.max(0, Math.min(QUIET_MS, this.#waitingSince + LONGEST_WAIT_MS - now))
    clearTimeout(this.#quiet)
    this.#quiet = setTimeout(() => {
      this.#waitingSince = undefined
      this.#listOrLog()
    }, waitMs)
    this.#quiet.unref()
  }

  #listOrLog(): void {
    this.#list().catch((error: unknown) => this.#log.error('listing failed', { error }))
  }

  /** One listing at a time, and one more if something changed meanwhile. */
  async #list(): Promise<void> {
    this.#again = true
    if (this.#running) return
    this.#running = true
    try {
      while (this.#again && !this.#signal.aborted) {
        this.#again = false
        this.#watchAll()
        const listing = await this.#look()
        if (isDeepStrictEqual(listing, this.#last)) continue
        this.#last = listing
        await this.#onListing(listing)
      }
    } finally {
      this.#running = false
    }
  }

  async #look(): Promise<FolderListing> {
    const told = this.#told
    this.#told = new Set()
    if (told === undefined || !this.#files.look(told)) await this.#files.walk()
    return this.#files.listing
  }
}
