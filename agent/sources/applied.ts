// Source: manifests that came through the API. Each resource is kept as a text of its own, so that it can be replaced
// and deleted by its name whatever document it came in.
import { parseAllDocuments } from 'yaml'
import { type Document, parseDocuments } from '../../manifests/index.ts'
import type { AppliedDocument } from '../api/types.ts'
import { AgentError } from '../errors.ts'
import type { AppliedManifest } from '../store.ts'
import { type Origin, toDetail } from './manifests.ts'

export class InvalidManifestError extends AgentError {
  readonly details: readonly ReturnType<typeof toDetail>[]

  constructor(details: InvalidManifestError['details'], code: 'INVALID_MANIFEST' | 'CONFLICT' = 'INVALID_MANIFEST') {
    const first = details[0]
    const place = first === undefined ? '' : `${first.file}:${first.line ?? 0}: ${first.message}`
    super(code, details.length === 1 ? place : `${details.length} errors, the first: ${place}`)
    this.details = details
  }
}

const ORIGIN_PREFIX = 'api:'

export function originOf(manifest: AppliedManifest, lastGood: string | undefined): Origin {
  return { name: originName(manifest), content: { text: manifest.text }, lastGood }
}

export function originName({ kind, namespace, name }: Omit<AppliedManifest, 'text'>): string {
  return `${ORIGIN_PREFIX}${kind}/${namespace}/${name}`
}

export function isApplied(origin: string): boolean {
  return origin.startsWith(ORIGIN_PREFIX)
}

/** The resources of a request's body. Throws InvalidManifestError, with positions in the body, if any has a fault. */
export function readApplied(text: string, file: string): AppliedManifest[] {
  const { documents, errors } = parseDocuments(text, file)
  if (errors.length > 0) throw new InvalidManifestError(errors.map(toDetail))
  if (documents.length === 0) throw new AgentError('BAD_REQUEST', `${file} holds no document`)
  checkDistinct(documents)
  // Its own limit of aliases is off: parseDocuments has bounded what they expand to.
  return parseAllDocuments(text).flatMap((document) => resourcesOf(document.toJS({ maxAliasCount: -1 }))).flatMap(toManifest)
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
  const names = new Set<string>()
  for (const { resource, location } of documents) {
    const name = originName(resource)
    if (!names.has(name)) {
      names.add(name)
      continue
    }
    const message = `${resource.kind} ${resource.namespace}/${resource.name} stands twice; allowed: each name once for a kind`
    throw new InvalidManifestError([{ ...location, message }])
  }
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
