// How long the agent's event loop lets others wait, while a large folder is taken up, while one policy changes and
// while every file has a new text. JSON lines; the agent runs in this process, in a network namespace of its own.
//
//   node bench/agent.ts [POLICIES WORKLOADS ENDPOINTS]      400 2000 100 by default

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent } from '../agent/agent.ts'
import { Logger } from '../agent/log.ts'
import { parseCommand, type RunOptions } from '../agent/options.ts'
import { removePinned } from '../agent/pins.ts'
import { missingPrivilege } from '../lab/privilege.ts'
import { type FolderSize, interfaceOf, policyName, writeFolder, writePolicy } from './agent/folder.ts'

const RESOLUTION_MS = 1
const NS_PER_MS = 1e6
/** What follows a change (conntrack, a rescan of the folder) belongs to it. */
const SETTLE_MS = 500
const POLL_MS = 20
const CHANGED_PORT = 9000
/** The variable names the namespace that the benchmark was started in, and must not measure in. */
const OUTER_NAMESPACE = 'BENCH_OUTER_NAMESPACE'
const OWN_NAMESPACE = '/proc/self/ns/net'

/** Samples every millisecond how much later than that the loop came round, until what `begin` begins is done. */
async function measure(name: string, done: () => boolean, begin?: () => Promise<void>): Promise<void> {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delay.enable()
  const start = performance.now()
  await begin?.()
  while (!done()) await sleep(POLL_MS)
  const took = performance.now() - start
  await sleep(SETTLE_MS)
  delay.disable()
  const ms = (ns: number): number => Number(Math.max(0, ns / NS_PER_MS - RESOLUTION_MS).toFixed(2))
  const [p50, p99, p999] = [50, 99, 99.9].map((percentile) => ms(delay.percentile(percentile)))
  const line = { bench: 'agent', case: name, metric: 'event_loop_delay_p99.9_ms', value: p999, p50, p99, max: ms(delay.max), took_ms: Math.round(took) }
  console.log(JSON.stringify(line))
}

function addInterfaces(count: number): void {
  const links = Array.from({ length: count }, (_, index) => `link add ${interfaceOf(index)} type veth peer name peer${index}\nlink set ${interfaceOf(index)} up\n`)
  execFileSync('ip', ['-batch', '-'], { input: links.join('') })
}

function optionsIn(folder: string): RunOptions {
  const name = `bench-${process.pid}`
  const argv = ['--name', name, '--state-dir', folder, '--socket', join(folder, 'sock'), '--manifests', join(folder, 'manifests')]
  const command = parseCommand([...argv, '--workload-range', '10.77.0.0/16', '--log-level', 'warn'], {})
  if (command.command !== 'run') throw new Error(`these are options of ${command.command}`)
  return command.options
}

async function measureAll(size: FolderSize, options: RunOptions): Promise<void> {
  const [manifests = ''] = options.manifests
  writeFolder(manifests, size, 1)
  addInterfaces(size.endpoints)
  await using agent = new Agent(options, new Logger(options.logLevel), (error) => console.error(error))
  const policies = agent.tables.find(({ name }) => name === 'policies')
  const shows = (policy: number) => () => policies?.get(`CiliumNetworkPolicy/bench/${policyName(policy)}`) !== undefined
  await measure('load', () => agent.status().ok, () => agent.start())
  writePolicy(manifests, 0, CHANGED_PORT, 1)
  writePolicy(manifests, size.policies, CHANGED_PORT, 1)
  await measure('policy-change', shows(size.policies))
  writeFolder(manifests, size, 2)
  writePolicy(manifests, size.policies + 1, CHANGED_PORT, 2)
  await measure('re-list', shows(size.policies + 1))
}

async function inOwnNamespace([policies = 400, workloads = 2000, endpoints = 100]: readonly number[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
  const options = optionsIn(folder)
  try {
    await measureAll({ policies, workloads, endpoints }, options)
  } finally {
    removePinned(options.bpffs)
    rmSync(folder, { recursive: true })
  }
}

/** The namespace goes with the process, and its interfaces with the namespace. */
function enterNamespace(): void {
  const { status } = spawnSync('unshare', ['--net', process.execPath, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, [OUTER_NAMESPACE]: readlinkSync(OWN_NAMESPACE) },
  })
  process.exitCode = status ?? 1
}

const missing = missingPrivilege()
const outer = process.env[OUTER_NAMESPACE]
if (missing !== undefined) console.error(`bench/agent.ts measures nothing: ${missing}`)
else if (outer === undefined || outer === readlinkSync(OWN_NAMESPACE)) enterNamespace()
else await inOwnNamespace(process.argv.slice(2).map(Number))
