// Source: manifests that came through the API. Each resource is kept as a text of its own, so that it can be replaced
// and deleted by its name whatever document it came in.
import { type Document, formatDetail, type Location, parseManifests } from '../../manifests/index.ts'
import type { ApiErrorDetail, AppliedDocument, DocumentName, ManifestText } from '../api/index.ts'
import { AgentError } from '../errors.ts'
import type { AppliedManifest } from '../store.ts'
import type { OriginChange } from './manifests.ts'

/** A resource of a request, and the document that the user has of it. */
export interface ReadManifest {
  readonly manifest: AppliedManifest
  readonly document: Document
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

/** Manifests that are there from now on, and those that are no more. */
export interface AppliedChange {
  readonly kept: readonly AppliedManifest[]
  readonly forgotten: readonly DocumentName[]
}

export function originChanges({ kept, forgotten }: AppliedChange): readonly OriginChange[] {
  return [
    ...kept.map((manifest) => ({ name: originName(manifest), content: { text: manifest.text } })),
    ...forgotten.map((name) => ({ name: originName(name), content: undefined })),
  ]
}

/** Text of the applied manifest; undefined where there is none. */
export type TextOf = (name: DocumentName) => string | undefined

/** What leads back from `change`. */
export function inverseOf({ kept, forgotten }: AppliedChange, textOf: TextOf): AppliedChange {
  const names = [...kept, ...forgotten].map(({ kind, namespace, name }) => ({ kind, namespace, name, text: textOf({ kind, namespace, name }) }))
  return {
    kept: names.flatMap(({ text, ...name }) => (text === undefined ? [] : [{ ...name, text }])),
    forgotten: names.filter(({ text }) => text === undefined),
  }
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
  const parsed = files.map(({ text, file }) => parseManifests(text, file))
  const errors = parsed.flatMap((each) => each.errors)
  if (errors.length > 0) throw new InvalidManifestError(errors.map(({ detail }) => detail))
  const manifests = parsed.flatMap((each) => each.manifests)
  if (manifests.length === 0) throw new AgentError('BAD_REQUEST', `${files.map(({ file }) => file).join(', ')}: no document in it`)
  checkDistinct(manifests.map(({ document }) => document))
  return manifests.map(({ document, value }) => {
    const { kind, namespace, name } = document.resource
    return { manifest: { kind, namespace, name, text: JSON.stringify(value) }, document }
  })
}

/** Faults of applied manifests, which go by their names, told by the user's own file and line where `read` has them. */
export function inUsersFiles(details: readonly ApiErrorDetail[], read: readonly ReadManifest[]): ApiErrorDetail[] {
  const users = new Map(read.map((each) => [originName(each.manifest), each]))
  const placeOf = ({ file, line, column }: Place, path = ''): Place => {
    const own = users.get(file)
    if (isApplied(file)) return own?.document.places[path] ?? own?.document.location ?? { file: EARLIER }
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

/** Throws InvalidManifestError with those of `read` that were never applied. */
export function checkKnown(read: readonly ReadManifest[], textOf: TextOf): void {
  const missing = read.filter(({ manifest }) => textOf(manifest) === undefined)
  if (missing.length === 0) return
  const message = 'was not applied through the API, so it cannot be deleted there'
  throw new InvalidManifestError(missing.map(({ manifest, document: { location } }) => ({ ...location, message: `${titleOf(manifest)} ${message}` })), 'NOT_FOUND')
}

/** What applying each manifest does. */
export function actionsOf(added: readonly AppliedManifest[], textOf: TextOf): readonly AppliedDocument[] {
  return added.map(({ kind, namespace, name, text }) => {
    const known = textOf({ kind, namespace, name })
    const action = known === undefined ? 'created' : known === text ? 'unchanged' : 'changed'
    return { kind, namespace, name, action }
  })
}

function checkDistinct(documents: readonly Document[]): void {
  const first = new Map<string, Document>()
  for (const document of documents) {
    const name = originName(document.resource)
    const other = first.get(name)
    if (other !== undefined) throw new InvalidManifestError([repeated(document, other.location)])
    first.set(name, document)
  }
}

function repeated({ resource, location, places }: Document, other: Location): ApiErrorDetail {
  const message = `${titleOf(resource)} stands twice; allowed: each name once for a kind`
  return { ...(places['metadata.name'] ?? location), path: 'metadata.name', message, other }
}

/** "CiliumNetworkPolicy demo/web" */
export function titleOf({ kind, namespace, name }: DocumentName): string {
  return `${kind} ${namespace === '' ? name : `${namespace}/${name}`}`
}
