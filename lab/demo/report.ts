import type { Flow } from '../../observe/index.ts'
import { withPort } from '../index.ts'
import type { Shares } from './distribution.ts'
import type { Observation } from './expectations.ts'

/** What the demo does, beside its results. */
export function say(text: string): void {
  console.error(`demo: ${text}`)
}

/** Columns as wide as their widest cell. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd()).join('\n')
}

export function isAsExpected({ expected, observed }: Observation): boolean {
  return expected === observed
}

export function observationTable(observations: readonly Observation[]): string {
  const header = ['', 'FROM', 'TO', 'ADDRESS', 'PORT', 'EXPECTED', 'OBSERVED', 'DECIDED BY']
  const rows = observations.map((row) => [
    isAsExpected(row) ? ' ' : 'X',
    ...[row.from, row.to, row.address, `${row.port}/${row.protocol ?? 'TCP'}`],
    ...[row.expected, row.observed, row.policy],
  ])
  return table([header, ...rows])
}

export function distributionTable(shares: readonly Shares[]): string {
  const header = ['', 'SERVICE', 'FAMILY', 'BACKEND', 'ANSWERS', 'SHARE', 'WEIGHT']
  const rows = shares.flatMap(({ service, family, backends }) => backends.map((backend) => [
    backend.isPlausible ? ' ' : 'X',
    ...[service, family, backend.name, String(backend.answers)],
    ...[percent(backend.share), percent(backend.weight)],
  ]))
  return table([header, ...rows])
}

export function flowTable(flows: readonly Flow[]): string {
  const rows = flows.map((flow) => [
    flow.time.slice(11, 23),
    flow.verdict,
    nameOf(flow.source),
    '->',
    nameOf(flow.destination),
    flow.protocol,
    flow.policy ?? flow.reason,
  ])
  return table(rows)
}

function nameOf({ workload, address, port }: Flow['source']): string {
  return withPort(workload === undefined ? address : workload, port)
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}
