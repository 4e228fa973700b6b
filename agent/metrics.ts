// The agent's own metrics; flows and datapath counters come from observe/.
import { performance } from 'node:perf_hooks'
import { Counter, type DatapathCounters, Gauge, Histogram, registerDatapathMetrics, Registry } from '../observe/index.ts'
import type { ConntrackReport } from './reconcilers/conntrack.ts'
import type { FlowReport } from './reconcilers/flow-table.ts'
import type { EngineStatistics } from './reconcilers/ports.ts'
import type { ReconcilerState } from './reconcilers/reconciler.ts'
import type { Table } from './table.ts'

export interface MetricSources {
  readonly startedAt: Date
  readonly tables: readonly Table<unknown>[]
  readonly reconcilers: () => readonly ReconcilerState[]
  readonly statistics: () => EngineStatistics | undefined
  readonly conntrack: () => ConntrackReport | undefined
  readonly flows: () => FlowReport | undefined
  readonly counters: () => DatapathCounters | undefined
  readonly ok: () => boolean
}

const NO_COUNTERS: DatapathCounters = { reasons: [], eventsLost: 0n }
const SAMPLE_EVERY_MS = 10
/** 20 ms is what the design promises at p99.9; below 2 ms timers are not exact. */
const DELAY_BUCKETS_S = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1]

/** Samples the event loop until it is disposed of. */
export function registerAgentMetrics(registry: Registry, sources: MetricSources): Disposable {
  const gauge = readerOf(Gauge, registry)
  const counter = readerOf(Counter, registry)
  gauge('sluice_agent_ok', 'Whether every part works: 1 or 0.', () => Number(sources.ok()))
  gauge('sluice_agent_resident_memory_bytes', 'Resident memory of the agent.', () => process.memoryUsage.rss())
  gauge('sluice_agent_start_time_seconds', 'Start of the agent, seconds since 1970.', () => sources.startedAt.getTime() / 1000)
  gauge('sluice_conntrack_entries', 'Living conntrack entries of the last complete pass.', () => sources.conntrack()?.entries ?? 0)
  counter('sluice_conntrack_collected_total', 'Dead conntrack entries removed.', () => sources.conntrack()?.collected ?? 0)
  registerBalancer(gauge, counter, sources.flows)
  registerTables(registry, sources.tables)
  registerReconcilers(registry, sources.reconcilers)
  registerPolicy(registry, sources.statistics)
  registerDatapathMetrics(registry, () => sources.counters() ?? NO_COUNTERS)
  return registerEventLoopDelay(registry)
}

function registerBalancer(gauge: ReadMetric, counter: ReadMetric, flows: MetricSources['flows']): void {
  gauge('sluice_balancer_flows', 'Flows that the balancer remembers, as of the last look at all of them.', () => flows()?.established ?? 0)
  gauge('sluice_balancer_half_open_flows', 'Connections whose client has not answered yet, of those that it remembers.', () => flows()?.halfOpen ?? 0)
  gauge('sluice_balancer_changing_slots', 'Slots that change hands.', () => flows()?.changing.slots ?? 0)
  gauge('sluice_balancer_changing_tables', 'Tables that change their size.', () => flows()?.changing.tables ?? 0)
  counter('sluice_balancer_flows_refused_total', 'Flows that found no room in the balancer’s tables.', () => flows()?.refused ?? 0)
}

type ReadMetric = (name: string, help: string, read: () => number) => void

/** Metrics whose values live elsewhere: read at each scrape. */
function readerOf(Metric: typeof Gauge | typeof Counter, registry: Registry): ReadMetric {
  return (name, help, read) => {
    new Metric({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset()
        this.inc(read())
      },
    })
  }
}

function registerTables(registry: Registry, tables: readonly Table<unknown>[]): void {
  new Gauge({
    name: 'sluice_agent_table_items',
    help: 'Items of each table of the API.',
    labelNames: ['table'],
    registers: [registry],
    collect() {
      for (const table of tables) this.set({ table: table.name }, table.size)
    },
  })
}

function registerReconcilers(registry: Registry, reconcilers: () => readonly ReconcilerState[]): void {
  const registers = [registry]
  const perReconciler = (Metric: typeof Gauge | typeof Counter, name: string, help: string, read: (state: ReconcilerState) => number): void => {
    new Metric({
      name,
      help,
      labelNames: ['reconciler'],
      registers,
      collect() {
        this.reset()
        for (const state of reconcilers()) this.inc({ reconciler: state.name }, read(state))
      },
    })
  }
  perReconciler(Counter, 'sluice_agent_reconciler_runs_total', 'Runs.', ({ runs }) => runs)
  perReconciler(Counter, 'sluice_agent_reconciler_failures_total', 'Runs that failed.', ({ failures }) => failures)
  perReconciler(Gauge, 'sluice_agent_reconciler_degraded', 'Whether the last run failed: 1 or 0.', ({ error }) => Number(error !== undefined))
}

function registerPolicy(registry: Registry, statistics: MetricSources['statistics']): void {
  new Gauge({
    name: 'sluice_policy_size',
    help: 'Size of the compiled policy, by what is counted.',
    labelNames: ['of'],
    registers: [registry],
    collect() {
      for (const [of, value] of Object.entries(statistics() ?? {})) this.set({ of }, Number(value))
    },
  })
}

/** Node's own monitor tells percentiles only, which cannot be added up over time or nodes. */
function registerEventLoopDelay(registry: Registry): Disposable {
  const histogram = new Histogram({
    name: 'sluice_agent_event_loop_delay_seconds',
    help: `How much later than asked for a timer of the main event loop ran, sampled every ${SAMPLE_EVERY_MS} ms.`,
    buckets: DELAY_BUCKETS_S,
    registers: [registry],
  })
  let before = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    histogram.observe(Math.max(0, now - before - SAMPLE_EVERY_MS) / 1000)
    before = now
  }, SAMPLE_EVERY_MS)
  timer.unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
