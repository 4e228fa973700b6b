// What documents of every kind have alike, as schemas: apiVersion and kind, ObjectMeta, LabelSelector.
import * as format from './document/formats.ts'
import { ignored, list, map, object, oneOf, string } from './document/schema.ts'

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
