// Who may send to a service, and how much; and the prefilter, which is asked about every packet of the uplink.

import test from 'ava'

import { Direction, frontendKeyRecord, PREFILTER_SERVICE, RATE_LIMIT_SHIFT, Reason, ServiceFlags, serviceLimitsRecord, serviceRecord, sourceRangeKeyRecord, SourceVerdict } from '../../bpf/index.ts'
import { parsePrefix } from '../../engine/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { buildPacket } from '../packet.ts'
import type { PacketDescription } from '../packet.ts'
import { concat, number32 } from '../wire.ts'
import { CLIENTS, edgeNode, fromClient, setBalancer, VIPS } from './edge.ts'
import type { TestNode } from './node.ts'
import { tcp, udp } from './table.ts'
import { FAMILIES, key32, mapped, TCP } from './world.ts'
import type { Family } from './world.ts'

let node: TestNode
test.before(() => {
  node = edgeNode()
  for (const family of FAMILIES) setBalancer(node, { inner: family, outer: family })
})
test.after.always(() => node?.[Symbol.dispose]())

const SERVICE = 1
const HOUR_NS = 3_600_000_000_000n

const outcomeOf = (description: PacketDescription): string => {
  const { verdict, reason } = node.send('xdp_lb', 'uplink', buildPacket(description))
  return verdict === 'drop' ? (reason ?? 'counted') : verdict
}

const drops = (reason: Reason): bigint => node.counted(reason, Direction.INGRESS).packets

function setRange(service: number, text: string, verdict: SourceVerdict | undefined): void {
  const prefix = parsePrefix(text)
  if (prefix === undefined) throw new Error(`${text} is no prefix`)
  const key = sourceRangeKeyRecord.encode({ prefixLength: 32 + prefix.length, service, address: prefix.address })
  if (verdict === undefined) node.map('source_ranges').delete(key)
  else node.map('source_ranges').update(key, key32(verdict))
}

/** Of TCP's frontend; they stay until they are set again. */
function setFlags(family: Family, flags: number): void {
  const key = frontendKeyRecord.encode({ address: mapped(VIPS[family]), port: 80, protocol: TCP })
  const record = serviceRecord.decode(node.map('frontends').lookup(key) ?? new Uint8Array())
  node.map('frontends').update(key, serviceRecord.encode({ ...record, flags }))
}

interface Ranges {
  readonly name: string
  readonly allow?: readonly string[]
  readonly deny?: readonly string[]
  readonly expected: 'redirect' | 'refused'
}

const EDGES: Readonly<Record<Family, { readonly own: string; readonly around: string; readonly other: string; readonly all: string }>> = {
  4: { own: `${CLIENTS[4]}/32`, around: '192.0.2.0/24', other: '198.51.100.0/24', all: '0.0.0.0/0' },
  6: { own: `${CLIENTS[6]}/128`, around: '2001:db8::/64', other: '2001:db8:1::/48', all: '::/0' },
}

