// Manifests from the file system: the only file of this folder that needs Node.
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ManifestError } from './document/errors.ts'
import { parseDocuments, type ParsedFile } from './parse.ts'

const EXTENSION = /\.(ya?ml|json)$/

/** Every manifest of the files and folders, sorted by name; a file that cannot be read is an error in its place. */
export async function loadFiles(paths: readonly string[], options: { signal?: AbortSignal } = {}): Promise<readonly ParsedFile[]> {
  const loaded: ParsedFile[] = []
  for (const path of paths) {
    try {
      for (const file of await manifestsBelow(path)) loaded.push(await loadFile(file, options))
    } catch (error) {
      if (options.signal?.aborted) throw error
      loaded.push(unreadable(path, error))
    }
  }
  return loaded
}

/** A path that is named is read whatever its name; below a folder the extension decides. */
async function manifestsBelow(path: string): Promise<readonly string[]> {
  if (!(await stat(path)).isDirectory()) return [path]
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => !entry.isDirectory() && EXTENSION.test(entry.name) && !entry.name.startsWith('.'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

async function loadFile(file: string, options: { signal?: AbortSignal }): Promise<ParsedFile> {
  try {
    return parseDocuments(await readFile(file, { encoding: 'utf8', ...options }), file)
  } catch (error) {
    if (options.signal?.aborted) throw error
    return unreadable(file, error)
  }
}

function unreadable(file: string, cause: unknown): ParsedFile {
  const problem = `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`
  const fault = { code: 'UNREADABLE', file, line: 0, column: 0, path: [], problem, allowed: 'a file or folder of manifests' } as const
  return { file, documents: [], errors: [new ManifestError(fault, { cause })] }
}
