// The manifests of folders as they were read last, and what to read again: a file whose status says that it is another
// one, or one that the system told of.
import { type BigIntStats, lstatSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { isHidden, isManifest, manifestsBelow } from '../../manifests/files/index.ts'
import { messageOf } from '../log.ts'

/** A file's text, or why it cannot be read. */
export type FileContent = { readonly text: string } | { readonly error: string }

export interface FolderListing {
  /** By path, in the order of paths; with a link to a folder that is read already, since something is wrong with it too. */
  readonly files: ReadonlyMap<string, FileContent>
  /** Folders that cannot be listed; what they held before still holds. */
  readonly unreadable: ReadonlyMap<string, string>
}

interface ReadFile {
  readonly content: FileContent
  /** Undefined: it may change without another one. */
  readonly stamp: string | undefined
}

/** Two writes within one tick of the kernel's clock leave the same time, so a time that is this young proves nothing. */
const CLOCK_DOUBT_NS = 1_000_000_000n
/** The event loop has a turn after so many files: a status takes a few microseconds, a file some tens. */
const FILES_A_TURN = 64

export class Files {
  readonly #folders: readonly string[]
  #files: ReadonlyMap<string, ReadFile> = new Map()
  #repeated: ReadonlyMap<string, FileContent> = new Map()
  #unreadable: ReadonlyMap<string, string> = new Map()

  constructor(folders: readonly string[]) {
    this.#folders = folders
  }

  get listing(): FolderListing {
    const contents = [...this.#files].map(([path, { content }]) => [path, content] as const)
    return { files: new Map([...contents, ...this.#repeated]), unreadable: this.#unreadable }
  }

  /** Looks at everything, and reads what is not as it was. */
  async walk(): Promise<void> {
    const files = new Map<string, ReadFile>()
    const repeated = new Map<string, FileContent>()
    const unreadable = new Map<string, string>()
    for (const folder of this.#folders) {
      try {
        const walk = await manifestsBelow(folder)
        for (const [index, path] of walk.files.entries()) {
          if (index % FILES_A_TURN === 0) await setImmediate()
          files.set(path, read(path, this.#files.get(path)))
        }
        for (const [link, target] of walk.repeated) repeated.set(link, { error: `it leads to ${target}, which is read already: remove the link` })
      } catch (error) {
        unreadable.set(folder, messageOf(error))
      }
    }
    this.#files = files
    this.#repeated = repeated
    this.#unreadable = unreadable
  }

  /** Reads these again. False, and nothing changed, where that is not enough: folders or links came or went. */
  look(paths: ReadonlySet<string>): boolean {
    if (this.#unreadable.size > 0) return false
    const folders = new Set([...this.#folders, ...[...this.#files.keys()].map((path) => dirname(path))])
    const files = new Map(this.#files)
    for (const path of paths) if (!this.#lookAt(path, folders, files)) return false
    this.#files = new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)))
    return true
  }

  #lookAt(path: string, folders: ReadonlySet<string>, files: Map<string, ReadFile>): boolean {
    const status = lstatSync(path, { throwIfNoEntry: false })
    if (status === undefined) return files.delete(path) || !folders.has(path)
    if (!status.isFile()) return false
    const known = folders.has(dirname(path)) || isHidden(basename(path))
    if (known && isManifest(basename(path))) files.set(path, read(path, files.get(path), { always: true }))
    return known
  }
}

function read(path: string, before: ReadFile | undefined, { always = false } = {}): ReadFile {
  try {
    const stamp = stampOf(statSync(path, { bigint: true }))
    if (!always && stamp !== undefined && stamp === before?.stamp) return before
    const content = { text: readFileSync(path, 'utf8') }
    return { content: isSame(content, before?.content) ? before.content : content, stamp }
  } catch (error) {
    return { content: { error: messageOf(error) }, stamp: undefined }
  }
}

const isSame = (a: { readonly text: string }, b: FileContent | undefined): b is { readonly text: string } => b !== undefined && 'text' in b && b.text === a.text

function stampOf({ dev, ino, size, ctimeNs }: BigIntStats): string | undefined {
  if (BigInt(Date.now()) * 1_000_000n - ctimeNs < CLOCK_DOUBT_NS) return undefined
  return `${dev} ${ino} ${size} ${ctimeNs}`
}
