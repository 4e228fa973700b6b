import test from 'ava'
import { Direction, EventKind, eventRecord, Reason } from '../bpf/index.ts'
import { CLOCK, DENIED, DIRECTORY } from './fixtures.ts'
import { FlowHistory } from './history.ts'
import { FlowMetrics, REASON_COUNTERS, registerDatapathMetrics, Registry } from './metrics.ts'
import type { ReasonCount } from './metrics.ts'
import { FlowPipeline } from './pipeline.ts'

function newPipeline() {
  const registry = new Registry()
  const history = new FlowHistory(4)
  const metrics = new FlowMetrics(registry)
  return { registry, history, pipeline: new FlowPipeline({ directory: DIRECTORY, clock: CLOCK, history, metrics }) }
}

test('a record is remembered and counted, and its memory may be used again', async (t) => {
  const { registry, history, pipeline } = newPipeline()
  const record = eventRecord.encode(DENIED)
  pipeline.accept(record)
  record.fill(0xee)
  const [flow] = history.last(1)
  t.is(flow?.source.workload, 'demo/client')
  t.regex(await registry.metrics(), /^sluice_flows_total\{verdict="dropped",reason="policy-denied",direction="ingress"\} 1$/m)
})

test('a record that is no event is counted, and those behind it still come', async (t) => {
  const { registry, history, pipeline } = newPipeline()
  pipeline.accept(new Uint8Array(10))
  pipeline.accept(eventRecord.encode({ ...DENIED, kind: 99 }))
  pipeline.accept(eventRecord.encode({ ...DENIED, kind: EventKind.FLOW }))
  t.is(history.size, 1)
  t.regex(await registry.metrics(), /^sluice_flow_events_undecodable_total 2$/m)
})

test("the kernel's counters are shown as they stand at each scrape", async (t) => {
  const registry = new Registry()
  const counters: ReasonCount[] = Array.from({ length: REASON_COUNTERS }, () => ({ packets: 0n, bytes: 0n }))
  const egressDenied = (Reason.POLICY_DENIED << 1) | Direction.EGRESS
  registerDatapathMetrics(registry, () => ({ reasons: counters, eventsLost: 5n }))
  for (const packets of [3n, 4n]) {
    counters[egressDenied] = { packets, bytes: 100n * packets }
    const text = await registry.metrics()
    t.regex(text, new RegExp(`^sluice_datapath_packets_total\\{reason="policy-denied",direction="egress"\\} ${packets}$`, 'm'))
    t.regex(text, new RegExp(`^sluice_datapath_bytes_total\\{reason="policy-denied",direction="egress"\\} ${packets}00$`, 'm'))
    t.regex(text, /^sluice_datapath_events_lost_total 5$/m)
  }
})
