import test from 'ava'
import { PREFILTER_SERVICE, serviceLimitsRecord, sourceRangeKeyRecord, SourceVerdict } from '../../bpf/index.ts'
import { formatPrefix } from '../../engine/index.ts'
import type { SourceRanges } from '../../manifests/index.ts'
import { MemoryMap } from '../testing/memory-map.ts'
import { Admission, type Admitted } from './admission.ts'

const NOTHING: SourceRanges = { allow: [], deny: [] }

function maps(room = 16) {
  return {
    source_ranges: new MemoryMap('source_ranges', sourceRangeKeyRecord.size, 4, room),
    prefilter_size: new MemoryMap('prefilter_size', 4, 4, 1),
    rate_limits: new MemoryMap('rate_limits', 4, serviceLimitsRecord.size, 4),
  }
}

/** "SERVICE PREFIX VERDICT" of all entries, sorted. */
function ranges({ source_ranges }: ReturnType<typeof maps>): string[] {
  return [...source_ranges.contents].map(([key, value]) => {
    const { prefixLength, service, address } = sourceRangeKeyRecord.decode(new Uint8Array(Buffer.from(key, 'hex')))
    const family = address.subarray(0, 12).every((byte, index) => byte === (index < 10 ? 0 : 0xff)) ? 'IPv4' : 'IPv6'
    return `${service} ${formatPrefix({ family, address, length: prefixLength - 32 })} ${value[0] === SourceVerdict.ALLOWED ? 'allowed' : 'denied'}`
  }).sort()
}

function reconcile(admission: Admission, services: readonly Admitted[], prefilter: SourceRanges = NOTHING): void {
  admission.write(services, prefilter)
  admission.prune(services, prefilter)
}

const size = ({ prefilter_size }: ReturnType<typeof maps>): number => [...prefilter_size.contents.values()][0]?.[0] ?? -1

test('prefixes stand there before a service asks for them, and until none does', (t) => {
  const m = maps()
  const admission = new Admission(m)
  const before = [{ serviceId: 7, sourceRanges: { allow: ['10.0.0.0/8'], deny: ['10.1.0.0/16'] } }]
  admission.write(before, NOTHING)
  t.deepEqual(ranges(m), ['7 10.0.0.0/8 allowed', '7 10.1.0.0/16 denied'])
  admission.prune(before, NOTHING)
  const after = [{ serviceId: 7, sourceRanges: { allow: ['10.1.0.0/16'], deny: ['2001:db8::/32'] } }]
  admission.write(after, NOTHING)
  t.deepEqual(ranges(m), ['7 10.0.0.0/8 allowed', '7 10.1.0.0/16 allowed', '7 2001:db8::/32 denied'])
  admission.prune(after, NOTHING)
  t.deepEqual(ranges(m), ['7 10.1.0.0/16 allowed', '7 2001:db8::/32 denied'])
  reconcile(admission, [])
  t.deepEqual(ranges(m), [])
})

test('what stays is not written again', (t) => {
  const m = maps()
  const admission = new Admission(m)
  const services = [{ serviceId: 7, sourceRanges: { allow: ['10.0.0.0/8'], deny: [] }, rateLimits: { packets: { perSecond: 10, burst: 1 } } }]
  reconcile(admission, services)
  const { writes } = m.source_ranges
  reconcile(admission, [...services, { serviceId: 8 }])
  t.is(m.source_ranges.writes, writes)
  t.is(m.rate_limits.writes, 1)
})

test('the prefilter is asked once it has prefixes, and not any more once it has none', (t) => {
  const m = maps()
  const admission = new Admission(m)
  reconcile(admission, [], { deny: ['192.0.2.0/24'], allow: ['192.0.2.1/32'] })
  t.deepEqual(ranges(m), [`${PREFILTER_SERVICE} 192.0.2.0/24 denied`, `${PREFILTER_SERVICE} 192.0.2.1/32 allowed`])
  t.is(size(m), 2)
  reconcile(admission, [])
  t.deepEqual([ranges(m), size(m)], [[], 0])
})

test('an IPv6 prefix with the mapped addresses in it says nothing about IPv4', (t) => {
  const m = maps()
  const sources = { allow: ['::/0'], deny: [] }
  reconcile(new Admission(m), [{ serviceId: 1, sourceRanges: sources }, { serviceId: 2, sourceRanges: { allow: [], deny: ['::/0'] } }, { serviceId: 3, sourceRanges: { allow: ['::/0', '0.0.0.0/0'], deny: [] } }])
  t.deepEqual(ranges(m), ['1 0.0.0.0/0 denied', '1 ::/0 allowed', '2 0.0.0.0/0 allowed', '2 ::/0 denied', '3 0.0.0.0/0 allowed', '3 ::/0 allowed'])
})

test('the next agent goes on from what stands there', (t) => {
  const m = maps()
  const services = [{ serviceId: 7, sourceRanges: { allow: ['10.0.0.0/8'], deny: [] } }]
  reconcile(new Admission(m), [...services, { serviceId: 9, sourceRanges: { allow: ['10.0.0.0/8'], deny: [] } }])
  const { writes } = m.source_ranges
  reconcile(new Admission(m), services)
  t.deepEqual(ranges(m), ['7 10.0.0.0/8 allowed'])
  t.is(m.source_ranges.writes, writes + 1, 'the one that goes')
})

test('what does not fit is refused before the first write, with what to do', (t) => {
  const m = maps(2)
  const error = t.throws(() => reconcile(new Admission(m), [{ serviceId: 7, sourceRanges: { allow: ['10.0.0.0/8', '10.0.0.0/9', '10.0.0.0/10'], deny: [] } }]))
  t.is(error?.message, '3 entries do not fit the map source_ranges: it has room for 2')
  t.deepEqual(ranges(m), [])
})

test('a rate is a time for each packet, in sixteenths of a nanosecond', (t) => {
  const m = maps()
  reconcile(new Admission(m), [{ serviceId: 7, rateLimits: { packets: { perSecond: 1_000_000, burst: 11 }, newConnections: { perSecond: 1, burst: 1 } } }])
  const [value = new Uint8Array()] = m.rate_limits.contents.values()
  t.deepEqual(serviceLimitsRecord.decode(value), { packets: { cost: 16_000n, burst: 160_000n, next: 0n }, opening: { cost: 16_000_000_000n, burst: 0n, next: 0n } })
})
