// The agent's own metrics; flows and datapath counters come from observe/.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type DatapathCounters, Gauge, registerDatapathMetrics, Registry } from '../observe/index.ts'
import type { ConntrackReport } from './reconcilers/conntrack.ts'
import type { EngineStatistics } from './reconcilers/ports.ts'
import type { ReconcilerState } from './reconcilers/reconciler.ts'
import type { Table } from './table.ts'

export interface MetricSources {
  readonly tables: readonly Table<unknown>[]
  readonly reconcilers: () => readonly ReconcilerState[]
  readonly statistics: () => EngineStatistics | undefined
  readonly conntrack: () => ConntrackReport | undefined
  readonly counters: () => DatapathCounters | undefined
  readonly ok: () => boolean
}

const NO_COUNTERS: DatapathCounters = { reasons: [], eventsLost: 0n }
const DELAY_RESOLUTION_MS = 5
const NS_PER_S = 1e9
/** Prometheus speaks of quantiles, Node of percentiles. */
const QUANTILES = [['0.5', 50], ['0.99', 99], ['0.999', 99.9], ['1', 100]] as const

export function registerAgentMetrics(registry: Registry, sources: MetricSources): void {
  const gauge = gaugeOf(registry)
  gauge('sluice_agent_ok', 'Whether every part works: 1 or 0.', () => Number(sources.ok()))
  gauge('sluice_agent_resident_memory_bytes', 'Resident memory of the agent.', () => process.memoryUsage.rss())
  gauge('sluice_agent_start_time_seconds', 'Start of the agent, seconds since 1970.', () => (Date.now() - process.uptime() * 1000) / 1000)
  gauge('sluice_conntrack_entries', 'Living conntrack entries of the last complete pass.', () => sources.conntrack()?.entries ?? 0)
  gauge('sluice_conntrack_collected', 'Dead conntrack entries removed since the agent started.', () => sources.conntrack()?.collected ?? 0)
  registerTables(registry, sources.tables)
  registerReconcilers(registry, sources.reconcilers)
  registerPolicy(registry, sources.statistics)
  registerEventLoopDelay(registry)
  registerDatapathMetrics(registry, () => sources.counters() ?? NO_COUNTERS)
}

function gaugeOf(registry: Registry): (name: string, help: string, read: () => number) => void {
  return (name, help, read) => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read())
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
  const perReconciler = (name: string, help: string, read: (state: ReconcilerState) => number): void => {
    new Gauge({
      name,
      help,
      labelNames: ['reconciler'],
      registers,
      collect() {
        for (const state of reconcilers()) this.set({ reconciler: state.name }, read(state))
      },
    })
  }
  perReconciler('sluice_agent_reconciler_runs', 'Runs since the agent started.', ({ runs }) => runs)
  perReconciler('sluice_agent_reconciler_failures', 'Runs that failed since the agent started.', ({ failures }) => failures)
  perReconciler('sluice_agent_reconciler_degraded', 'Whether the last run failed: 1 or 0.', ({ error }) => Number(error !== undefined))
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

/** Node's own histogram: quantiles of the delay since the last scrape. */
function registerEventLoopDelay(registry: Registry): void {
  const histogram = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS })
  histogram.enable()
  new Gauge({
    name: 'sluice_agent_event_loop_delay_seconds',
    help: `Delay of the event loop since the last scrape, sampled every ${DELAY_RESOLUTION_MS} ms.`,
    labelNames: ['quantile'],
    registers: [registry],
    collect() {
      for (const [quantile, percentile] of QUANTILES) {
        const delayNs = histogram.percentile(percentile) - DELAY_RESOLUTION_MS * 1e6
        this.set({ quantile }, Math.max(0, delayNs) / NS_PER_S)
      }
      histogram.reset()
    },
  })
}
