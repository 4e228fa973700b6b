// Nanoseconds a packet of the datapath's programs, by the number of flows; sizes and verified instructions of all.
//
//   node bench/datapath.ts [FLOWS...]      1, 1000, 100000 and 1000000 by default

import { missingPrivilege } from '../lab/index.ts'
import { measureBalancer } from './datapath/balancer.ts'
import { calibrate } from './datapath/calibration.ts'
import type { Measurement } from './datapath/measure.ts'
import { makeNode } from './datapath/node.ts'
import type { BenchNode } from './datapath/node.ts'
import { programSizes } from './datapath/sizes.ts'
import { measureWorkloads } from './datapath/workloads.ts'

const FLOWS = [1, 1000, 100_000, 1_000_000]

function print(line: object): void {
  console.log(JSON.stringify({ bench: 'datapath', ...line }))
}

function* measureAll(node: BenchNode, flowCounts: readonly number[]): Generator<Measurement> {
  yield* measureBalancer(node, flowCounts)
  yield* measureWorkloads(node, flowCounts)
}

function main(flowCounts: readonly number[]): void {
  for (const { program, ...sizes } of programSizes())
    for (const [metric, value] of Object.entries(sizes)) print({ case: program, metric, value })
  using node = makeNode()
  for (const { case: name, flows, ns, baselineNs } of measureAll(node, flowCounts))
    print({ case: name, flows, metric: 'ns_per_packet', value: ns, baseline: baselineNs, calibration_ns: calibrate() })
}

const missing = missingPrivilege()
if (missing === undefined) main(process.argv.length > 2 ? process.argv.slice(2).map(Number) : FLOWS)
else console.error(`bench/datapath.ts measures nothing: ${missing}`)
