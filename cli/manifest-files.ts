// The files behind `-f`, as a request for the agent, and its refusals by file, line and path.
import type { ManifestText } from '../agent/api/index.ts'
import { readFiles } from '../manifests/files/index.ts'
import { formatDetail } from '../manifests/index.ts'
import { RefusedError } from './client.ts'
import { CliError } from './errors.ts'

/** `paths`: files, folders or `-` for standard input. Throws CliError with all that cannot be read. */
export async function readManifestTexts(paths: readonly string[]): Promise<readonly ManifestText[]> {
  const files = await readFiles(paths)
  const errors = files.flatMap((file) => ('error' in file ? [file.error.message] : []))
  if (errors.length > 0) throw new CliError(errors.join('\n'))
  return files.filter((file) => 'text' in file)
}

/** Where the agent lists faults, each of them by its place; its own message would only say them again. */
export function describeRefusal(error: unknown, nothingDone: string): unknown {
  if (!(error instanceof RefusedError)) return error
  const { message, details = [] } = error.body
  const faults = details.map((detail) => `\n  ${formatDetail(detail)}`)
  return new CliError(`${nothingDone}:${faults.length === 0 ? ` ${message}` : faults.join('')}`, { cause: error })
}
