// A sample of the differential test as real packets: what `sluice policy matrix` computes from manifests, without an
// agent, is what clients and servers observe when the agent enforces the same manifests.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Lab } from '../../lab/index.ts'
import { Random } from '../differential/random.ts'
import { kernelTest } from '../helpers/index.ts'
import { allProbes, describe, observed, replacePolicies, type Verdict } from './probes.ts'
import { type PolicyDocument, randomPolicies } from './random-policies.ts'

const leastPolicies = 200
const ports = ['80/TCP', '81/TCP', '53/UDP'] as const
const leastShare = 0.1
const labels: readonly Record<string, string>[] = [
  { app: 'web', tier: 'front' },
  { app: 'shop', tier: 'front', team: 'red' },
  { app: 'shop', tier: 'back' },
  { app: 'store', tier: 'back', team: 'red' },
]

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
    await Promise.all(allProbes(workloads, ports).map(async (probe) => {
      const expected = matrix[probe.port]?.[probe.from.fullName]?.[probe.to.fullName] as Verdict
      seen[expected]++
      t.is(await observed(probe, expected), expected, `set ${set}, ${describe(probe)}: ${JSON.stringify(policies)}`)
    }))
  }
  t.log(JSON.stringify(seen))
  for (const count of Object.values(seen)) t.true(count / (seen.allowed + seen.denied) >= leastShare, JSON.stringify(seen))
})
