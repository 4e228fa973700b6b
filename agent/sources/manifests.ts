// All manifests together: files of the watched folders and what came through the API. Of a file with a fault its last
// good version holds; the others hold as they are. Pure: texts in, cluster and problems out.
import { setImmediate } from 'node:timers/promises'
import type { PortMatch } from '../../engine/index.ts'
import { type Cluster, compile, type Document, type NumberOf, parseDocuments } from '../../manifests/index.ts'
import type { ApiErrorDetail } from '../api/types.ts'
import type { ManifestError } from '../../manifests/index.ts'
import type { FileContent } from './folder.ts'

/** A file, or an applied document under a name that is no path. */
export interface Origin {
  readonly name: string
  readonly content: FileContent
  /** Its text when it last was without fault; undefined where it never was. */
  readonly lastGood: string | undefined
}

export interface Problem {
  readonly name: string
  readonly details: readonly ApiErrorDetail[]
  /** Whether its last good version is enforced instead; otherwise nothing of it is. */
  readonly lastGood: boolean
}

export interface Resolution {
  readonly cluster: Cluster
  /** By name of the origin: the text that holds, last good or new. */
  readonly effective: ReadonlyMap<string, string>
  readonly problems: readonly Problem[]
}

interface Parsed {
  readonly documents: readonly Document[]
  readonly details: readonly ApiErrorDetail[]
}

interface ParsedText {
  readonly text: string
  readonly parsed: Parsed
}

/** Parsing is most of the work and most files do not change. */
export class ManifestParser {
  #cache = new Map<string, ParsedText[]>()
  #used = new Map<string, ParsedText[]>()

  parse(text: string, file: string): Parsed {
    const entry = this.#find(text, file) ?? { text, parsed: parseText(text, file) }
    this.#used.set(file, [...(this.#used.get(file) ?? []).filter((other) => other !== entry), entry])
    return entry.parsed
  }

  /** Parses what is new, a file a turn of the event loop: parsing YAML takes a third of a millisecond a document. */
  async warm(origins: readonly Origin[]): Promise<void> {
    for (const { content, name } of origins) {
      if ('error' in content || this.#find(content.text, name) !== undefined) continue
      this.parse(content.text, name)
      await setImmediate()
    }
  }

  /** Forgets what was not parsed since the last call. */
  sweep(): void {
    this.#cache = this.#used
    this.#used = new Map()
  }

  #find(text: string, file: string): ParsedText | undefined {
    return [...(this.#used.get(file) ?? []), ...(this.#cache.get(file) ?? [])].find((entry) => entry.text === text)
  }
}

/** Where one origin stands: new text, its last good one, or nothing. */
interface Candidate {
  readonly origin: Origin
  readonly text: string | undefined
  readonly documents: readonly Document[]
  readonly details: readonly ApiErrorDetail[]
}

/** What this node cannot do of a cluster that is right in itself. */
export type Refuse = (cluster: Cluster) => readonly ManifestError[]

/** What the node has to do with the cluster that manifests describe. */
export interface NodeFacts {
  readonly numberOf: NumberOf
  readonly refuse?: Refuse
  /** Stay open whatever host policies say. */
  readonly hostPorts?: readonly PortMatch[]
}

/**
 * Files that are as they were when they last were enforced come first, so that in a conflict the newcomer is the one
 * that is refused. Each round takes back at least one origin, so it ends.
 */
export function resolve(origins: readonly Origin[], parser: ManifestParser, { numberOf, refuse = () => [], hostPorts = [] }: NodeFacts): Resolution {
  let candidates = origins.map((origin) => firstCandidate(origin, parser)).sort(settledFirst)
  for (;;) {
    const cluster = compile(candidates.flatMap(({ documents }) => documents), numberOf, hostPorts)
    const errors = [...cluster.errors, ...refuse(cluster)]
    if (errors.length === 0) return resolution(cluster, candidates)
    const refused = groupByFile(errors)
    candidates = candidates
      .map((candidate) => {
        const details = refused.get(candidate.origin.name)
        return details === undefined ? candidate : takeBack(candidate, details, parser)
      })
      .sort(settledFirst)
  }
}

function firstCandidate(origin: Origin, parser: ManifestParser): Candidate {
  const { content, name } = origin
  if ('error' in content) {
    return takeBack({ origin, text: undefined, documents: [], details: [] }, [{ file: name, message: content.error }], parser)
  }
  const { documents, details } = parser.parse(content.text, name)
  const candidate = { origin, text: content.text, documents, details: [] }
  if (details.length > 0) return takeBack(candidate, details, parser)
  return documents.length === 0 && heldDocuments(origin, parser) ? takeBack(candidate, [emptied(name)], parser) : candidate
}

/** A file that was cut off must not take its policies away; whoever wants that deletes the file. */
function heldDocuments({ lastGood, name }: Origin, parser: ManifestParser): boolean {
  return lastGood !== undefined && parser.parse(lastGood, name).documents.length > 0
}

function emptied(file: string): ApiErrorDetail {
  return { file, message: 'the file holds no document any more; delete the file to take away what it held' }
}

/** From the new text to the last good one, from that to nothing. */
function takeBack(candidate: Candidate, details: readonly ApiErrorDetail[], parser: ManifestParser): Candidate {
  const { origin } = candidate
  const { lastGood } = origin
  const all = [...candidate.details, ...details]
  if (lastGood !== undefined && candidate.text !== lastGood) {
    const parsed = parser.parse(lastGood, origin.name)
    if (parsed.details.length === 0) return { origin, text: lastGood, documents: parsed.documents, details: all }
  }
  return { origin, text: undefined, documents: [], details: all }
}

function settledFirst(a: Candidate, b: Candidate): number {
  return Number(isNew(a)) - Number(isNew(b)) || (a.origin.name < b.origin.name ? -1 : 1)
}

function isNew({ text, origin }: Candidate): boolean {
  return text !== origin.lastGood
}

function resolution(cluster: Cluster, candidates: readonly Candidate[]): Resolution {
  const effective = new Map<string, string>()
  const problems: Problem[] = []
  for (const { origin, text, details } of candidates) {
    if (text !== undefined) effective.set(origin.name, text)
    if (details.length > 0) problems.push({ name: origin.name, details, lastGood: text !== undefined })
  }
  return { cluster, effective, problems }
}

function parseText(text: string, file: string): Parsed {
  const { documents, errors } = parseDocuments(text, file)
  return { documents, details: errors.map(({ detail }) => detail) }
}

function groupByFile(errors: readonly ManifestError[]): Map<string, ApiErrorDetail[]> {
  const groups = new Map<string, ApiErrorDetail[]>()
  for (const error of errors) groups.set(error.file, [...(groups.get(error.file) ?? []), error.detail])
  return groups
}
