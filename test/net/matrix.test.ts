// A sample of the differential test as real packets: what `sluice policy matrix` computes from manifests, without an
// agent, is what clients and servers observe when the agent enforces the same manifests.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Agent, Lab, type Workload } from '../../lab/index.ts'
import { Random } from '../differential/random.ts'
import { kernelTest } from '../helpers/index.ts'
import { type PolicyDocument, randomPolicies } from './random-policies.ts'

const leastPolicies = 200
const ports = ['80/TCP', '81/TCP', '53/UDP'] as const
const families = ['ipv4', 'ipv6'] as const
const leastShare = 0.1
const [answeredMs, deniedMs] = [2000, 300]
const labels: readonly Record<string, string>[] = [
  { app: 'web', tier: 'front' },
  { app: 'shop', tier: 'front', team: 'red' },
  { app: 'shop', tier: 'back' },
  { app: 'store', tier: 'back', team: 'red' },
]

type Verdict = 'allowed' | 'denied'
type Matrix = Record<string, Record<string, Record<string, Verdict>>>

/** What the command says of these documents. */
async function computed(documents: readonly object[]): Promise<Matrix> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-matrix-'))
  try {
    writeFileSync(join(folder, 'all.yaml'), documents.map((document) => JSON.stringify(document)).join('\n---\n'))
    const asked = ports.flatMap((port) => ['--port', port])
    const { stdout } = await promisify(execFile)('./sluice', ['policy', 'matrix', '-f', folder, ...asked, '-o', 'json'])
    return JSON.parse(stdout) as Matrix
  } finally {
    rmSync(folder, { recursive: true })
  }
}

interface Probe {
  readonly from: Workload
  readonly to: Workload
  readonly family: (typeof families)[number]
  readonly port: (typeof ports)[number]
}

const describe = ({ from, to, family, port }: Probe) => `${from.name} -> ${to.name} ${port} over ${family}`

function allProbes(workloads: readonly Workload[]): Probe[] {
  return workloads.flatMap((from) => workloads.filter((to) => to !== from).flatMap((to) =>
    ports.flatMap((port) => families.map((family) => ({ from, to, family, port })))))
}

/** Waits longer for what is to be answered, so that a slow machine is not taken for a policy. */
async function observed({ from, to, family, port }: Probe, expected: Verdict): Promise<Verdict | string> {
  const [number, protocol] = port.split('/') as [string, 'TCP' | 'UDP']
  const timeoutMs = expected === 'allowed' ? answeredMs : deniedMs
  const { outcome } = await from.request({ address: to.addresses[family], port: Number(number), protocol, timeoutMs })
  return outcome === 'answered' ? 'allowed' : outcome === 'timeout' ? 'denied' : outcome
}

async function replacePolicies(agent: Agent, before: readonly PolicyDocument[], after: readonly PolicyDocument[]): Promise<void> {
  for (const { kind, metadata } of before) await agent.deletePolicy(kind, metadata.namespace ?? '', metadata.name)
  await agent.apply(...after)
}

kernelTest(`${leastPolicies} random policies, set by set, hold for packets as the matrix says`, async (t) => {
  t.timeout(180_000)
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 32)
  t.log(`SEED=${seed}`)
  const random = new Random(seed)
  await using lab = await Lab.create()
  const node = await lab.addNode('n1')
  const workloads = await Promise.all(labels.map((each, index) => node.addWorkload({ name: `w${index}`, number: 11 + index, labels: each })))
  const [agent] = await Promise.all([node.startAgent(), ...workloads.map((each) => each.serve('tcp:80', 'tcp:81', 'udp:53'))])
  const manifests = workloads.map((each) => each.manifest())
  await agent.apply(...manifests)
  const world = { labels, ports, addresses: workloads.map(({ addresses }) => addresses) }
  const seen = { allowed: 0, denied: 0 }
  let policies: PolicyDocument[] = []
  for (let set = 1, count = 0; count < leastPolicies; set++, count += policies.length) {
    const before = policies
    policies = randomPolicies(random, world)
    await replacePolicies(agent, before, policies)
    const matrix = await computed([...manifests, ...policies])
    await Promise.all(allProbes(workloads).map(async (probe) => {
      const expected = matrix[probe.port]?.[probe.from.fullName]?.[probe.to.fullName] as Verdict
      seen[expected]++
      t.is(await observed(probe, expected), expected, `set ${set}, ${describe(probe)}: ${JSON.stringify(policies)}`)
    }))
  }
  t.log(JSON.stringify(seen))
  for (const count of Object.values(seen)) t.true(count / (seen.allowed + seen.denied) >= leastShare, JSON.stringify(seen))
})
