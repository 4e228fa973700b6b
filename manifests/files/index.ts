// Manifests from files, folders and standard input: the only part of manifests/ that needs Node.
import { readFile, stat } from 'node:fs/promises'
import { text as readAll } from 'node:stream/consumers'
import { ManifestError, parseDocuments, type ParsedFile } from '../index.ts'
import { manifestsBelow } from './walk.ts'

export { isHidden, isManifest, manifestsBelow } from './walk.ts'
export const STANDARD_INPUT = '-'

/** What stands in one file. */
export interface ManifestText {
  readonly file: string
  readonly text: string
}

/** A file, or why it has no text. */
export type ReadFile = ManifestText | { readonly file: string; readonly error: ManifestError }

/** Every manifest of files, folders (sorted by name) and `-`; what cannot be read is an error in its place. */
export async function readFiles(paths: readonly string[]): Promise<readonly ReadFile[]> {
  const read: ReadFile[] = []
  for (const path of paths) {
    try {
      for (const file of await manifestsAt(path)) read.push(await readOne(file))
    } catch (cause) {
      read.push(unreadable(path, cause))
    }
  }
  return read
}

/** The same, parsed. */
export async function loadFiles(paths: readonly string[]): Promise<readonly ParsedFile[]> {
  const files = await readFiles(paths)
  return files.map((read) =>
    'text' in read ? parseDocuments(read.text, read.file) : { file: read.file, documents: [], errors: [read.error] },
  )
}

/** A path that is named is read whatever its name; below a folder the extension decides. */
async function manifestsAt(path: string): Promise<readonly string[]> {
  if (path === STANDARD_INPUT || !(await stat(path)).isDirectory()) return [path]
  const { files } = await manifestsBelow(path)
  if (files.length === 0) throw new Error('none of its files ends in .yaml, .yml or .json')
  return files
}

async function readOne(file: string): Promise<ReadFile> {
  if (file === STANDARD_INPUT) return { file: 'standard input', text: await readAll(process.stdin) }
  try {
    return { file, text: await readFile(file, 'utf8') }
  } catch (cause) {
    return unreadable(file, cause)
  }
}

function unreadable(file: string, cause: unknown): ReadFile {
  // The system's message repeats the call and the path behind a comma.
  const reason = (cause instanceof Error ? cause.message : String(cause)).replace(/, \w+( '.*')?$/s, '')
  const problem = `cannot be read: ${reason}`
  const fault = { code: 'UNREADABLE', file, line: 0, column: 0, path: [], problem, allowed: 'a file or folder of manifests, or -' } as const
  return { file, error: new ManifestError(fault, { cause }) }
}
