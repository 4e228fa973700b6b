// How long the agent's event loop lets others wait: in its start over an empty folder, while a large one is taken up,
// while one policy changes and while every file has a new text. JSON lines.
//
//   node bench/agent.ts [POLICIES WORKLOADS ENDPOINTS]      400 2000 100 by default

import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Status } from '../agent/api/index.ts'
import { type Agent, Lab, missingPrivilege, type Node } from '../lab/index.ts'
import { type FolderSize, interfaceOf, writeFolder, writePolicy } from './agent/folder.ts'
import type { Delays } from './agent/probe.ts'

/** What follows a change (conntrack, a rescan of the folder) belongs to it. */
const SETTLE_MS = 500
const POLL_MS = 20
const CHANGED_PORT = 9000

/** The agent's own word on its event loop since the last time that it was asked. */
async function delaysOf(agent: Agent, file: string): Promise<Delays> {
  agent.service.kill('SIGUSR2')
  while (!existsSync(file)) await sleep(POLL_MS)
  const delays = JSON.parse(readFileSync(file, 'utf8')) as Delays
  rmSync(file)
  return delays
}

/** From now until the agent works with so many policies. */
async function measure(name: string, agent: Agent, file: string, policies: number): Promise<void> {
  const start = performance.now()
  while (!(await holds(agent, policies))) await sleep(POLL_MS)
  const took = performance.now() - start
  await sleep(SETTLE_MS)
  const { p50, p99, p999, max } = await delaysOf(agent, file)
  console.log(JSON.stringify({ bench: 'agent', case: name, metric: 'event_loop_delay_p99.9_ms', value: p999, p50, p99, max, took_ms: Math.round(took) }))
}

async function holds(agent: Agent, policies: number): Promise<boolean> {
  const status = await agent.get<Status>('/v1/status').catch(() => undefined)
  return status?.ok === true && status.parts['policy']?.summary.startsWith(`${policies} policies`) === true
}

function addInterfaces(node: Node, count: number): Promise<void> {
  const linesOf = (device: string, index: number): string[] => [`link add ${device} type veth peer name peer${index}`, `link set ${device} up`]
  return node.ip(...Array.from({ length: count }, (_, index) => linesOf(interfaceOf(index), index)).flat())
}

function launch(node: Node, manifests: string, file: string): Agent {
  const probe = new URL('agent/probe.ts', import.meta.url)
  Object.assign(process.env, { NODE_OPTIONS: `--import=${probe}`, PROBE_FILE: file })
  return node.launchAgent({ manifests: [manifests], options: ['--workload-range', '10.77.0.0/16'] })
}

async function measureAll(size: FolderSize): Promise<void> {
  await using lab = await Lab.create()
  const node = await lab.addNode('n1')
  const [manifests, file] = ['manifests', 'delays.json'].map((name) => join(node.stateFolder, name)) as [string, string]
  await addInterfaces(node, size.endpoints)
  mkdirSync(manifests, { recursive: true })
  const agent = launch(node, manifests, file)
  await measure('start', agent, file, 0)
  writeFolder(manifests, size, 1)
  await measure('load', agent, file, size.policies)
  writePolicy(manifests, 0, CHANGED_PORT, 1)
  writePolicy(manifests, size.policies, CHANGED_PORT, 1)
  await measure('policy-change', agent, file, size.policies + 1)
  writeFolder(manifests, size, 2)
  writePolicy(manifests, size.policies + 1, CHANGED_PORT, 2)
  await measure('re-list', agent, file, size.policies + 2)
}

const [policies = 400, workloads = 2000, endpoints = 100] = process.argv.slice(2).map(Number)
const missing = missingPrivilege()
if (missing === undefined) await measureAll({ policies, workloads, endpoints })
else console.error(`bench/agent.ts measures nothing: ${missing}`)
