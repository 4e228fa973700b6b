// Label selectors of Kubernetes and Cilium as the engine's requirements.
import type { Requirement, Selector } from '../engine/index.ts'
import { NAMESPACE_KEY, NAMESPACE_LABELS, equals, exists } from './labels.ts'
import type { Path } from './document/errors.ts'
import type { Value } from './document/schema.ts'
import type { endpointSelector } from './cilium/schemas.ts'
import type { Source } from './document/source.ts'
import type { Labels } from './resources.ts'

export type LabelSelector = Value<typeof endpointSelector>

/** How a selector's key becomes `source:key`. */
export type KeyOf = (key: string) => string

export const podKey: KeyOf = (key) => `k8s:${key}`
export const namespaceKey: KeyOf = (key) => `${NAMESPACE_LABELS}${key}`
export const nodeKey: KeyOf = (key) => `node:${key}`
/** A key without a source matches every source, as in Cilium. */
export const sourcedKey: KeyOf = (key) => (key.includes(':') ? key : `any:${key}`)

/** A key of labels that have no sources, those of a document. */
export const plainKey: KeyOf = (key) => key.replace(/^(any|k8s|node):/, '')

/** Faults of operators and values are reported; what is returned then is of no use. */
export function requirementsOf(source: Source, selector: LabelSelector, path: Path, keyOf: KeyOf): readonly Requirement[] {
  const labels = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => equals(keyOf(key), value))
  const expressions = (selector.matchExpressions ?? []).map((expression, index): Requirement => {
    checkValues(source, expression, [...path, 'matchExpressions', index, 'values'])
    return { key: keyOf(expression.key), operator: expression.operator, values: expression.values ?? [] }
  })
  return [...labels, ...expressions]
}

type Expression = NonNullable<LabelSelector['matchExpressions']>[number]

function checkValues(source: Source, { operator, values = [] }: Expression, path: Path): void {
  const wanted = operator === 'In' || operator === 'NotIn'
  if (wanted && values.length === 0) source.report('INVALID', path, `${operator} has no values`, 'at least one value')
  if (!wanted && values.length > 0) source.report('INVALID', path, `${operator} has values`, 'no values')
}

/** Whether labels of a document fulfil requirements whose keys are plain. */
export function matchesLabels(requirements: readonly Requirement[], labels: Labels): boolean {
  return requirements.every(({ key, operator, values }) => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined
    if (operator === 'Exists') return value !== undefined
    if (operator === 'DoesNotExist') return value === undefined
    return (value !== undefined && values.includes(value)) === (operator === 'In')
  })
}

/** `namespace=demo, app in (web, api), !canary`: for people, without the sources of labels. */
export function formatSelector({ requirements }: Selector): string {
  return requirements.length === 0 ? 'everything' : requirements.map(formatRequirement).join(', ')
}

function formatRequirement({ key, operator, values }: Requirement): string {
  const name = shortKey(key)
  if (operator === 'Exists') return name
  if (operator === 'DoesNotExist') return `!${name}`
  if (operator === 'In' && values.length === 1) return `${name}=${values[0]}`
  return `${name} ${operator === 'In' ? 'in' : 'not in'} (${values.join(', ')})`
}

function shortKey(key: string): string {
  if (anySource(key) === anySource(NAMESPACE_KEY)) return 'namespace'
  const namespaceLabels = anySource(NAMESPACE_LABELS)
  return anySource(key).startsWith(namespaceLabels) ? `namespace's ${anySource(key).slice(namespaceLabels.length)}` : anySource(key)
}

/**
 * Limits a selector of from/toEndpoints to workloads, those of the policy's namespace unless it names a namespace
 * itself. One that says only which namespaces it does not mean still means workloads, and not the world.
 */
export function withNamespace(requirements: readonly Requirement[], namespace: string): readonly Requirement[] {
  // Reserved identities (host, world, ...) are in no namespace.
  if (requirements.some(({ key }) => key.startsWith('reserved:'))) return requirements
  const naming = requirements.filter(({ key }) => namesNamespace(key, namespace !== ''))
  if (naming.some(({ operator }) => operator === 'In' || operator === 'Exists')) return requirements
  return [...requirements, namespace === '' || naming.length > 0 ? exists(NAMESPACE_KEY) : equals(NAMESPACE_KEY, namespace)]
}

/** The namespace itself, or for a policy of one namespace also a label of another one. */
function namesNamespace(key: string, namespaced: boolean): boolean {
  const plain = anySource(key)
  return plain === anySource(NAMESPACE_KEY) || (namespaced && plain.startsWith(anySource(NAMESPACE_LABELS)))
}

const anySource = (key: string): string => key.replace(/^(k8s|any):/, '')
