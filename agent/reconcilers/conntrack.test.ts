import test from 'ava'
import { FlowFlags, flow4KeyRecord, flow6KeyRecord, flowStateRecord, TICK_SHIFT } from '../../bpf/index.ts'
import { MemoryMap } from '../testing/memory-map.ts'
import { ConntrackCollector } from './conntrack.ts'

const TCP = 6
const UDP = 17
const SCTP = 132

function ticks(seconds: number): number {
  return Math.round((seconds * 1e9) / 2 ** TICK_SHIFT)
}

/** 32 bits of ticks wrap: half of the entries of these tests were seen before the wrap. */
const NOW_TICKS = ticks(600)

function setUp() {
  const conntrack4 = new MemoryMap('conntrack4', flow4KeyRecord.size, flowStateRecord.size, 64)
  const conntrack6 = new MemoryMap('conntrack6', flow6KeyRecord.size, flowStateRecord.size, 64)
  const nowNs = BigInt(NOW_TICKS) << BigInt(TICK_SHIFT)
  const collector = new ConntrackCollector({ conntrack4, conntrack6 }, () => nowNs)
  let port = 1
  const add = (protocol: number, flags: number, idleS: number): Uint8Array => {
    const key = flow4KeyRecord.encode({ low: 1, high: 2, lowPort: port++, highPort: 80, protocol, echo: 0 })
    const lastSeen = (NOW_TICKS - ticks(idleS)) >>> 0
    const state = { ...flowStateRecord.decode(new Uint8Array(flowStateRecord.size)), lastSeen, flags }
    conntrack4.update(key, flowStateRecord.encode(state))
    return key
  }
  const pass = (): void => {
    while (!collector.step());
  }
  return { conntrack4, collector, add, pass }
}

for (const [name, protocol, flags, lifetimeS] of [
  ['established TCP', TCP, FlowFlags.REPLIED, 6 * 3600],
  ['TCP without an answer', TCP, 0, 60],
  ['closing TCP', TCP, FlowFlags.REPLIED | FlowFlags.CLOSING, 10],
  ['SCTP', SCTP, FlowFlags.REPLIED, 900],
  ['UDP', UDP, FlowFlags.REPLIED, 60],
] as const) {
  test(`${name} is collected after ${lifetimeS} s and not before`, (t) => {
    const { conntrack4, collector, add, pass } = setUp()
    const living = add(protocol, flags, lifetimeS - 1)
    const dead = add(protocol, flags, lifetimeS + 1)
    pass()
    t.truthy(conntrack4.lookup(living))
    t.is(conntrack4.lookup(dead), undefined)
    t.deepEqual(collector.report, { entries: 1, collected: 1 })
  })
}

test('an entry that a packet revives after the batch was read stays', (t) => {
  const { conntrack4, add, pass } = setUp()
  const key = add(UDP, 0, 1000)
  const read = conntrack4.entries.bind(conntrack4)
  conntrack4.entries = function* (size) {
    for (const batch of read(size)) {
      const state = flowStateRecord.decode(conntrack4.lookup(key) ?? new Uint8Array())
      conntrack4.update(key, flowStateRecord.encode({ ...state, lastSeen: NOW_TICKS }))
      yield batch
    }
  }
  pass()
  t.truthy(conntrack4.lookup(key))
})
