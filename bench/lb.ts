// Nanoseconds a packet of the edge load balancer: by what its slots have been through, by packet, family and number of
// flows; and with many services.
//
//   node bench/lb.ts [FLOWS...]      1, 1000, 100000 and 1000000 by default

import { missingPrivilege } from '../lab/index.ts'
import { calibrate } from './datapath/calibration.ts'
import { makeNode } from './datapath/node.ts'
import { type Line, measureManyServices, measureOneService } from './lb/cases.ts'

const FLOWS = [1, 1000, 100_000, 1_000_000]

function print({ case: name, flows, services, ns, baselineNs }: Line): void {
  const many = services === undefined ? {} : { services }
  console.log(JSON.stringify({ bench: 'lb', case: name, flows, ...many, metric: 'ns_per_packet', value: ns, baseline: baselineNs, calibration_ns: calibrate() }))
}

function main(flowCounts: readonly number[]): void {
  using node = makeNode()
  for (const line of measureOneService(node, flowCounts)) print(line)
  for (const line of measureManyServices(node, Math.max(...flowCounts))) print(line)
}

const missing = missingPrivilege()
if (missing === undefined) main(process.argv.length > 2 ? process.argv.slice(2).map(Number) : FLOWS)
else console.error(`bench/lb.ts measures nothing: ${missing}`)
