// Which backend a packet goes to, by what its slot has been through, and what of it is remembered.

import test from 'ava'
import type { ExecutionContext } from 'ava'

import {
  BackendState, backendRecord, BalancedFlags, balanced4KeyRecord, balanced6KeyRecord, balancedFlowRecord, Forwarding, frontendKeyRecord, HALF_OPEN_BUCKETS, halfOpenFlowRecord,
  ServiceFlags, serviceRecord, slotHistoryRecord, slotRecord, steadyService, TICK_SHIFT,
} from '../../bpf/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { buildIpPacket, buildPacket, parsePacket } from '../packet.ts'
import type { PacketDescription, Transport } from '../packet.ts'
import { TestNode, UPLINK } from './node.ts'
import { tcp, udp } from './table.ts'
import { FAMILIES, key32, mapped, SCTP, TCP, UDP } from './world.ts'
import type { Family } from './world.ts'

const VIPS = { 4: '203.0.113.80', 6: '2001:db8:80::1' } as const
const CLIENTS = { 4: '192.0.2.7', 6: '2001:db8::7' } as const
/** By address, so that the outer header tells them. Nobody is 0. */
const BACKENDS = { a: 11, b: 12, c: 13 } as const
type Backend = keyof typeof BACKENDS
const addressOf = (name: Backend): string => `10.20.0.${BACKENDS[name]}`
const TABLE = { base: 100, count: 7 } as const
const FORMER = { base: 200, count: 3 } as const
const IDLE_S = 900

interface Slot {
  readonly owner: Backend | 'nobody'
  readonly previous?: Backend
  /** What its previous owner has is known. */
  readonly learned?: boolean
}

/** One frontend whose slots are all alike, and its former table while the size changes. */
interface State extends Slot {
  readonly tracked?: boolean
  readonly former?: Slot
  readonly formerLearned?: boolean
  readonly draining?: Backend
  readonly down?: Backend
}

const PACKETS = {
  syn: tcp(4000, 80, 'SYN'),
  ack: tcp(4000, 80, 'ACK'),
  fin: tcp(4000, 80, 'FIN', 'ACK'),
  rst: tcp(4000, 80, 'RST'),
  udp: udp(4000, 80),
  init: { kind: 'sctp', sourcePort: 4000, destinationPort: 80 },
  data: { kind: 'sctp', sourcePort: 4000, destinationPort: 80 },
} as const satisfies Record<string, Transport>
/** First chunks of SCTP packets: INIT and DATA (RFC 9260 section 3.2). */
const PAYLOADS: Readonly<Record<string, Uint8Array>> = { init: Uint8Array.of(1, 0, 0, 20), data: Uint8Array.of(0, 3, 0, 20) }
type Packet = keyof typeof PACKETS

type Step = Partial<State> | readonly [Packet, Backend | 'no-backend'] | { readonly idleS: number }
interface Case {
  readonly name: string
  readonly state: State
  readonly steps: readonly Step[]
  /** Entries that are left: of established flows, and of half-open ones. */
  readonly known?: readonly [established: number, halfOpen: number]
}

const changing = { owner: 'b', previous: 'a' } as const
const learned = { ...changing, learned: true } as const
const tracked = { owner: 'b', tracked: true } as const

