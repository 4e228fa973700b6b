// The manifests of a folder and of those below it, also of those that symbolic links lead to.
import { readdir, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'

const EXTENSION = /\.(ya?ml|json)$/

/** Whether a file of this name counts; hidden ones do not, whatever they are called. */
export const isManifest = (name: string): boolean => !isHidden(name) && EXTENSION.test(name)

export const isHidden = (name: string): boolean => name.startsWith('.')

export interface Walk {
  /** Sorted. */
  readonly files: readonly string[]
  /** Links to folders that are read already, by way of another path: their own parents, in a loop. With what they lead to. */
  readonly repeated: ReadonlyMap<string, string>
}

/**
 * Every folder is read once, by its real path if it has one inside. Hidden files and folders do not count: editors and
 * version control keep theirs there, and Kubernetes the versions of a mounted ConfigMap. Rejects where a folder cannot be read.
 */
export async function manifestsBelow(root: string): Promise<Walk> {
  const folders = [root]
  const links: string[] = []
  const files: string[] = []
  const read = new Set<string>()
  const repeated = new Map<string, string>()
  for (let folder = folders.shift(); folder !== undefined; folder = folders.shift() ?? links.shift()) {
    const real = await realpath(folder)
    if (read.has(real)) {
      repeated.set(folder, real)
      continue
    }
    read.add(real)
    const entries = await entriesOf(folder)
    folders.push(...entries.folders)
    links.push(...entries.links)
    files.push(...entries.files)
  }
  return { files: files.sort(), repeated }
}

interface Entries {
  readonly folders: string[]
  /** To folders. */
  readonly links: string[]
  readonly files: string[]
}

async function entriesOf(folder: string): Promise<Entries> {
  const found: Entries = { folders: [], links: [], files: [] }
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (isHidden(entry.name)) continue
    if (entry.isDirectory()) found.folders.push(path)
    else if (entry.isSymbolicLink() && (await leadsToFolder(path))) found.links.push(path)
    else if (isManifest(entry.name)) found.files.push(path)
  }
  return found
}

/** Not where it leads nowhere: reading it tells why. */
async function leadsToFolder(link: string): Promise<boolean> {
  return (await stat(link).catch(() => undefined))?.isDirectory() ?? false
}
