// Manifests in a request's body.
import { AgentError } from '../errors.ts'
import type { Call } from './http.ts'
import { MANIFEST_FILES, type ManifestText } from './types.ts'

/** One text of YAML or JSON, or those of several files. Throws BAD_REQUEST for files that are none. */
export async function manifestTexts({ type, body, query }: Call): Promise<readonly ManifestText[]> {
  const text = await body()
  return type === MANIFEST_FILES ? parseFiles(text) : [{ file: query.get('file') ?? 'request', text }]
}

function parseFiles(body: string): readonly ManifestText[] {
  const { files } = parseObject(body)
  if (Array.isArray(files) && files.every(isText)) return files
  throw new AgentError('BAD_REQUEST', 'the body is no list of files: {"files": [{"file": NAME, "text": MANIFESTS}]}')
}

function parseObject(body: string): { readonly files?: unknown } {
  try {
    return Object(JSON.parse(body)) as object
  } catch (cause) {
    throw new AgentError('BAD_REQUEST', 'the body is no JSON', { cause })
  }
}

function isText(value: unknown): value is ManifestText {
  const { file, text } = Object(value) as Partial<Record<keyof ManifestText, unknown>>
  return typeof file === 'string' && typeof text === 'string'
}
