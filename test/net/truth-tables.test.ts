// A sample of the truth tables of NetworkPolicies (cli/policy/truth-tables.test.ts) as real packets: what an evaluation
// of the documents says is what clients and servers observe when the agent enforces them.
import { addressOf, type Combination, inhabitants, namespaces, overlapping, single } from '../../manifests/testing/combinations.ts'
import { isAllowed, policyDocument, type TestPod, type TestPolicy } from '../../manifests/testing/network-policies.ts'
import { type Addresses, Lab, type Node, type Workload } from '../../lab/index.ts'
import { Random } from '../differential/random.ts'
import { kernelTest } from '../helpers/index.ts'
import { allProbes, describe, observed, type Probe, replacePolicies } from './probes.ts'

const leastPolicies = 200
const ports = ['80/TCP', '81/TCP', '80/UDP', '81/UDP'] as const

const labelsOf = ({ name, labels }: Omit<TestPod, 'ip'>) => ({ ...labels, subject: name })

/** The inhabitants at their addresses, each with a label of its own. */
const podsAt = (family: keyof Addresses): TestPod[] =>
  inhabitants.map((each, index) => ({ ...each, labels: labelsOf(each), ip: addressOf(index, family) }))
const pods = { ipv4: podsAt('ipv4'), ipv6: podsAt('ipv6') }

function addInhabitants(node: Node): Promise<Workload[]> {
  return Promise.all(inhabitants.map((each, index) =>
    node.addWorkload({ name: each.name, number: 11 + index, namespace: each.namespace, labels: labelsOf(each) })))
}

/** Documents of the namespaces, and of the workloads with the names of their ports. */
function worldOf(workloads: readonly Workload[]): object[] {
  const withPorts = (workload: Workload, index: number) => {
    const manifest = workload.manifest() as { readonly spec: object }
    const named = inhabitants[index]?.ports.map(({ name, containerPort, protocol }) => ({ name, port: containerPort, protocol }))
    return { ...manifest, spec: { ...manifest.spec, ports: named } }
  }
  const namespace = ({ name, labels }: (typeof namespaces)[number]) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } })
  return [...namespaces.map(namespace), ...workloads.map(withPorts)]
}

/** One combination for each inhabitant, so that one's egress meets another's ingress. */
function drawPolicies(random: Random): TestPolicy[] {
  return inhabitants.flatMap(({ namespace, name }) => {
    const { title, specs } = random.pick<Combination>(random.pick([single, overlapping]))
    return specs.map((spec, number) => ({
      namespace, name: `${name}-${number}`, title, spec: { ...spec, podSelector: { matchLabels: { subject: name } } },
    }))
  })
}

function expectedOf(policies: readonly TestPolicy[], { from, to, family, port }: Probe) {
  const podOf = (workload: Workload) => pods[family].find(({ name }) => name === workload.name) as TestPod
  const [number, protocol = ''] = port.split('/')
  const cluster = { namespaces, pods: pods[family], policies }
  return isAllowed(cluster, podOf(from), podOf(to), { protocol, port: Number(number) }) ? 'allowed' : 'denied'
}

kernelTest(`${leastPolicies} NetworkPolicies of the truth tables hold for packets`, async (t) => {
  t.timeout(180_000)
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 32)
  t.log(`SEED=${seed}`)
  const random = new Random(seed)
  await using lab = await Lab.create()
  const node = await lab.addNode('n1')
  const workloads = await addInhabitants(node)
  const [agent] = await Promise.all([node.startAgent(), ...workloads.map((each) => each.serve('tcp:80', 'tcp:81', 'udp:80', 'udp:81'))])
  await agent.apply(...worldOf(workloads))
  const seen = { allowed: 0, denied: 0 }
  let policies: TestPolicy[] = []
  for (let count = 0; count < leastPolicies; count += policies.length) {
    const before = policies
    policies = drawPolicies(random)
    await replacePolicies(agent, before.map(policyDocument), policies.map(policyDocument))
    await Promise.all(allProbes(workloads, ports).map(async (probe) => {
      const expected = expectedOf(policies, probe)
      seen[expected]++
      t.is(await observed(probe, expected), expected, `${describe(probe)}: ${JSON.stringify(policies)}`)
    }))
  }
  t.log(JSON.stringify(seen))
  t.true(Math.min(seen.allowed, seen.denied) > 500, JSON.stringify(seen))
})