for (const family of FAMILIES) {
  const { own, around, other, all } = EDGES[family]
  const cases: readonly Ranges[] = [
    { name: 'a prefix that is allowed', allow: [around], expected: 'redirect' },
    { name: 'only others allowed', allow: [other], expected: 'refused' },
    { name: 'a prefix that is denied', deny: [around], expected: 'refused' },
    { name: 'only others denied', deny: [other], expected: 'redirect' },
    { name: 'allowed inside of what is denied', deny: [around], allow: [own], expected: 'redirect' },
    { name: 'denied inside of what is allowed', allow: [around], deny: [own], expected: 'refused' },
    { name: 'all denied but one', deny: [all], allow: [own], expected: 'redirect' },
  ]
  for (const { name, allow = [], deny = [], expected } of cases)
    kernelTest(`IPv${family} clients of a service: ${name}`, (t) => {
      for (const text of allow) setRange(SERVICE, text, SourceVerdict.ALLOWED)
      for (const text of deny) setRange(SERVICE, text, SourceVerdict.DENIED)
      setFlags(family, ServiceFlags.SOURCES | (allow.length > 0 ? ServiceFlags.ALLOWED_SOURCES : 0))
      const before = drops(Reason.SOURCE_REFUSED)
      t.is(outcomeOf(fromClient(family)) === 'redirect' ? 'redirect' : 'refused', expected)
      t.is(drops(Reason.SOURCE_REFUSED) - before, expected === 'refused' ? 1n : 0n)
      t.is(outcomeOf(fromClient(family, udp(4000, 80))), 'redirect', 'UDP is another frontend, which did not ask')
      for (const text of [...allow, ...deny]) setRange(SERVICE, text, undefined)
      setFlags(family, 0)
    })

  kernelTest(`IPv${family} prefilter: nothing of its prefixes passes, to a frontend or to anybody`, (t) => {
    const [frontend, other] = [fromClient(family), fromClient(family, tcp(4000, 81, 'SYN'))]
    const frame = buildPacket(frontend)
    const frames = { frontend: frame, other: buildPacket(other), tagged: concat(frame.subarray(0, 12), number32(0x8100_0007), frame.subarray(12)) }
    setRange(PREFILTER_SERVICE, around, SourceVerdict.DENIED)
    t.is(outcomeOf(frontend), 'redirect', 'while the prefilter is said to be empty nobody asks')
    node.map('prefilter_size').update(key32(0), key32(1))
    for (const [name, data] of Object.entries(frames)) {
      const before = drops(Reason.PREFILTERED)
      t.is(node.send('xdp_lb', 'uplink', data).verdict, 'drop', name)
      t.is(drops(Reason.PREFILTERED) - before, 1n, name)
    }
    setRange(PREFILTER_SERVICE, own, SourceVerdict.ALLOWED)
    t.is(outcomeOf(frontend), 'redirect', 'an exception')
    t.is(outcomeOf(other), 'pass', 'an exception')
    for (const text of [around, own]) setRange(PREFILTER_SERVICE, text, undefined)
    node.map('prefilter_size').update(key32(0), key32(0))
  })
}

/** Packets an hour, so that none becomes due while a test runs. */
const limit = (burst: number) => {
  const cost = HOUR_NS << BigInt(RATE_LIMIT_SHIFT)
  return { cost, burst: cost * BigInt(burst - 1), next: 0n }
}
const NONE = { cost: 0n, burst: 0n, next: 0n }

kernelTest('a service takes so many new connections, and all packets of those that stand', (t) => {
  node.map('rate_limits').update(key32(SERVICE), serviceLimitsRecord.encode({ packets: NONE, opening: limit(3) }))
  setFlags(4, ServiceFlags.LIMITED)
  const before = drops(Reason.SYN_LIMITED)
  const seen = Array.from({ length: 5 }, (_, index) => node.send('xdp_lb', 'uplink', buildPacket(fromClient(4, tcp(5000 + index, 80, 'SYN')))).verdict)
  t.deepEqual(seen, ['redirect', 'redirect', 'redirect', 'drop', 'drop'])
  t.is(drops(Reason.SYN_LIMITED) - before, 2n)
  t.is(outcomeOf(fromClient(4, tcp(5000, 80, 'ACK'))), 'redirect')
  t.is(outcomeOf(fromClient(4, tcp(5000, 80, 'SYN', 'ACK'))), 'redirect', 'no packet that opens')
  setFlags(4, 0)
})

kernelTest('a service takes so many packets, whatever they are', (t) => {
  node.map('rate_limits').update(key32(SERVICE), serviceLimitsRecord.encode({ packets: limit(2), opening: NONE }))
  setFlags(6, ServiceFlags.LIMITED)
  const before = drops(Reason.RATE_LIMITED)
  const seen = Array.from({ length: 4 }, () => node.send('xdp_lb', 'uplink', buildPacket(fromClient(6, tcp(5000, 80, 'ACK')))).verdict)
  t.deepEqual(seen, ['redirect', 'redirect', 'drop', 'drop'])
  t.is(drops(Reason.RATE_LIMITED) - before, 2n)
  setFlags(6, 0)
})

kernelTest('packets that come in their time pass for ever', (t) => {
  const cost = 1n << BigInt(RATE_LIMIT_SHIFT) // A nanosecond: any program takes longer.
  node.map('rate_limits').update(key32(SERVICE), serviceLimitsRecord.encode({ packets: { cost, burst: 0n, next: 0n }, opening: NONE }))
  setFlags(4, ServiceFlags.LIMITED)
  for (let i = 0; i < 50; i++) t.is(outcomeOf(fromClient(4, tcp(5000, 80, 'ACK'))), 'redirect')
  setFlags(4, 0)
})
