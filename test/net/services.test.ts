// Services inside the node (NAT) and load balancers at its edge (XDP, IPIP), on real connections.
import type { ExecutionContext } from 'ava'
import { type Agent, type Host, Lab, type Node, type Workload } from '../../lab/index.ts'
import { kernelTest } from '../helpers/index.ts'

const service = (ports: readonly object[]) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'echo', namespace: 'default' },
  spec: { selector: { app: 'server' }, clusterIPs: ['10.77.8.1', 'fd77:8::1'], ports },
})

const balancer = (backends: readonly Host[]) => ({
  apiVersion: 'sluice.io/v1',
  kind: 'LoadBalancer',
  metadata: { name: 'edge', namespace: 'default' },
  spec: {
    addresses: ['10.77.9.1', 'fd77:9::1'],
    tableSize: 251,
    ports: [{ port: 80, protocol: 'TCP' }],
    backends: backends.map(({ name, addresses }) => ({ name, addresses: [addresses.ipv4, addresses.ipv6] })),
  },
})

interface Scene {
  readonly agent: Agent
  readonly node: Node
  readonly servers: readonly Workload[]
  readonly client: Workload
}

async function makeScene(lab: Lab): Promise<Scene> {
  const node = await lab.addNode('n1')
  const [one, two, client] = await Promise.all([
    node.addWorkload({ name: 'one', number: 11, labels: { app: 'server' } }),
    node.addWorkload({ name: 'two', number: 12, labels: { app: 'server' } }),
    node.addWorkload({ name: 'client', number: 13, labels: { app: 'client' } }),
  ])
  const [agent] = await Promise.all([node.startAgent(), ...[one, two].map((server) => server.serve('tcp:8080', 'udp:53'))])
  await agent.apply(...[one, two, client].map((workload) => workload.manifest()))
  await agent.apply(service([{ name: 'http', port: 80, targetPort: 8080 }, { name: 'dns', port: 53, protocol: 'UDP' }]))
  return { agent, node, servers: [one, two], client }
}

/** Names of those that answered, from this many connections; a request without an answer is a failure. */
async function answering(t: ExecutionContext, client: Host, address: string, protocol: 'TCP' | 'UDP', count: number): Promise<Set<string>> {
  const port = protocol === 'TCP' ? 80 : 53
  const replies = await Promise.all(Array.from({ length: count }, () => client.request({ address, port, protocol, timeoutMs: 2000 })))
  for (const reply of replies) t.is(reply.outcome, 'answered', `${protocol} ${address}: ${reply.error ?? ''}`)
  return new Set(replies.map(({ by = 'nobody' }) => by))
}

kernelTest('a Service spreads connections over its workloads, which see the client as it is', async (t) => {
  await using lab = await Lab.create()
  const { client } = await makeScene(lab)
  for (const [address, own] of [['10.77.8.1', client.addresses.ipv4], ['fd77:8::1', client.addresses.ipv6]] as const) {
    t.deepEqual([...(await answering(t, client, address, 'TCP', 40))].sort(), ['one', 'two'])
    t.deepEqual([...(await answering(t, client, address, 'UDP', 40))].sort(), ['one', 'two'])
    t.is((await client.request({ address, port: 80 })).seenAs, own)
  }
})

kernelTest('a workload reaches itself through its own Service', async (t) => {
  await using lab = await Lab.create()
  const { servers: [one] } = await makeScene(lab)
  if (one === undefined) return t.fail()
  for (const address of ['10.77.8.1', 'fd77:8::1']) {
    t.deepEqual([...(await answering(t, one, address, 'TCP', 40))].sort(), ['one', 'two'])
  }
})

/** Answers of a megabyte travel in segments of up to 64 KiB, which the links cut where offloads are on. */
kernelTest('translation holds with offloads off as with offloads on', async (t) => {
  await using lab = await Lab.create()
  const { client, servers, node } = await makeScene(lab)
  for (const state of ['off', 'on']) {
    for (const host of [client, ...servers]) {
      const features = ['tx', 'tso', 'gso', 'gro'].flatMap((feature) => [feature, state])
      await host.run(['ethtool', '-K', 'eth0', ...features])
      await node.run(['ethtool', '-K', host.interface, ...features])
    }
    for (const address of ['10.77.8.1', 'fd77:8::1']) {
      const reply = await client.request({ address, port: 80, bytes: 1_000_000, timeoutMs: 5000 })
      t.like(reply, { outcome: 'answered', bytes: 1_000_000 }, `offloads ${state}, ${address}: ${reply.error ?? ''}`)
    }
  }
})

kernelTest('a LoadBalancer at the edge reaches every backend, over both families', async (t) => {
  await using lab = await Lab.create()
  const node = await lab.addNode('n1')
  const [client, ...backends] = await Promise.all([
    lab.addHost('client', 50),
    lab.addHost('b1', 21),
    lab.addHost('b2', 22),
  ])
  const [agent] = await Promise.all([node.startAgent(), ...backends.map((backend) => backend.serve('tcp:80'))])
  for (const backend of backends) await backend.decapsulate(['10.77.9.1', 'fd77:9::1'])
  await agent.apply(balancer(backends))
  for (const address of ['10.77.9.1', 'fd77:9::1']) {
    t.deepEqual([...(await answering(t, client, address, 'TCP', 60))].sort(), ['b1', 'b2'])
  }
})
