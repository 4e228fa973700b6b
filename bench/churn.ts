// What identities and policies that come and go without pause cost the agent: its share of a core, and how long a change
// takes from the request to the answer, which comes when the datapath's maps hold it. JSON lines.
//
//   node bench/churn.ts [IDENTITIES POLICIES SECONDS]      10000 1000 20 by default: those that stay

import { readFileSync } from 'node:fs'
import { Agent as Connections, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Status } from '../agent/api/index.ts'
import { type Agent, Lab, missingPrivilege } from '../lab/index.ts'
import { list, policy, workload } from './churn/documents.ts'

/** 1,000 identities come and 1,000 go a second, in requests as a watcher of a cluster would gather them. */
const TICK_MS = 20
const PER_TICK = 20
/** How long an identity stays, in ticks. */
const LIFETIME_TICKS = 50
/** Policies change twice a second. */
const POLICY_EVERY_TICKS = 25
/** A request of the first load. */
const LOAD_DOCUMENTS = 500
const CLOCK_TICKS_PER_S = 100

interface Latencies {
  readonly add: number[]
  readonly remove: number[]
  readonly policy: number[]
}

class Client {
  readonly #socket: string
  readonly #connections = new Connections({ keepAlive: true })

  constructor({ socket }: Agent) {
    this.#socket = socket
  }

  /** Rejects what the agent refuses. */
  async send(method: 'PUT' | 'DELETE', documents: readonly object[]): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const body = list(documents)
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const options = { socketPath: this.#socket, method, path: '/v1/manifests', agent: this.#connections, headers }
    const sent = request(options, (answer) => {
      text(answer).then((said) => (answer.statusCode === 200 ? resolve() : reject(new Error(`${method}: ${answer.statusCode} ${said}`))), reject)
    })
    sent.on('error', reject)
    sent.end(body)
    return promise
  }
}

/** Of the whole process, in seconds of a core: user and system time (proc(5), fields 14 and 15). */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_S
}

async function load(client: Client, documents: readonly object[]): Promise<void> {
  for (let from = 0; from < documents.length; from += LOAD_DOCUMENTS) await client.send('PUT', documents.slice(from, from + LOAD_DOCUMENTS))
}

/** From the moment that the request was due: one that waits behind others is slow too. */
async function timed(latencies: number[], due: number, change: Promise<void>): Promise<void> {
  await change
  latencies.push(performance.now() - due)
}

const until = (time: number): Promise<void> => sleep(Math.max(0, time - performance.now()))

async function churn(client: Client, { stay, policies, ticks }: { stay: number; policies: number; ticks: number }): Promise<Latencies> {
  const latencies: Latencies = { add: [], remove: [], policy: [] }
  const changes: Promise<void>[] = []
  const batch = (tick: number): readonly object[] => Array.from({ length: PER_TICK }, (_, index) => workload(stay + tick * PER_TICK + index))
  const start = performance.now()
  for (let tick = 0; tick < ticks; tick++) {
    const due = start + tick * TICK_MS
    await until(due)
    changes.push(timed(latencies.add, due, client.send('PUT', batch(tick))))
    if (tick % POLICY_EVERY_TICKS === 0) changes.push(timed(latencies.policy, due, client.send('PUT', [policy(tick % policies, tick)])))
    await until(due + TICK_MS / 2)
    if (tick >= LIFETIME_TICKS) changes.push(timed(latencies.remove, due + TICK_MS / 2, client.send('DELETE', batch(tick - LIFETIME_TICKS))))
  }
  await Promise.all(changes)
  return latencies
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}

async function measure(stay: number, policies: number, seconds: number): Promise<void> {
  await using lab = await Lab.create()
  const node = await lab.addNode('n1')
  await using agent = await node.startAgent({ options: ['--workload-range', '10.77.0.0/16'] })
  const client = new Client(agent)
  await load(client, Array.from({ length: policies }, (_, index) => policy(index, 0)))
  await load(client, Array.from({ length: stay }, (_, index) => workload(index)))
  const { pid } = await agent.get<Status>('/v1/status')
  const [cpu, start] = [cpuSeconds(pid), performance.now()]
  const latencies = await churn(client, { stay, policies, ticks: (seconds * 1000) / TICK_MS })
  const took = (performance.now() - start) / 1000
  const line = (metric: string, value: number): void =>
    console.log(JSON.stringify({ bench: 'churn', case: `${policies}/${stay}`, metric, value: Number(value.toFixed(3)) }))
  line('cores', (cpuSeconds(pid) - cpu) / took)
  line('changes_per_second', ((latencies.add.length + latencies.remove.length) * PER_TICK) / took)
  for (const [kind, values] of Object.entries(latencies) as [string, number[]][]) {
    const sorted = values.toSorted((a, b) => a - b)
    for (const share of [0.5, 0.99, 1]) line(`${kind}_p${share * 100}_ms`, percentile(sorted, share))
  }
}

const [identities = 10_000, policies = 1_000, seconds = 20] = process.argv.slice(2).map(Number)
const missing = missingPrivilege()
if (missing === undefined) await measure(identities, policies, seconds)
else console.error(`bench/churn.ts measures nothing: ${missing}`)
