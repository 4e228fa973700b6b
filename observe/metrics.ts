// Metrics of flows and of the datapath's own counters, in a Prometheus registry that the agent holds.
import { Counter, Registry } from 'prom-client'
import { Direction, enumName, Reason } from '../bpf/index.ts'
import type { Flow } from './flow.ts'
import { reasonName } from './flow.ts'

export { Counter, Gauge, Histogram, Registry } from 'prom-client'

/** Flows that the agent read; unlike the datapath's counters, one for a flow and not for every packet. */
export class FlowMetrics {
  readonly #flows: Counter<'verdict' | 'reason' | 'direction'>
  readonly #undecodable: Counter

  constructor(registry: Registry) {
    const registers = [registry]
    this.#flows = new Counter({
      name: 'sluice_flows_total',
      help: 'Flow events read from the ring.',
      labelNames: ['verdict', 'reason', 'direction'],
      registers,
    })
    this.#undecodable = new Counter({
      name: 'sluice_flow_events_undecodable_total',
      help: 'Records of the event ring that are no event of this version.',
      registers,
    })
  }

  count({ verdict, reason, direction }: Flow): void {
    this.#flows.inc({ verdict, reason, direction })
  }

  countUndecodable(): void {
    this.#undecodable.inc()
  }
}

/** One slot of the datapath's `counters` map, summed over the CPUs. */
export interface ReasonCount {
  readonly packets: bigint
  readonly bytes: bigint
}

export interface DatapathCounters {
  /** By the index of the map: `enum reason << 1 | enum direction`. */
  readonly reasons: readonly ReasonCount[]
  /** Events that did not fit the ring. */
  readonly eventsLost: bigint
}

/** Shows the kernel's counters; `read` is called at each scrape. They survive the agent, thus do not start at 0. */
export function registerDatapathMetrics(registry: Registry, read: () => DatapathCounters): void {
  const registers = [registry]
  const labelNames = ['reason', 'direction'] as const
  reasonCounter('sluice_datapath_packets_total', 'Packets by what the datapath did with them.', ({ packets }) => packets)
  reasonCounter('sluice_datapath_bytes_total', 'Bytes by what the datapath did with them.', ({ bytes }) => bytes)
  new Counter({
    name: 'sluice_datapath_events_lost_total',
    help: 'Flow events that did not fit the ring.',
    registers,
    collect() {
      this.reset()
      this.inc(Number(read().eventsLost))
    },
  })

  function reasonCounter(name: string, help: string, value: (count: ReasonCount) => bigint): void {
    new Counter({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset()
        read().reasons.forEach((count, index) => this.inc(reasonLabels(index), Number(value(count))))
      },
    })
  }
}

function reasonLabels(index: number): { reason: string; direction: string } {
  return { reason: reasonName(index >> 1), direction: enumName(Direction, index & 1) }
}

/** Slots of the `counters` map. */
export const REASON_COUNTERS = Reason.COUNT * 2
