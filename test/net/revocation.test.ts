// Whatever takes a permission away cuts the flows that it had allowed, also where only one end still sends.
import type { ExecutionContext } from 'ava'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Agent, type Host, Lab, type Node, type Service, type Workload } from '../../lab/index.ts'
import { kernelTest } from '../helpers/index.ts'

const holdsMs = 2000 // Within which a change must hold for packets.
const silentMs = 600 // Without a byte for so long a flow counts as cut: bytes are sent every 50 ms.

interface Scene {
  readonly agent: Agent
  readonly node: Node
  readonly server: Workload
  readonly friend: Workload
  readonly outsider: Host
  /** The server's process; its log tells what came in. */
  readonly service: Service
}

interface Case {
  readonly name: string
  /** Whose flow to the server is cut. */
  readonly client: (scene: Scene) => Host
  readonly revoke: (scene: Scene) => Promise<void>
}

const policy = (name: string, app: string, spec: object) => ({
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumNetworkPolicy',
  metadata: { name, namespace: 'default' },
  spec: { endpointSelector: { matchLabels: { app } }, ...spec },
})
const fromApp = (app: string) => ({ ingress: [{ fromEndpoints: [{ matchLabels: { app } }] }, { fromCIDR: ['10.77.0.0/24'] }] })

const cases: readonly Case[] = [
  {
    name: "the destination's policy",
    client: ({ friend }) => friend,
    revoke: ({ agent }) => agent.apply(policy('server', 'server', fromApp('nobody'))),
  },
  {
    name: "the source's policy",
    client: ({ friend }) => friend,
    revoke: ({ agent }) => agent.apply(policy('friend', 'friend', { egress: [{ toCIDR: ['192.0.2.0/24'] }] })),
  },
  {
    name: 'a relabelled peer',
    client: ({ friend }) => friend,
    revoke: ({ agent, friend }) => agent.apply(friend.manifest({ app: 'stranger' })),
  },
  {
    name: 'a longer prefix that makes the peer something else',
    client: ({ outsider }) => outsider,
    // A workload of another node is not what a CIDR rule of a CiliumNetworkPolicy matches.
    revoke: ({ agent, outsider }) => agent.apply({
      apiVersion: 'sluice.io/v1',
      kind: 'Workload',
      metadata: { name: 'elsewhere', namespace: 'default', labels: { app: 'stranger' } },
      spec: { addresses: [outsider.addresses.ipv4] },
    }),
  },
]

async function makeScene(lab: Lab): Promise<Scene> {
  const node = await lab.addNode('n1')
  const [server, friend, outsider] = await Promise.all([
    node.addWorkload({ name: 'server', number: 11, labels: { app: 'server' } }),
    node.addWorkload({ name: 'friend', number: 12, labels: { app: 'friend' } }),
    lab.addHost('outsider', 50),
  ])
  const [agent, service] = await Promise.all([node.startAgent(), server.serve('echo:7', 'source:19', 'sink:9')])
  await agent.apply(server.manifest(), friend.manifest(), policy('server', 'server', fromApp('friend')))
  return { agent, node, server, friend, outsider, service }
}

/** Whether the server's log grows, which is where a sink shows what it gets. */
async function receives(service: Service, forMs: number): Promise<boolean> {
  const before = service.log().length
  const deadline = Date.now() + forMs
  while (Date.now() < deadline) {
    await sleep(20)
    if (service.log().length > before) return true
  }
  return false
}

/** Tries until nothing comes any more; false if the flow still lives at the end of the time that is allowed. */
async function fallsSilent(alive: (forMs: number) => Promise<boolean>): Promise<boolean> {
  const deadline = Date.now() + holdsMs
  while (await alive(silentMs)) if (Date.now() > deadline) return false
  return true
}

async function cutsFlows(t: ExecutionContext, { client, revoke }: Case): Promise<void> {
  await using lab = await Lab.create()
  const scene = await makeScene(lab)
  const address = scene.server.addresses.ipv4
  const host = client(scene)
  using fromServer = host.stream({ address, port: 19, intervalMs: 0 })
  using fromClient = host.stream({ address, port: 9 })
  t.true(await fromServer.alive(), 'before: bytes of the server arrive')
  t.true(await receives(scene.service, 1000), 'before: bytes of the client arrive')
  t.is(fromClient.state, 'open')
  await revoke(scene)
  t.true(await fallsSilent((forMs) => fromServer.alive(forMs)), 'after: nothing of the server arrives')
  t.true(await fallsSilent((forMs) => receives(scene.service, forMs)), 'after: nothing of the client arrives')
}

for (const each of cases) kernelTest(`established flows are cut by ${each.name}`, (t) => cutsFlows(t, each))
