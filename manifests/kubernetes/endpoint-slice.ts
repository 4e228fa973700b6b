// discovery.k8s.io/v1 EndpointSlice: who answers for a Service, where no selector says so.
import { parseAddress, formatPrefix, familyOf } from '../../engine/index.ts'
import type { Value } from '../document/schema.ts'
import type { Source } from '../document/source.ts'
import type { EndpointSliceResource } from '../resources.ts'
import type { endpointSlice } from './schemas.ts'

const SERVICE = 'kubernetes.io/service-name'

/** Undefined for a slice that belongs to no Service. */
export function readEndpointSlice({ metadata, addressType, endpoints }: Value<typeof endpointSlice>, source: Source): EndpointSliceResource | undefined {
  const service = metadata.labels?.[SERVICE]
  const prefixes = endpoints.flatMap(({ addresses }, index) =>
    addresses.map((text, at) => {
      const address = parseAddress(text)
      if (address === undefined) throw new TypeError(`readEndpointSlice: '${text}' passed the schema and is no address`)
      const family = familyOf(address)
      if (family !== addressType) source.report('INVALID', ['endpoints', index, 'addresses', at], `is of ${family}`, `${addressType}, as addressType says`)
      return formatPrefix({ family, address, length: 128 })
    }),
  )
  if (service === undefined) return undefined
  return { kind: 'EndpointSlice', namespace: metadata.namespace ?? 'default', name: metadata.name, service, prefixes }
}
