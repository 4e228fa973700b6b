// discovery.k8s.io/v1 EndpointSlice: who answers for a Service, where no selector says so.
import { familyOf, formatPrefix, parseAddress, type Family } from '../../engine/index.ts'
import type { Path } from '../document/errors.ts'
import type { Value } from '../document/schema.ts'
import type { Source } from '../document/source.ts'
import type { EndpointSliceResource } from '../resources.ts'
import type { endpointSlice } from './schemas.ts'

const SERVICE = 'kubernetes.io/service-name'

/** Undefined for a slice that belongs to no Service. */
export function readEndpointSlice(document: Value<typeof endpointSlice>, source: Source): EndpointSliceResource | undefined {
  const { metadata, addressType, endpoints } = document
  const service = metadata.labels?.[SERVICE]
  const prefixes = endpoints.flatMap(({ addresses }, index) =>
    addresses.map((text, at) => singleAddress(source, addressType, text, ['endpoints', index, 'addresses', at])),
  )
  if (service === undefined) return undefined
  return { kind: 'EndpointSlice', namespace: metadata.namespace ?? 'default', name: metadata.name, service, prefixes }
}

function singleAddress(source: Source, wanted: Family, text: string, path: Path): string {
  const address = parseAddress(text)
  if (address === undefined) throw new TypeError(`singleAddress: '${text}' passed the schema and is no address`)
  const family = familyOf(address)
  if (family !== wanted) source.report('INVALID', path, `is of ${family}`, `${wanted}, as addressType says`)
  return formatPrefix({ family, address, length: 128 })
}
