import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { Registry } from '../observe/index.ts'
import { type MetricSources, registerAgentMetrics } from './metrics.ts'
import { Tables } from './tables.ts'

const sources: MetricSources = {
  startedAt: new Date(1_700_000_000_000),
  tables: new Tables().all,
  reconcilers: () => [{ name: 'policy', runs: 5, failures: 2, error: undefined }],
  statistics: () => ({ classes: 1, subjects: 2, rows: 3, entries: 4, bytes: 5 }),
  conntrack: () => ({ entries: 7, collected: 3 }),
  flows: () => ({ established: 8, halfOpen: 1, byBackend: new Map(), refused: 6, refusedLately: 0, changing: { slots: 9, tables: 1 } }),
  counters: () => undefined,
  ok: () => true,
}

test('what only grows is a counter, and a scrape does not change it', async (t) => {
  const registry = new Registry()
  using _sampler = registerAgentMetrics(registry, sources)
  await registry.metrics()
  const text = await registry.metrics()
  t.regex(text, /# TYPE sluice_agent_reconciler_runs_total counter\nsluice_agent_reconciler_runs_total\{reconciler="policy"\} 5\n/)
  t.regex(text, /# TYPE sluice_agent_reconciler_failures_total counter\n.* 2\n/)
  t.regex(text, /# TYPE sluice_conntrack_collected_total counter\nsluice_conntrack_collected_total 3\n/)
  t.regex(text, /# TYPE sluice_balancer_flows_refused_total counter\nsluice_balancer_flows_refused_total 6\n/)
  t.regex(text, /\nsluice_balancer_changing_slots 9\n/)
  t.regex(text, /\nsluice_agent_start_time_seconds 1700000000\n/)
})

test('delays of the event loop add up in buckets over scrapes', async (t) => {
  const registry = new Registry()
  using _sampler = registerAgentMetrics(registry, sources)
  await sleep(30)
  const until = performance.now() + 60
  while (performance.now() < until);
  await sleep(30)
  const count = async (le: string): Promise<number> =>
    Number(new RegExp(`sluice_agent_event_loop_delay_seconds_bucket\\{le="${le}"\\} (\\d+)`).exec(await registry.metrics())?.[1])
  const all = await count('\\+Inf')
  t.true(all > (await count('0.02')), 'the loop was held for 60 ms')
  t.true((await count('\\+Inf')) >= all)
})
