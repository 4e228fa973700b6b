// Source: folders of manifests, watched. Gives the complete listing whenever it changed; what it means is
// for manifests.ts to say.
import { type FSWatcher, watch } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'
import { manifestsBelow } from '../../manifests/files/index.ts'
import type { Logger } from '../log.ts'
import { messageOf } from '../log.ts'

/** A file's text, or why it cannot be read. */
export type FileContent = { readonly text: string } | { readonly error: string }

export interface FolderListing {
  /** By path, in the order of paths; with a link to a folder that is read already, since something is wrong with it too. */
  readonly files: ReadonlyMap<string, FileContent>
  /** Folders that cannot be listed; what they held before still holds. */
  readonly unreadable: ReadonlyMap<string, string>
}

/** Editors and `kubectl` write in several steps; a file is read when it has been quiet this long. */
const QUIET_MS = 60
/** A change that never gets quiet is read all the same after this. */
const LONGEST_WAIT_MS = 500
/** inotify queues overflow and some file systems have no notices, so look again now and then. */
const RESCAN_MS = 5_000

export async function listFolders(folders: readonly string[]): Promise<FolderListing> {
  const files = new Map<string, FileContent>()
  const unreadable = new Map<string, string>()
  for (const folder of folders) {
    try {
      const walk = await manifestsBelow(folder)
      for (const file of walk.files) files.set(file, await read(file))
      for (const [link, target] of walk.repeated) files.set(link, { error: `it leads to ${target}, which is read already: remove the link` })
    } catch (error) {
      unreadable.set(folder, messageOf(error))
    }
  }
  return { files, unreadable }
}

export class FolderSource {
  readonly #folders: readonly string[]
  readonly #onListing: (listing: FolderListing) => Promise<void>
  readonly #log: Logger
  readonly #signal: AbortSignal
  readonly #watchers = new Map<string, FSWatcher>()
  #quiet: NodeJS.Timeout | undefined
  #waitingSince: number | undefined
  #running = false
  #again = false
  #last: FolderListing | undefined

  constructor(
    folders: readonly string[],
    onListing: (listing: FolderListing) => Promise<void>,
    { log, signal }: { log: Logger; signal: AbortSignal },
  ) {
    this.#folders = folders
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
      const watcher = watch(folder, { recursive: true, signal: this.#signal }, () => this.#changed())
      watcher.on('error', () => this.#watchers.delete(folder))
      this.#watchers.set(folder, watcher)
    } catch (error) {
      this.#log.debug('cannot watch yet', { folder, reason: messageOf(error) })
    }
  }

  #changed(): void {
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
        const listing = await listFolders(this.#folders)
        if (isDeepStrictEqual(listing, this.#last)) continue
        this.#last = listing
        await this.#onListing(listing)
      }
    } finally {
      this.#running = false
    }
  }
}

async function read(file: string): Promise<FileContent> {
  try {
    return { text: await readFile(file, 'utf8') }
  } catch (error) {
    return { error: messageOf(error) }
  }
}
