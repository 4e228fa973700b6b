// Text of one file -> documents. YAML 1.2 or JSON, several documents, kind List; every fault with its place.
import { isMap, isScalar, isSeq, LineCounter } from 'yaml'
import { ManifestError } from './document/errors.ts'
import { CONTRADICTED } from './claims.ts'
import { KIND_NAMES, readerOf } from './kinds.ts'
import type { Schema, Value } from './document/schema.ts'
import { validate } from './document/validate.ts'
import { parseJson } from './document/json.ts'
import type { Document, Resource } from './resources.ts'
import { Budget, type Origin, Source, TOO_LARGE } from './document/source.ts'
import { type Excess, streamDocuments, type YamlDocument } from './document/stream.ts'
import { survey, type Survey } from './document/survey.ts'

/** Fifty times what Kubernetes takes for one object (etcd's 1.5 MiB). */
const SIZE_LIMIT = 64 * 1024 * 1024

/** How deep a List of Lists may go. */
const LIST_DEPTH = 4

export interface ParsedFile {
  readonly file: string
  /** Only those without faults. */
  readonly documents: readonly Document[]
  readonly errors: readonly ManifestError[]
}

/** A document, and what is written there as plain data. */
export interface Manifest {
  readonly document: Document
  readonly value: unknown
}

/** `file` is for positions only. Never throws for what `text` holds. */
export function parseDocuments(text: string, file: string): ParsedFile {
  const documents: Document[] = []
  const errors = readEach(text, file, (source) => {
    for (const { document } of readSource(source, 0)) documents.push(document)
  })
  return { file, documents, errors }
}

/** The same for who keeps each document by itself. */
export function parseManifests(text: string, file: string): { readonly manifests: readonly Manifest[]; readonly errors: readonly ManifestError[] } {
  const manifests: Manifest[] = []
  const errors = readEach(text, file, (source) => {
    for (const { document, source: own, type } of readSource(source, 0)) manifests.push({ document, value: { ...type, ...Object(own.value) } })
  })
  return { manifests, errors }
}

/**
 * The value of a file that is no manifest: one document along a schema. `read` makes something of it, and may report
 * what a schema cannot say; undefined where there is any fault.
 */
export function parseValue<const S extends Schema, T>(
  text: string,
  file: string,
  { schema, read }: { readonly schema: S; readonly read: (value: Value<S>, source: Source) => T },
): { readonly value?: T; readonly errors: readonly ManifestError[] } {
  const values: T[] = []
  const errors = readEach(text, file, (source) => {
    const valid = validate(source, schema)
    if (valid !== undefined) values.push(read(valid, source))
  })
  const [value] = values
  if (errors.length > 0) return { errors }
  if (value === undefined || values.length > 1) return { errors: [excessive(file, { problem: `the file has ${values.length} documents`, allowed: 'one' })] }
  return { value, errors }
}

/** Every resource of a file, items of Lists by themselves, without a look at what it says. */
export function resourceSources(text: string, file: string, isWanted: (source: Source) => boolean): readonly Source[] {
  const sources: Source[] = []
  readEach(text, file, (source) => sources.push(...itemsOf(source, 0).filter(isWanted)))
  return sources
}

function itemsOf(source: Source, depth: number): readonly Source[] {
  const items = source.nodeAt(['items'])
  if (!isSeq(items) || depth === LIST_DEPTH) return [source]
  return items.items.flatMap((_, index) => itemsOf(source.below(['items', index]), depth + 1))
}

/** The faults of the file. */
function readEach(text: string, file: string, read: (source: Source) => void): readonly ManifestError[] {
  const budget = new Budget()
  for (const source of sourcesOf(text, file, budget)) read(source)
  return budget.errors
}

function* sourcesOf(text: string, file: string, budget: Budget): Generator<Source> {
  if (text.length > SIZE_LIMIT) {
    return void budget.errors.push(excessive(file, { problem: `the file has ${text.length} characters`, allowed: `at most ${SIZE_LIMIT}` }))
  }
  const json = parseJson(text)
  if (json !== undefined) return void (yield jsonSource(json, text, file, budget))
  const lines = new LineCounter()
  for (const streamed of streamDocuments(text, lines)) {
    if (budget.exhausted) return
    if ('excess' in streamed) return void budget.errors.push(excessive(file, streamed.excess, lines.linePos(streamed.offset)))
    const { document } = streamed
    const found = survey(document)
    const source = new Source({ file, document, aliases: found.aliases, lines, budget })
    if (document.errors.length + found.duplicates.length + found.dangling.length > 0) reportSyntax(source, document, found)
    else if (document.contents !== null && !isNullScalar(document.contents)) yield source
  }
}

function jsonSource(document: YamlDocument, text: string, file: string, budget: Budget): Source {
  const origin = { file, document, aliases: new Map(), lines: new LineCounter(), budget }
  const before = text.slice(0, text.indexOf('{')).split('\n')
  const start = { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 }
  let placed: WeakRef<Origin> | undefined // Many items of one List may ask, and parsed documents are large.
  const place = (): Origin => {
    const known = placed?.deref() ?? placedOrigin(origin, text)
    placed = new WeakRef(known)
    return known
  }
  return new Source({ ...origin, unplaced: { start, place } })
}