const CASES: readonly Case[] = [
  { name: 'settled: nothing is remembered', state: { owner: 'b' }, steps: [['syn', 'b'], ['ack', 'b'], ['fin', 'b'], ['rst', 'b'], ['udp', 'b']], known: [0, 0] },
  { name: 'changing: who opens a flow is the new owner’s', state: changing, steps: [['syn', 'b']], known: [0, 1] },
  { name: 'changing: an opened flow is established by its second packet', state: changing, steps: [['syn', 'b'], ['ack', 'b']], known: [1, 0] },
  { name: 'changing: what nobody knows is the previous owner’s', state: changing, steps: [['ack', 'a'], ['ack', 'a'], ['udp', 'a']], known: [2, 0] },
  { name: 'changing: a FIN of an unknown flow belongs to it too', state: changing, steps: [['fin', 'a'], ['ack', 'a']], known: [1, 0] },
  { name: 'changing: a reset reaches the previous owner and leaves nothing', state: changing, steps: [['rst', 'a']], known: [0, 0] },
  { name: 'learned: what nobody knows is the present owner’s', state: learned, steps: [['ack', 'b'], ['udp', 'b']], known: [2, 0] },
  { name: 'learned: a known flow stays', state: changing, steps: [['ack', 'a'], { learned: true }, ['ack', 'a'], ['fin', 'a'], ['ack', 'a']], known: [1, 0] },
  { name: 'a flow of an owner in between stays while the slot moves on and back', state: changing,
    steps: [['syn', 'b'], ['ack', 'b'], { owner: 'c' }, ['ack', 'b'], { owner: 'a' }, ['ack', 'b'], ['udp', 'a']], known: [2, 0] },
  { name: 'a repeated SYN stays where the first one went', state: changing, steps: [['syn', 'b'], { owner: 'c' }, ['syn', 'b'], ['ack', 'b']], known: [1, 0] },
  { name: 'a SYN of a flow that stands stays with it', state: changing, steps: [['ack', 'a'], ['syn', 'a']], known: [1, 0] },
  { name: 'a SYN of a flow that closes starts anew', state: changing, steps: [['ack', 'a'], ['fin', 'a'], ['syn', 'b'], ['ack', 'b']], known: [1, 0] },
  { name: 'a SYN after a reset starts anew', state: changing, steps: [['ack', 'a'], ['rst', 'a'], ['syn', 'b'], ['ack', 'b']], known: [1, 0] },
  { name: 'draining: flows stay, a SYN starts anew', state: { ...changing, draining: 'a' }, steps: [['ack', 'a'], ['ack', 'a'], ['syn', 'b'], ['ack', 'b']], known: [1, 0] },
  { name: 'draining: a connection that is being opened is finished, a repeated SYN is not', state: changing,
    steps: [['syn', 'b'], { owner: 'c', draining: 'b' }, ['ack', 'b'], ['syn', 'c'], ['syn', 'c'], ['ack', 'c']], known: [1, 0] },
  { name: 'down: it has no previous role', state: { ...changing, down: 'a' }, steps: [['ack', 'b'], ['udp', 'b'], ['syn', 'b']] },
  { name: 'down: its flows go to the present owner', state: changing, steps: [['ack', 'a'], ['udp', 'a'], { down: 'a' }, ['ack', 'b'], ['udp', 'b']], known: [2, 0] },
  { name: 'a flow that was idle too long is not known any more', state: changing, steps: [['ack', 'a'], { idleS: IDLE_S + 1 }, { learned: true }, ['ack', 'b']], known: [1, 0] },
  { name: 'a flow that was idle for less is', state: changing, steps: [['ack', 'a'], { idleS: IDLE_S - 2 }, { learned: true }, ['ack', 'a']], known: [1, 0] },
  { name: 'a flow that closes is known for a minute', state: changing, steps: [['fin', 'a'], { idleS: 62 }, { learned: true }, ['ack', 'b']], known: [1, 0] },
  { name: 'nobody owns the slot: former flows go on, new ones do not', state: { owner: 'nobody', previous: 'a' }, steps: [['syn', 'no-backend'], ['ack', 'a'], ['udp', 'a']] },
  { name: 'SCTP: an INIT opens, other chunks do not', state: changing, steps: [['init', 'b'], ['data', 'b']], known: [1, 0] },
  { name: 'SCTP: what nobody knows is the previous owner’s', state: changing, steps: [['data', 'a']], known: [1, 0] },
  { name: 'tracked: every flow is remembered on settled slots', state: tracked, steps: [['syn', 'b'], ['ack', 'b'], ['udp', 'b']], known: [2, 0] },
  { name: 'tracked: a flow stays when the slot has another owner', state: tracked, steps: [['ack', 'b'], { owner: 'c' }, ['ack', 'b'], ['udp', 'c']], known: [2, 0] },
  { name: 'resizing: where both tables agree nothing is remembered', state: { owner: 'b', former: { owner: 'b' } }, steps: [['ack', 'b'], ['syn', 'b'], ['udp', 'b']], known: [0, 0] },
  { name: 'resizing: what nobody knows is the former table’s', state: { owner: 'b', former: { owner: 'a' } }, steps: [['syn', 'b'], ['ack', 'b'], ['udp', 'a']], known: [2, 0] },
  { name: 'resizing: a former slot that was changing hands still is', state: { owner: 'b', former: changing }, steps: [['udp', 'a'], ['ack', 'a']], known: [2, 0] },
  { name: 'resizing: once learned, what nobody knows is the present owner’s', state: { owner: 'b', former: { owner: 'a' }, formerLearned: true }, steps: [['udp', 'b'], ['ack', 'b']], known: [2, 0] },
  { name: 'resizing: the former table is older than a change since', state: { owner: 'c', previous: 'b', former: { owner: 'a' } }, steps: [['udp', 'a'], ['syn', 'c']], known: [1, 1] },
  { name: 'resizing: a former owner that is down gives way to the next', state: { owner: 'c', previous: 'b', former: { owner: 'a' }, down: 'a' }, steps: [['udp', 'b']], known: [1, 0] },
]

