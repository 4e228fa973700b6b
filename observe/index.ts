// Flows: decoding, names, filters, history and metrics. Knows no kernel and no transport.

export { WallClock } from './clock.ts'
export type { Clock, ClockSource } from './clock.ts'
export { compileFilter, FilterError } from './filter.ts'
export type { FlowFilter, FlowPredicate } from './filter.ts'
export { reasonName, toFlow, VERDICTS } from './flow.ts'
export type { Directory, Flow, FlowEnd, FlowVerdict } from './flow.ts'
export { FlowHistory } from './history.ts'
export { Counter, FlowMetrics, Gauge, Histogram, REASON_COUNTERS, registerDatapathMetrics, Registry } from './metrics.ts'
export type { DatapathCounters, ReasonCount } from './metrics.ts'
export { FlowPipeline } from './pipeline.ts'
export type { FlowPipelineParts } from './pipeline.ts'
export { parseProtocol, PROTOCOL_NAMES, protocolName } from './protocol.ts'