/** Of a text that has no fault as JSON. */
function placedOrigin(origin: Origin, text: string): Origin {
  const lines = new LineCounter()
  const [streamed] = streamDocuments(text, lines)
  if (streamed === undefined || 'excess' in streamed) throw new TypeError(`${origin.file}: JSON that is no YAML`)
  return { ...origin, document: streamed.document, lines }
}

const isNullScalar = (node: unknown): boolean => isScalar(node) && node.value === null

function excessive(file: string, excess: Excess, { line, col } = { line: 0, col: 0 }): ManifestError {
  return new ManifestError({ code: 'LIMIT', file, line, column: col, path: [], ...excess })
}

/** What the parser says after its first fault of a document mostly follows from that one. */
function reportSyntax(source: Source, { errors: [first] }: YamlDocument, { duplicates, dangling }: Survey): void {
  if (first !== undefined) return source.reportAt('SYNTAX', first.pos[0], first.message)
  for (const alias of dangling) source.reportDangling(alias)
  for (const duplicate of duplicates) source.reportDuplicate(duplicate)
}

/** What a document is. */
interface Type {
  readonly apiVersion: string
  readonly kind: string
}

interface Read {
  readonly document: Document
  readonly source: Source
  readonly type: Type
}

/** `listed`: what items of a typed list are that do not say it themselves. */
function readSource(source: Source, depth: number, listed?: Type): readonly Read[] {
  if (source.budget.exhausted) return []
  // Items that are aliases of Lists multiply too.
  if (source.budget.visit() === 'over') source.report('LIMIT', [], TOO_LARGE)
  const apiVersion = textAt(source, 'apiVersion', listed?.apiVersion)
  const kind = textAt(source, 'kind', listed?.kind)
  if (apiVersion === undefined || kind === undefined) return []
  const type = { apiVersion, kind }
  if (isList(type) && depth < LIST_DEPTH) return readList(source, depth, itemType(type))
  const read = readerOf(apiVersion, kind)
  if (read === undefined) {
    source.report('UNKNOWN_KIND', ['kind'], `${apiVersion} ${kind} is not known`, KIND_NAMES.join(', '))
    return []
  }
  const before = source.budget.errors.length
  const resource = read(source)
  if (resource === undefined || source.budget.errors.length > before) return []
  return [{ document: documentOf(source, resource), source, type }]
}

function documentOf(source: Source, resource: Resource): Document {
  const { warnings, placed } = source
  if (placed === undefined) return { location: source.location, places: source.places(CONTRADICTED), resource, warnings }
  return new UnplacedDocument(resource, warnings, placed, source.start)
}

/** Where it stands is found out for who asks; hardly anybody does. */
class UnplacedDocument implements Document {
  readonly resource: Resource
  readonly warnings: Document['warnings']
  readonly #placed: () => Source
  #location: Document['location'] | undefined

  constructor(resource: Resource, warnings: Document['warnings'], placed: () => Source, location: Document['location'] | undefined) {
    this.resource = resource
    this.warnings = warnings
    this.#placed = placed
    this.#location = location
  }

  get location(): Document['location'] {
    return (this.#location ??= this.#placed().location)
  }

  get places(): Document['places'] {
    return this.#placed().places(CONTRADICTED)
  }
}

/** `kubectl get -o yaml` gives a List of what was asked for; the API server, and clients of its types, a list of one kind. */
function isList(type: Type): boolean {
  const item = itemType(type)
  return item === undefined ? type.apiVersion === 'v1' && type.kind === 'List' : readerOf(item.apiVersion, item.kind) !== undefined
}

/** A PodList holds Pods, which need not say so; undefined for a List of anything. */
function itemType({ apiVersion, kind }: Type): Type | undefined {
  return /.List$/.test(kind) ? { apiVersion, kind: kind.slice(0, -'List'.length) } : undefined
}

function readList(source: Source, depth: number, listed: Type | undefined): readonly Read[] {
  const items = source.nodeAt(['items'])
  if (isSeq(items)) return items.items.flatMap((_, index) => readSource(source.below(['items', index]), depth + 1, listed))
  // An empty list of Go's is null.
  if (!isNullScalar(items)) source.report('INVALID', ['items'], 'is no list', 'a list of documents')
  return []
}

function textAt(source: Source, field: string, otherwise?: string): string | undefined {
  const node = source.nodeAt([field])
  if (isScalar(node) && typeof node.value === 'string') return node.value
  if (otherwise !== undefined && isMap(source.node) && (node === null || isNullScalar(node))) return otherwise
  const problem = isMap(source.node) ? 'required field is missing' : 'the document is no mapping'
  source.report('MISSING_FIELD', [field], problem, KIND_NAMES.join(', '))
  return undefined
}