let node: TestNode
test.before(() => {
  const source4 = new DataView(mapped(UPLINK.ipv4).buffer).getUint32(12, true)
  node = new TestNode({ hooks: ['xdp_lb'], constants: { encapsulation_source4: source4 } })
})
test.after.always(() => node?.[Symbol.dispose]())

const nowTicks = (): number => Number((process.hrtime.bigint() >> BigInt(TICK_SHIFT)) & 0xffff_ffffn)
const ticks = (seconds: number): number => Math.round((seconds * 1e9) / 2 ** TICK_SHIFT)
const learnedAt = (learned = false): number => nowTicks() + ticks(learned ? -1 : 60)

function setSlots({ base, count }: { readonly base: number; readonly count: number }, { owner, previous, learned }: Slot): void {
  const backend = owner === 'nobody' ? 0 : BACKENDS[owner]
  for (let index = base; index < base + count; index++) {
    node.map('slots').update(key32(index), slotRecord.encode({ backend, previous: previous === undefined ? 0 : BACKENDS[previous] }))
    node.map('slot_histories').update(key32(index), slotHistoryRecord.encode({ learned: learnedAt(learned) }))
  }
}

function setState(family: Family, state: State): void {
  setSlots(TABLE, state)
  if (state.former !== undefined) setSlots(FORMER, state.former)
  for (const name of Object.keys(BACKENDS) as Backend[]) {
    const backendState = name === state.down ? BackendState.DOWN : name === state.draining ? BackendState.DRAINING : BackendState.ACTIVE
    node.map('backends').update(key32(BACKENDS[name]), backendRecord.encode({ address: mapped(addressOf(name)), port: 80, protocol: 0, state: backendState, drained: 0 }))
  }
  const former = state.former === undefined ? {} : { formerBase: FORMER.base, formerCount: FORMER.count, learned: learnedAt(state.formerLearned) }
  const service = { ...steadyService, id: 1, slotBase: TABLE.base, slotCount: TABLE.count, forwarding: Forwarding.IPIP, idle: ticks(IDLE_S), ...former }
  for (const protocol of [TCP, UDP, SCTP])
    node.map('frontends').update(frontendKeyRecord.encode({ address: mapped(VIPS[family]), port: 80, protocol }), serviceRecord.encode({ ...service, flags: state.tracked === true ? ServiceFlags.TRACKED : 0 }))
}

function forget(): void {
  for (const name of ['balanced4', 'balanced6']) {
    for (const { keys, count } of [...node.map(name).entries()].map(({ keys, count }) => ({ keys: keys.slice(), count }))) node.map(name).deleteBatch(keys, count)
  }
  const keys = Uint32Array.from({ length: HALF_OPEN_BUCKETS }, (_, index) => index)
  node.map('half_open').updateBatch(new Uint8Array(keys.buffer), new Uint8Array(HALF_OPEN_BUCKETS * node.map('half_open').valueSize), HALF_OPEN_BUCKETS)
}

const established = (): number => ['balanced4', 'balanced6'].reduce((sum, name) => [...node.map(name).entries()].reduce((all, { count }) => all + count, sum), 0)

function halfOpen(): number {
  const flows = [...node.map('half_open').entries()].flatMap(({ values, count }) =>
    Array.from({ length: (count * node.map('half_open').valueSize) / halfOpenFlowRecord.size }, (_, index) => halfOpenFlowRecord.decode(values, index * halfOpenFlowRecord.size)))
  return flows.filter(({ hashBackend }) => hashBackend !== 0n).length
}

/** As if this much time had passed since the last packet of every established flow. */
function age(seconds: number): void {
  for (const name of ['balanced4', 'balanced6']) {
    const map = node.map(name)
    for (const { keys, values, count } of [...map.entries()].map((batch) => ({ ...batch, keys: batch.keys.slice(), values: batch.values.slice() }))) {
      for (let index = 0; index < count; index++) {
        const flow = balancedFlowRecord.decode(values, index * map.valueSize)
        const key = keys.subarray(index * map.keySize, (index + 1) * map.keySize)
        map.update(key, balancedFlowRecord.encode({ ...flow, lastSeen: flow.lastSeen - ticks(seconds) }))
      }
    }
  }
}

