// The files behind `-f`, as one body for the agent: applied all or nothing, errors told by the file they are in.
import { globSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { ApiErrorDetail } from '../agent/api/types.ts'
import { parseDocuments } from '../manifests/index.ts'
import { CliError } from './errors.ts'

interface Part {
  readonly file: string
  /** In the body, from 1. */
  readonly firstLine: number
  readonly text: string
}

export interface PolicyReference {
  readonly kind: string
  /** Empty for kinds without a namespace. */
  readonly namespace: string
  readonly name: string
}

export class ManifestFiles {
  readonly #parts: readonly Part[]

  private constructor(parts: readonly Part[]) {
    this.#parts = parts
  }

  /** `paths`: files, folders (every *.yaml, *.yml, *.json below) or `-` for standard input. Throws CliError. */
  static async read(paths: readonly string[]): Promise<ManifestFiles> {
    const parts: Part[] = []
    let firstLine = 1
    for (const file of paths.flatMap(filesBelow)) {
      const content = file === '-' ? await text(process.stdin) : readFile(file)
      parts.push({ file: file === '-' ? 'standard input' : file, firstLine, text: content })
      firstLine += withNewline(content).split('\n').length
    }
    return new ManifestFiles(parts)
  }

  /** "..." ends a document (YAML 1.2 section 9.1.2), so that the next file may start with a directive or with "---". */
  get body(): string {
    return this.#parts.map((part) => withNewline(part.text)).join('...\n')
  }

  /** What the agent calls the body in its messages. */
  get name(): string {
    return this.#parts.length === 1 ? (this.#parts[0]?.file ?? '') : `${this.#parts.length} files`
  }

  /** A mistake that the agent found, told by file and line: "web.yaml:12: spec.ingress: ...". */
  describe({ file, line, path, message }: ApiErrorDetail): string {
    const place = path === undefined ? '' : `${path}: `
    return `${this.#locate(file, line)}: ${place}${message}`
  }

  /** A mistake may also be in a file of the agent's own, e.g. where both define the same name. */
  #locate(file: string, line: number | undefined): string {
    if (line === undefined) return file
    const part = file === this.name ? this.#parts.findLast(({ firstLine }) => firstLine <= line) : undefined
    return part === undefined ? `${file}:${line}` : `${part.file}:${line - part.firstLine + 1}`
  }

  /** Kind, namespace and name of every document. Throws CliError with every mistake, a line each. */
  references(): PolicyReference[] {
    const parsed = this.#parts.map((part) => parseDocuments(part.text, part.file))
    const mistakes = parsed.flatMap(({ errors }) => errors)
    if (mistakes.length > 0) {
      throw new CliError(`nothing was deleted:\n${mistakes.map(({ message }) => `  ${message}`).join('\n')}`)
    }
    const resources = parsed.flatMap(({ documents }) => documents.map(({ resource }) => resource))
    return resources.map(({ kind, namespace, name }) => ({ kind, namespace, name }))
  }
}

function filesBelow(path: string): readonly string[] {
  if (path === '-' || !isDirectory(path)) return [path]
  const files = globSync('**/*.{yaml,yml,json}', { cwd: path }).sort()
  if (files.length === 0) throw new CliError(`${path} holds no manifest: none of its files ends in .yaml, .yml or .json`)
  return files.map((file) => join(path, file))
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch (error) {
    throw new CliError(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, { cause: error })
  }
}

function readFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new CliError(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, { cause: error })
  }
}

function withNewline(content: string): string {
  return content.endsWith('\n') ? content : `${content}\n`
}
