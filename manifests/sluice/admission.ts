// Who may send to the balancer, and how much: prefixes of senders and rates, of a LoadBalancer and of the prefilter.
import { covers, formatPrefix } from '../../engine/index.ts'
import { prefixOf } from '../cidr.ts'
import type { Path } from '../document/errors.ts'
import type { Value } from '../document/schema.ts'
import type { Source } from '../document/source.ts'
import type { RateLimit, RateLimits, SourceRanges } from '../model.ts'
import type { PrefilterResource } from '../resources.ts'
import type { loadBalancer, prefilter } from './schemas.ts'

type Ranges = { readonly allow?: readonly string[]; readonly deny?: readonly string[] }
type Spec = Value<typeof loadBalancer>['spec']

export function readPrefilter({ metadata, spec }: Value<typeof prefilter>, source: Source): PrefilterResource {
  const ranges = readRanges(spec, source, ['spec'])
  ranges.allow.forEach((allowed, index) => {
    // Elsewhere everybody may send anyway, and what is meant may be that nobody else may.
    const inside = ranges.deny.some((denied) => covers(prefixOf(denied), prefixOf(allowed)))
    if (!inside) source.report('INVALID', ['spec', 'allow', index], `${allowed} is inside none of spec.deny`, 'exceptions of what spec.deny names')
  })
  return { kind: 'Prefilter', namespace: '', name: metadata.name, ranges }
}

/** What a LoadBalancer says of its clients. */
export function readAdmission({ sourceRanges, rateLimits, forwarding }: Spec, source: Source): { sourceRanges?: SourceRanges; rateLimits?: RateLimits } {
  for (const [field, value] of Object.entries({ sourceRanges, rateLimits })) {
    if (value === undefined || forwarding !== 'nat') continue
    source.report('INVALID', ['spec', field], 'has no effect on translated flows', 'another forwarding, or policies of the workloads')
  }
  return {
    ...(sourceRanges && { sourceRanges: readRanges(sourceRanges, source, ['spec', 'sourceRanges']) }),
    ...(rateLimits && { rateLimits: readLimits(rateLimits) }),
  }
}

function readRanges({ allow = [], deny = [] }: Ranges, source: Source, path: Path): SourceRanges {
  const canonical = (text: string): string => formatPrefix(prefixOf(text))
  const ranges = { allow: allow.map(canonical), deny: deny.map(canonical) }
  const denied = new Set(ranges.deny)
  ranges.allow.forEach((prefix, index) => {
    if (denied.has(prefix)) source.report('INVALID', [...path, 'allow', index], `${prefix} is denied too`, 'each prefix in one of both lists')
  })
  return ranges
}

/** A tenth of a second's packets may come at once, and thirty-two in any case: clients send in bursts. */
const defaultBurst = (perSecond: number): number => Math.max(32, Math.ceil(perSecond / 10))

function readLimits({ packets, newConnections }: NonNullable<Spec['rateLimits']>): RateLimits {
  const read = ({ perSecond, burst = defaultBurst(perSecond) }: { perSecond: number; burst?: number }): RateLimit => ({ perSecond, burst })
  return { ...(packets && { packets: read(packets) }), ...(newConnections && { newConnections: read(newConnections) }) }
}