function fromClient(family: Family, transport: Transport, more: Partial<PacketDescription> = {}): PacketDescription {
  return { source: CLIENTS[family], destination: VIPS[family], transport, destinationMac: UPLINK.mac, ...more }
}

/** The backend's name, or the reason to drop. */
function backendOf(description: PacketDescription): string {
  const { verdict, reason, data } = node.send('xdp_lb', 'uplink', buildPacket(description))
  if (verdict !== 'redirect') return reason ?? verdict
  const { destination } = parsePacket(data)
  return (Object.keys(BACKENDS) as Backend[]).find((name) => addressOf(name) === destination) ?? destination
}

function run(t: ExecutionContext, family: Family, { state, steps, known }: Case): void {
  forget()
  let current = state
  setState(family, current)
  steps.forEach((step, index) => {
    if (step instanceof Array) {
      const payload = PAYLOADS[step[0]]
      return t.is(backendOf(fromClient(family, PACKETS[step[0]], payload && { payload })), step[1], `step ${index + 1}: ${step[0]}`)
    }
    if ('idleS' in step) return age(step.idleS)
    setState(family, (current = { ...current, ...step }))
  })
  if (known !== undefined) t.deepEqual([established(), halfOpen()], known)
}

for (const family of FAMILIES) {
  for (const each of CASES) kernelTest(`IPv${family}: ${each.name}`, (t) => run(t, family, each))

  kernelTest(`IPv${family}: fragments and ICMP errors follow their flow and add nothing to it`, (t) => {
    forget()
    setState(family, changing)
    const payload = new Uint8Array(64)
    const part = (offset: number, more: boolean) => fromClient(family, udp(4000, 80), { payload, fragment: { identification: 9, offset, more, ...(more ? { length: 32 } : {}) } })
    t.deepEqual([backendOf(part(0, true)), backendOf(part(32, false))], ['a', 'a'])
    const reply = buildIpPacket({ source: VIPS[family], destination: CLIENTS[family], transport: tcp(80, 4000, 'ACK'), payload })
    const error = fromClient(family, { kind: 'icmp', type: family === 4 ? 3 : 1, code: 3 }, { payload: reply })
    t.is(backendOf(error), 'a', 'of a flow that nobody knows')
    t.is(established(), 1)
    t.is(backendOf(fromClient(family, PACKETS.syn)), 'b')
    t.is(backendOf(error), 'b', 'of one that is being opened')
    t.is(halfOpen(), 1)
  })

  kernelTest(`IPv${family}: a flood of SYNs takes no flow’s place`, (t) => {
    forget()
    setState(family, changing)
    t.is(backendOf(fromClient(family, PACKETS.ack)), 'a')
    for (let port = 10_000; port < 10_500; port++) backendOf(fromClient(family, tcp(port, 80, 'SYN')))
    t.is(backendOf(fromClient(family, PACKETS.ack)), 'a')
    t.is(established(), 1)
  })

  kernelTest(`IPv${family}: a full flow table forwards, evicts nothing and counts what it refuses`, (t) => {
    forget()
    setState(family, changing)
    const { maxEntries } = node.map(`balanced${family}`)
    const before = refusals()
    for (let port = 1; port <= maxEntries + 5; port++) t.is(backendOf(fromClient(family, udp(port, 80))), 'a')
    t.is(refusals() - before, 5)
    setState(family, learned)
    t.is(backendOf(fromClient(family, udp(1, 80))), 'a', 'the first of them is still known')
    t.is(backendOf(fromClient(family, udp(maxEntries + 5, 80))), 'b', 'the last of them never was')
  })

  kernelTest(`IPv${family}: a flow’s entry says what the packet was`, (t) => {
    forget()
    setState(family, changing)
    backendOf(fromClient(family, PACKETS.fin))
    const layout = family === 4 ? balanced4KeyRecord : balanced6KeyRecord
    const [batch] = [...node.map(`balanced${family}`).entries()]
    if (batch === undefined) return t.fail('there is no entry')
    t.like(layout.decode(batch.keys), { sourcePort: 4000, destinationPort: 80, protocol: TCP })
    const { backend, flags, lastSeen } = balancedFlowRecord.decode(batch.values)
    t.deepEqual([backend, flags], [BACKENDS.a, BalancedFlags.CLOSING])
    t.true(Math.abs(lastSeen - nowTicks()) < ticks(5))
  })
}

function refusals(): number {
  const counts = node.map('flows_refused').lookupPerCpu(key32(0)) ?? []
  return counts.reduce((sum, count) => sum + Number(new DataView(count.buffer, count.byteOffset).getBigUint64(0, true)), 0)
}
