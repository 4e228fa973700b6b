// What other tools rely on: the command's JSON, from a node with its real agent, programs and packets.
import type { ExecutionContext } from 'ava'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Endpoint, Flow, Identity, MapItem, PolicyItem, Program, Status } from '../../agent/api/index.ts'
import { runSluice } from '../../cli/testing/sluice.ts'
import { type Agent, Lab, type Outcome, type Workload } from '../../lab/index.ts'
import { kernelTest } from '../helpers/index.ts'

const POLICY = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: default}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress: [{fromEndpoints: [{matchLabels: {app: nobody}}]}]
`

async function node(lab: Lab): Promise<{ agent: Agent; web: Workload; client: Workload }> {
  const node = await lab.addNode('n1')
  const web = await node.addWorkload({ name: 'web', number: 11, labels: { app: 'web' } })
  const client = await node.addWorkload({ name: 'client', number: 12, labels: { app: 'client' } })
  const [agent] = await Promise.all([node.startAgent(), web.serve('tcp:80')])
  await agent.apply(web.manifest(), client.manifest())
  return { agent, web, client }
}

async function jsonOf<T>(t: ExecutionContext, { socket }: Agent, ...args: string[]): Promise<T> {
  const { status, stdout, stderr } = await runSluice([...args, '-o', 'json'], { socket })
  t.deepEqual({ status, stderr }, { status: 0, stderr: '' }, args.join(' '))
  return JSON.parse(stdout) as T
}

async function becomes(t: ExecutionContext, client: Workload, web: Workload, outcome: Outcome): Promise<void> {
  const address = web.addresses.ipv4
  const deadline = Date.now() + 2000
  let last: Outcome
  do last = (await client.request({ address, port: 80, timeoutMs: 300 })).outcome
  while (last !== outcome && Date.now() < deadline)
  t.is(last, outcome)
}

kernelTest('status, endpoints, identities, programs and maps of a real node', async (t) => {
  await using lab = await Lab.create()
  const { agent, web } = await node(lab)
  const status = await jsonOf<Status>(t, agent, 'status', '--wait', '10')
  t.deepEqual([status.ok, status.degraded], [true, []])
  t.notThrows(() => process.kill(status.pid, 0))
  const endpoints = await jsonOf<Endpoint[]>(t, agent, 'endpoint', 'list')
  const endpoint = endpoints.find(({ name }) => name === 'default/web')
  t.deepEqual(endpoint?.addresses, Object.values(web.addresses) as string[])
  t.is(endpoint?.interface, web.interface)
  t.is(typeof endpoint?.netns, 'string')
  t.true(endpoint?.labels.includes('k8s:app=web'))
  const identity = await jsonOf<Identity>(t, agent, 'identity', 'get', String(endpoint?.identity))
  t.deepEqual([...identity.labels].sort(), [...(endpoint?.labels ?? [])].sort())
  const programs = await jsonOf<Program[]>(t, agent, 'bpf', 'programs')
  t.true(programs.some((program) => program.interface === web.interface && program.id > 0 && program.hook !== '' && program.pin !== ''))
  const maps = await jsonOf<MapItem[]>(t, agent, 'bpf', 'maps')
  t.true(maps.some(({ name, id, pin }) => name === 'addresses' && id > 0 && pin.endsWith('/addresses')))
})

kernelTest('a file is applied and deleted as a whole, or not at all, and faults have their place in it', async (t) => {
  await using lab = await Lab.create()
  const { agent } = await node(lab)
  const sluice = (input: string, ...args: string[]) => runSluice(['policy', ...args, '-f', '-'], { socket: agent.socket, input })
  const enforced = async () => (await jsonOf<PolicyItem[]>(t, agent, 'policy', 'get')).map(({ name }) => name).sort()
  const other = POLICY.replace('name: web', 'name: other')
  const clash = '---\napiVersion: sluice.io/v1\nkind: Workload\nmetadata: {name: thief}\nspec: {addresses: [10.77.1.11]}\n'
  const refused = await sluice(`${POLICY}${clash}`, 'apply')
  t.regex(refused.stderr, /nothing was applied:\n {2}standard input:11:8: spec\.addresses: address 10\.77\.1\.11 is that of Workload default\/web; .*; the other: applied earlier\n$/)
  t.deepEqual([refused.status, await enforced()], [1, []])
  t.is((await sluice(`${POLICY}---\n${other}`, 'apply')).status, 0)
  const missing = await sluice(`${other}${clash}`, 'delete')
  t.regex(missing.stderr, /nothing was deleted:\n {2}standard input:8:1: Workload default\/thief was not applied/)
  t.deepEqual([missing.status, await enforced()], [1, ['other', 'web']])
  t.is((await sluice(`${POLICY}---\n${other}`, 'delete')).status, 0)
  t.deepEqual(await enforced(), [])
})

kernelTest('a policy that is applied holds within two seconds, is seen in flows, and ends when deleted', async (t) => {
  await using lab = await Lab.create()
  const { agent, web, client } = await node(lab)
  const folder = await mkdtemp(join(tmpdir(), 'sluice-cli-'))
  try {
    const file = join(folder, 'web.yaml')
    await writeFile(file, POLICY)
    await becomes(t, client, web, 'answered')
    await jsonOf(t, agent, 'policy', 'apply', '-f', file)
    await becomes(t, client, web, 'timeout')
    const policies = await jsonOf<PolicyItem[]>(t, agent, 'policy', 'get')
    t.deepEqual(policies.map(({ kind, namespace, name }) => [kind, namespace, name]), [['CiliumNetworkPolicy', 'default', 'web']])
    const filters = ['--verdict', 'dropped', '--from-label', 'app=client', '--to-label', 'k8s:app=web', '--port', '80']
    const [flow] = await jsonOf<Flow[]>(t, agent, 'observe', '--last', '1', ...filters)
    t.is(flow?.source.workload, 'default/client')
    t.is(flow?.destination.workload, 'default/web')
    t.regex(flow?.policy ?? '', /^CiliumNetworkPolicy default\/web ingress/)
    t.true(Math.abs(Date.parse(flow?.time ?? '') - Date.now()) < 60_000, flow?.time)
    await jsonOf(t, agent, 'policy', 'delete', '-f', file)
    await becomes(t, client, web, 'answered')
  } finally {
    await rm(folder, { recursive: true })
  }
})
