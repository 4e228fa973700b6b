import test from 'ava'
import fc from 'fast-check'
import { Direction, EventKind, eventRecord, Reason } from '../bpf/index.ts'
import type { EventRecord } from '../bpf/index.ts'
import { CLOCK, DENIED, DIRECTORY, mapped } from './fixtures.ts'
import { reasonName, toFlow, VERDICTS } from './flow.ts'

const u8 = fc.integer({ min: 0, max: 0xff })
const u16 = fc.integer({ min: 0, max: 0xffff })
const u32 = fc.integer({ min: 0, max: 0xffffffff })
const address = fc.uint8Array({ minLength: 16, maxLength: 16 })
const anyEvent: fc.Arbitrary<EventRecord> = fc.record({
  timeNs: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  source: address,
  destination: address,
  sourcePort: u16,
  destinationPort: u16,
  protocol: u8,
  kind: u8,
  direction: u8,
  reason: u8,
  sourceIdentity: u32,
  destinationIdentity: u32,
  rule: u32,
  ifindex: u32,
  service: u32,
  length: u32,
})

test('a record that is written and read again is the same event', (t) => {
  const property = fc.property(anyEvent, (event) => {
    t.deepEqual({ ...eventRecord.decode(eventRecord.encode(event)) }, { ...event })
  })
  t.notThrows(() => fc.assert(property, { numRuns: 200 }))
})

test('a record as the kernel writes it', (t) => {
  // struct event of bpf/types.h by hand: little-endian numbers, ports in network byte order.
  const bytes = Buffer.from(
    '60e3160000000000' + // time_ns 1500000
      '00000000000000000000ffff0a4d010c' +
      '00000000000000000000ffff0a4d010b' +
      'a112' + '0050' + '06' + '02' + '00' + '01' +
      '2d010000' + '2c010000' + '07000000' + '04000000' + '00000000' + '4a000000',
    'hex',
  )
  t.deepEqual({ ...eventRecord.decode(bytes) }, { ...DENIED })
})

test('a flow has names for every number', (t) => {
  t.deepEqual(toFlow(DENIED, DIRECTORY, CLOCK), {
    time: 'at 1500000',
    verdict: 'dropped',
    reason: 'policy-denied',
    direction: 'ingress',
    protocol: 'TCP',
    source: {
      address: '10.77.1.12',
      port: 41234,
      identity: 301,
      labels: ['k8s:app=client', 'k8s:io.kubernetes.pod.namespace=demo'],
      workload: 'demo/client',
    },
    destination: {
      address: '10.77.1.11',
      port: 80,
      identity: 300,
      labels: ['k8s:app=web', 'k8s:io.kubernetes.pod.namespace=demo'],
      workload: 'demo/web',
    },
    rule: 7,
    policy: 'CiliumNetworkPolicy demo/web ingress[0]',
    interface: 'sl-web',
    length: 74,
  })
})

test('what the tables do not know is told by its number', (t) => {
  const flow = toFlow({ ...DENIED, rule: 8, ifindex: 5, sourceIdentity: 999 }, DIRECTORY, CLOCK)
  t.is(flow.rule, 8)
  t.false('policy' in flow)
  t.is(flow.interface, 'ifindex 5')
  t.deepEqual(flow.source.labels, [])
  t.is(flow.source.identity, 999)
})

test('addresses of both families are text as manifests write it', (t) => {
  const source = Uint8Array.from(Buffer.from('fd770001000000000000000000000011', 'hex'))
  const flow = toFlow({ ...DENIED, source }, DIRECTORY, CLOCK)
  t.is(flow.source.address, 'fd77:1::11')
  t.is(flow.destination.address, '10.77.1.11')
})

test('a translated flow names its service', (t) => {
  t.is(toFlow({ ...DENIED, service: 3 }, DIRECTORY, CLOCK).service, 'demo/shop')
})

test("a service's own address names it, also where the datapath met policy before", (t) => {
  t.is(toFlow({ ...DENIED, destination: mapped(10, 77, 9, 1) }, DIRECTORY, CLOCK).service, 'demo/shop')
  t.false('service' in toFlow(DENIED, DIRECTORY, CLOCK))
})

test('ICMP has a type and a code instead of ports', (t) => {
  const flow = toFlow({ ...DENIED, protocol: 58, sourcePort: 0, destinationPort: (128 << 8) | 3 }, DIRECTORY, CLOCK)
  t.is(flow.protocol, 'ICMPv6')
  t.deepEqual(flow.icmp, { type: 128, code: 3 })
  t.is(flow.destination.port, 0)
})

test('every kind of event is a verdict, and no other number is', (t) => {
  const verdicts = Object.values(EventKind).map((kind) => toFlow({ ...DENIED, kind }, DIRECTORY, CLOCK).verdict)
  t.deepEqual(verdicts.sort(), [...VERDICTS].sort())
  t.throws(() => toFlow({ ...DENIED, kind: 0 }, DIRECTORY, CLOCK), { instanceOf: RangeError, message: /event kind 0/ })
})

test('the direction is the side that decided', (t) => {
  t.is(toFlow({ ...DENIED, direction: Direction.EGRESS }, DIRECTORY, CLOCK).direction, 'egress')
})

test('reasons have the words of bpf/types.h', (t) => {
  t.is(reasonName(Reason.FORWARDED), 'forwarded')
  t.is(reasonName(Reason.FRAGMENT_WITHOUT_FIRST), 'fragment-without-first')
  t.is(reasonName(200), '200')
})
