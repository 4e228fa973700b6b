// From the ring's records to flows: decode, name, count, remember.
import { eventRecord } from '../bpf/index.ts'
import type { Clock } from './clock.ts'
import { toFlow } from './flow.ts'
import type { Directory } from './flow.ts'
import type { FlowHistory } from './history.ts'
import type { FlowMetrics } from './metrics.ts'

export interface FlowPipelineParts {
  readonly directory: Directory
  readonly clock: Clock
  readonly history: FlowHistory
  readonly metrics: FlowMetrics
}

export class FlowPipeline {
  readonly #parts: FlowPipelineParts

  constructor(parts: FlowPipelineParts) {
    this.#parts = parts
  }

  /**
   * Takes one record of the ring; its memory may be used again afterwards. A record that is no event of ours is
   * counted: it must not stop those behind it.
   */
  accept(record: Uint8Array): void {
    const { directory, clock, history, metrics } = this.#parts
    try {
      const flow = toFlow(eventRecord.decode(record), directory, clock)
      metrics.count(flow)
      history.push(flow)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      metrics.countUndecodable()
    }
  }
}
