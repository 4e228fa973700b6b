// cilium.io CiliumCIDRGroup: prefixes that policies name together.
import { formatPrefix, parsePrefix } from '../../engine/index.ts'
import type { Value } from '../document/schema.ts'
import type { CidrGroupResource } from '../resources.ts'
import type { ciliumCidrGroup } from './schemas.ts'

export function readCidrGroup({ metadata, spec }: Value<typeof ciliumCidrGroup>): CidrGroupResource {
  const prefixes = spec.externalCIDRs.map(canonicalPrefix)
  return { kind: 'CiliumCIDRGroup', namespace: '', name: metadata.name, labels: metadata.labels ?? {}, prefixes }
}

function canonicalPrefix(text: string): string {
  const prefix = parsePrefix(text)
  if (prefix === undefined) throw new TypeError(`canonicalPrefix: '${text}' passed the schema and is no prefix`)
  return formatPrefix(prefix)
}
