// What documents of every kind have alike, as schemas: apiVersion and kind, ObjectMeta, LabelSelector.
import * as format from './document/formats.ts'
import { ignored, list, map, object, oneOf, string } from './document/schema.ts'
import type { Source } from './document/source.ts'
import { DENY_ANSWERS, type DenyAnswer } from './model.ts'

/** ObjectMeta; `name` is checked by each kind's own format. */
export const metadata = <const F extends typeof format.dnsName>(name: F, namespaced: boolean) =>
  object(
    {
      name: string(name),
      namespace: namespaced ? string(format.dnsLabel) : string({ allowed: 'nothing: this kind has no namespace', accepts: () => false }),
      labels: map(format.labelKey, string(format.labelValue)),
      annotations: map(format.anyText, string()),
      creationTimestamp: ignored,
      deletionGracePeriodSeconds: ignored,
      deletionTimestamp: ignored,
      finalizers: ignored,
      generation: ignored,
      managedFields: ignored,
      ownerReferences: ignored,
      generateName: ignored,
      resourceVersion: ignored,
      selfLink: ignored,
      uid: ignored,
    },
    ['name'],
  )

export const namespaced = metadata(format.dnsName, true)
export const clusterwide = metadata(format.dnsName, false)

/** The fields that every document has. */
export const head = { apiVersion: string(), kind: string() }

export const labelSelector = object({
  matchLabels: map(format.labelKey, string(format.labelValue)),
  matchExpressions: list(
    object(
      {
        key: string(format.labelKey),
        operator: oneOf('In', 'NotIn', 'Exists', 'DoesNotExist'),
        values: list(string(format.labelValue)),
      },
      ['key', 'operator'],
    ),
  ),
})

interface Annotations {
  readonly [key: string]: string
}

const AUDIT = 'sluice.io/audit'

/** The annotation by which a policy, a namespace or a workload is in audit mode: what would be dropped passes. */
export function readAudit(source: Source, annotations?: Annotations): boolean {
  return readAnnotation(source, annotations, AUDIT, ['true', 'false']) === 'true'
}

const DENY_ANSWER = 'sluice.io/deny-answer'

/** The annotation by which a workload, or all of a namespace, answers what their policies refuse, or does not. */
export function readDenyAnswer(source: Source, annotations?: Annotations): { readonly denyAnswer?: DenyAnswer } {
  const denyAnswer = readAnnotation(source, annotations, DENY_ANSWER, DENY_ANSWERS)
  return denyAnswer === undefined ? {} : { denyAnswer }
}

function readAnnotation<V extends string>(source: Source, annotations: Annotations | undefined, key: string, values: readonly V[]): V | undefined {
  const text = annotations?.[key]
  const value = values.find((each) => each === text)
  if (text !== undefined && value === undefined) {
    source.report('INVALID', ['metadata', 'annotations', key], `is ${JSON.stringify(text)}`, values.map((each) => JSON.stringify(each)).join(', '))
  }
  return value
}
