// Policies on real packets between workloads of one node, over both families.
import type { ExecutionContext } from 'ava'
import type { Flow } from '../../observe/index.ts'
import { type Agent, Lab, type Outcome, type Workload } from '../../lab/index.ts'
import { kernelTest } from '../helpers/index.ts'

const withinMs = 2000

/** What the issue asks of an applied or deleted policy: it holds for real packets within two seconds. */
async function becomes(t: ExecutionContext, from: Workload, to: Workload, outcome: Outcome): Promise<void> {
  for (const address of Object.values(to.addresses) as string[]) {
    const deadline = Date.now() + withinMs
    let last: Outcome
    do last = (await from.request({ address, port: 80, timeoutMs: 400 })).outcome
    while (last !== outcome && Date.now() < deadline)
    t.is(last, outcome, `${from.name} -> ${to.name} at ${address}`)
  }
}

function allow(name: string, app: string, fromApp: string): object {
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name, namespace: 'default' },
    spec: {
      endpointSelector: { matchLabels: { app } },
      ingress: [{ fromEndpoints: [{ matchLabels: { app: fromApp } }] }],
    },
  }
}

async function threeWorkloads(lab: Lab): Promise<{ agent: Agent; server: Workload; friend: Workload; stranger: Workload }> {
  const node = await lab.addNode('n1')
  const [server, friend, stranger] = await Promise.all([
    node.addWorkload({ name: 'server', number: 11, labels: { app: 'server' } }),
    node.addWorkload({ name: 'friend', number: 12, labels: { app: 'friend' } }),
    node.addWorkload({ name: 'stranger', number: 13, labels: { app: 'stranger' } }),
  ])
  const [agent] = await Promise.all([node.startAgent(), server.serve('tcp:80', 'echo:7')])
  await agent.apply(server.manifest(), friend.manifest(), stranger.manifest())
  return { agent, server, friend, stranger }
}

kernelTest('without a policy workloads reach each other', async (t) => {
  await using lab = await Lab.create()
  const { server, friend, stranger } = await threeWorkloads(lab)
  await becomes(t, friend, server, 'answered')
  await becomes(t, stranger, server, 'answered')
})

kernelTest('a policy by labels allows one, denies the other, names itself in flows, and ends when deleted', async (t) => {
  await using lab = await Lab.create()
  const { agent, server, friend, stranger } = await threeWorkloads(lab)
  await agent.apply(allow('server', 'server', 'friend'))
  await becomes(t, stranger, server, 'timeout')
  await becomes(t, friend, server, 'answered')
  const dropped = await agent.lines<Flow>('/v1/flows?last=100&verdict=dropped')
  t.true(dropped.some(({ source, destination, policy }) =>
    source.workload === 'default/stranger' && destination.workload === 'default/server' &&
    policy === 'CiliumNetworkPolicy default/server ingress (default deny)'))
  await agent.deletePolicy('CiliumNetworkPolicy', 'default', 'server')
  await becomes(t, stranger, server, 'answered')
})

kernelTest('a relabelled client is allowed, and what it had open is cut when its label goes', async (t) => {
  await using lab = await Lab.create()
  const { agent, server, stranger } = await threeWorkloads(lab)
  await agent.apply(allow('server', 'server', 'friend'))
  await becomes(t, stranger, server, 'timeout')
  await agent.apply(stranger.manifest({ app: 'friend' }))
  await becomes(t, stranger, server, 'answered')
  using stream = stranger.stream({ address: server.addresses.ipv4, port: 7, intervalMs: 10 })
  t.true(await stream.alive())
  await agent.apply(stranger.manifest({ app: 'stranger' }))
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.false(await stream.alive(500))
})

kernelTest('a workload takes no address but its own', async (t) => {
  await using lab = await Lab.create()
  const { server, friend, stranger } = await threeWorkloads(lab)
  const [before, after] = [friend.addresses.ipv4, stranger.addresses.ipv4]
  await becomes(t, friend, server, 'answered')
  await friend.ip(`address add ${after}/32 dev eth0`, `route replace default via 169.254.1.1 dev eth0 onlink src ${after}`)
  t.is((await friend.request({ address: server.addresses.ipv4, port: 80, timeoutMs: 400 })).outcome, 'timeout')
  await friend.ip(`route replace default via 169.254.1.1 dev eth0 onlink src ${before}`)
  t.is((await friend.request({ address: server.addresses.ipv4, port: 80 })).outcome, 'answered')
})
