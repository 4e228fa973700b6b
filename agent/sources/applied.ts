// Source: manifests that came through the API. Each resource is kept as a text of its own, so that it can be replaced
// and deleted by its name whatever document it came in.
import { parseAllDocuments } from 'yaml'
import { type Document, formatDetail, type Location, parseDocuments } from '../../manifests/index.ts'
import type { ApiErrorDetail, AppliedDocument, DocumentName, ManifestText } from '../api/index.ts'
import { AgentError } from '../errors.ts'
import type { AppliedManifest } from '../store.ts'
import type { Origin } from './manifests.ts'

/** A resource of a request, and where the user has it. */
export interface ReadManifest {
  readonly manifest: AppliedManifest
  readonly location: Location
  readonly places: Document['places']
}

export class InvalidManifestError extends AgentError {
  readonly details: readonly ApiErrorDetail[]

  constructor(details: InvalidManifestError['details'], code: 'INVALID_MANIFEST' | 'CONFLICT' | 'NOT_FOUND' = 'INVALID_MANIFEST') {
    const first = details[0] === undefined ? '' : formatDetail(details[0])
    super(code, details.length === 1 ? first : `${details.length} errors, the first: ${first}`)
    this.details = details
  }
}

const ORIGIN_PREFIX = 'api:'

export function originOf(manifest: AppliedManifest, lastGood: string | undefined): Origin {
  return { name: originName(manifest), content: { text: manifest.text }, lastGood }
}

export function originName({ kind, namespace, name }: DocumentName): string {
  return `${ORIGIN_PREFIX}${kind}/${namespace}/${name}`
}

export function isApplied(origin: string): boolean {
  return origin.startsWith(ORIGIN_PREFIX)
}

/** "Service demo/web" for the origin of an applied manifest. */
export function titleOfOrigin(origin: string): string {
  const [kind = '', namespace = '', name = ''] = origin.slice(ORIGIN_PREFIX.length).split('/')
  return titleOf({ kind, namespace, name })
}

/** The resources of a request. Throws InvalidManifestError, with places in the user's files, if any has a fault. */
export function readApplied(files: readonly ManifestText[]): ReadManifest[] {
  const parsed = files.map(({ text, file }) => parseDocuments(text, file))
  const errors = parsed.flatMap((each) => each.errors)
  if (errors.length > 0) throw new InvalidManifestError(errors.map(({ detail }) => detail))
  const documents = parsed.flatMap((each) => each.documents)
  if (documents.length === 0) throw new AgentError('BAD_REQUEST', `${files.map(({ file }) => file).join(', ')}: no document in it`)
  checkDistinct(documents)
  // Both list the same resources in the same order, since neither has those without effect.
  return files.flatMap(({ text }) => manifestsOf(text)).map((manifest, index) => {
    const { location, places } = documents[index] as Document
    return { manifest, location, places }
  })
}

function manifestsOf(text: string): AppliedManifest[] {
  // Its own checks are off: parseDocuments has bounded what aliases expand to, and found keys that stand twice.
  return parseAllDocuments(text, { uniqueKeys: false }).flatMap((document) => resourcesOf(document.toJS({ maxAliasCount: -1 }))).flatMap(toManifest)
}

/** Faults of applied manifests, which go by their names, told by the user's own file and line where `read` has them. */
export function inUsersFiles(details: readonly ApiErrorDetail[], read: readonly ReadManifest[]): ApiErrorDetail[] {
  const users = new Map(read.map((each) => [originName(each.manifest), each]))
  const placeOf = ({ file, line, column }: Place, path = ''): Place => {
    const own = users.get(file)
    if (isApplied(file)) return own?.places[path] ?? own?.location ?? { file: EARLIER }
    return { file, ...(line !== undefined && { line }), ...(column !== undefined && { column }) }
  }
  return details.map((detail) => {
    const { path, message, other } = detail
    return { ...placeOf(detail, path), ...(path !== undefined && { path }), message, ...(other && { other: placeOf(other) }) }
  })
}

type Place = Pick<ApiErrorDetail, 'file' | 'line' | 'column'>

/** Of what was applied by a request that is over: nobody knows the file any more. */
const EARLIER = 'applied earlier'

/** `current` without the resources of `read`. Throws InvalidManifestError with those that were never applied. */
export function withoutApplied(current: readonly AppliedManifest[], read: readonly ReadManifest[]): AppliedManifest[] {
  const known = new Set(current.map(originName))
  const missing = read.filter(({ manifest }) => !known.has(originName(manifest)))
  if (missing.length > 0) {
    const message = 'was not applied through the API, so it cannot be deleted there'
    throw new InvalidManifestError(missing.map(({ manifest, location }) => ({ ...location, message: `${titleOf(manifest)} ${message}` })), 'NOT_FOUND')
  }
  const gone = new Set(read.map(({ manifest }) => originName(manifest)))
  return current.filter((manifest) => !gone.has(originName(manifest)))
}

/** `current` with `added` in place of what has the same names, and what that did. */
export function mergeApplied(
  current: readonly AppliedManifest[],
  added: readonly AppliedManifest[],
): { merged: AppliedManifest[]; actions: AppliedDocument[] } {
  const byName = new Map(current.map((manifest) => [originName(manifest), manifest]))
  const actions = added.map(({ kind, namespace, name, text }): AppliedDocument => {
    const known = byName.get(originName({ kind, namespace, name }))
    const action = known === undefined ? 'created' : known.text === text ? 'unchanged' : 'changed'
    return { kind, namespace, name, action }
  })
  for (const manifest of added) byName.set(originName(manifest), manifest)
  return { merged: [...byName.values()], actions }
}

function checkDistinct(documents: readonly Document[]): void {
  const first = new Map<string, Location>()
  for (const { resource, location, places } of documents) {
    const name = originName(resource)
    const other = first.get(name)
    const message = `${titleOf(resource)} stands twice; allowed: each name once for a kind`
    if (other !== undefined) throw new InvalidManifestError([{ ...(places['metadata.name'] ?? location), path: 'metadata.name', message, other }])
    first.set(name, location)
  }
}

/** "CiliumNetworkPolicy demo/web" */
export function titleOf({ kind, namespace, name }: DocumentName): string {
  return `${kind} ${namespace === '' ? name : `${namespace}/${name}`}`
}

/** A List's items stand for themselves. */
function resourcesOf(value: unknown): unknown[] {
  if (typeof value !== 'object' || value === null) return []
  const isList = 'kind' in value && String(value.kind).endsWith('List')
  return isList && 'items' in value && Array.isArray(value.items) ? value.items.flatMap(resourcesOf) : [value]
}

/** None for a document without effect here, such as a Pod that has ended. JSON is YAML, so it parses again. */
function toManifest(value: unknown): AppliedManifest[] {
  const text = JSON.stringify(value)
  return parseDocuments(text, 'request').documents.map(({ resource: { kind, namespace, name } }) => ({ kind, namespace, name, text }))
}
