// Who may send to the balancer's services, and how much: prefixes of clients, rates, and the prefilter.
import { PREFILTER_SERVICE, RATE_LIMIT_SHIFT, type RateLimitRecord, serviceLimitsRecord, sourceRangeKeyRecord, SourceVerdict } from '../../bpf/index.ts'
import { covers } from '../../engine/index.ts'
import type { RateLimit, RateLimits, SourceRanges } from '../../manifests/index.ts'
import { prefixOf } from '../address.ts'
import { OwnedEntries } from './owned-entries.ts'
import type { MapPort, SizedMapPort } from './ports.ts'

export interface AdmissionPorts {
  readonly source_ranges: SizedMapPort
  readonly prefilter_size: MapPort
  readonly rate_limits: SizedMapPort
}

/** What a service says of its clients. */
export interface Admitted {
  readonly serviceId: number
  readonly sourceRanges?: SourceRanges
  readonly rateLimits?: RateLimits
}

/** Bits of a source range's key before the address: the service's number. */
const SERVICE_BITS = 32
const NS_PER_S = 1_000_000_000n

export class Admission {
  readonly #sources: OwnedEntries<SourceRanges>
  readonly #limits: OwnedEntries<RateLimits>
  readonly #prefilterSize: MapPort

  constructor({ source_ranges, prefilter_size, rate_limits }: AdmissionPorts) {
    this.#sources = new OwnedEntries(source_ranges, { ownerOf: (key) => sourceRangeKeyRecord.decode(key).service, entriesOf: rangeEntries })
    this.#limits = new OwnedEntries(rate_limits, { ownerOf: numberIn, entriesOf: limitEntries })
    this.#prefilterSize = prefilter_size
  }

  /** Before the services ask for it. Throws `CAPACITY` before the first write to the map that has no room. */
  write(services: readonly Admitted[], prefilter: SourceRanges): void {
    this.#sources.write(sourcesOf(services, prefilter))
    this.#limits.write(limitsOf(services))
    this.#prefilterSize.update(bytes32(0), bytes32(prefilter.deny.length + prefilter.allow.length))
  }

  /** Once no other service asks. */
  prune(services: readonly Admitted[], prefilter: SourceRanges): void {
    this.#sources.prune(sourcesOf(services, prefilter))
    this.#limits.prune(limitsOf(services))
  }
}

/** By the service's number. */
function sourcesOf(services: readonly Admitted[], prefilter: SourceRanges): Map<number, SourceRanges> {
  const own = services.flatMap(({ serviceId, sourceRanges }) => (sourceRanges === undefined ? [] : [[serviceId, sourceRanges] as const]))
  return new Map([...own, [PREFILTER_SERVICE, prefilter]])
}

function limitsOf(services: readonly Admitted[]): Map<number, RateLimits> {
  return new Map(services.flatMap(({ serviceId, rateLimits }) => (rateLimits === undefined ? [] : [[serviceId, rateLimits] as const])))
}

function rangeEntries(service: number, { allow, deny }: SourceRanges): [Uint8Array, Uint8Array][] {
  const entry = (text: string, verdict: SourceVerdict): [Uint8Array, Uint8Array] => {
    const { address, length } = prefixOf(text)
    return [sourceRangeKeyRecord.encode({ prefixLength: SERVICE_BITS + length, service, address }), bytes32(verdict)]
  }
  const entries = [...allow.map((text) => entry(text, SourceVerdict.ALLOWED)), ...deny.map((text) => entry(text, SourceVerdict.DENIED))]
  const isAboutIpv4 = [...allow, ...deny].includes(ALL_IPV4) || ![...allow, ...deny].some(coversMapped)
  const others = service !== PREFILTER_SERVICE && allow.length > 0 ? SourceVerdict.DENIED : SourceVerdict.ALLOWED
  return isAboutIpv4 ? entries : [...entries, entry(ALL_IPV4, others)]
}

const ALL_IPV4 = '0.0.0.0/0'

/** An IPv6 prefix with the mapped addresses in it, ::/0 first of all, says nothing about IPv4. */
function coversMapped(text: string): boolean {
  const prefix = prefixOf(text)
  return prefix.family === 'IPv6' && covers(prefix, { ...prefixOf(ALL_IPV4), family: 'IPv6' })
}

function limitEntries(service: number, { packets, newConnections }: RateLimits): [Uint8Array, Uint8Array][] {
  return [[bytes32(service), serviceLimitsRecord.encode({ packets: limitRecord(packets), opening: limitRecord(newConnections) })]]
}

/** A packet's cost is the time that it stands for; a burst of one leaves no room before its time. */
function limitRecord(limit: RateLimit | undefined): RateLimitRecord {
  if (limit === undefined) return { cost: 0n, burst: 0n, next: 0n }
  const cost = (NS_PER_S << BigInt(RATE_LIMIT_SHIFT)) / BigInt(limit.perSecond)
  return { cost, burst: cost * BigInt(limit.burst - 1), next: 0n }
}

function bytes32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer)
}

function numberIn(key: Uint8Array): number {
  return new DataView(key.buffer, key.byteOffset).getUint32(0, true)
}
