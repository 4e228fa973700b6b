// Whatever takes a permission away cuts the flows that it had allowed, also where one end alone still sends: TCP and
// UDP, both families, traffic only from the client and only from the server. Flows beside them go on.
import type { ExecutionContext } from 'ava'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Agent, type Host, Lab, type Workload } from '../../lab/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { describe, type Flow, Flows } from './flows/index.ts'
import { apps, ciliumPolicy, flowService } from './policies.ts'

const settleMs = 200 // Packets that are under way when a change is made.
const silentMs = 1000 // Longer than TCP's first two retransmissions take in Linux: 200 ms, then 400 ms.

interface Scene {
  readonly agent: Agent
  readonly flows: Flows
  readonly server: Workload
  readonly friend: Workload
  /** Gets the addresses of `friend`, but has labels of its own. */
  readonly heir: Workload
  readonly outsider: Host
}

/** Flows of every kind by their ends; nothing is taken away from the others. */
const pairs = ['friend -> server', 'friend -> service', 'outsider -> server', 'friend -> outsider', 'others'] as const
type SceneFlows = Readonly<Record<(typeof pairs)[number], readonly Flow[]>>

interface Case {
  readonly name: string
  readonly cut: readonly (typeof pairs)[number][]
  readonly revoke: (scene: Scene, flows: SceneFlows) => Promise<unknown>
}

const service = { ipv4: '10.77.8.1', ipv6: 'fd77:8::1' } as const
const lan = ['10.77.0.0/24', 'fd77::/64']
const only = ({ addresses }: Host) => [`${addresses.ipv4}/32`, `${addresses.ipv6}/128`]
const lanBut = (host: Host) => lan.map((cidr, index) => ({ cidr, except: [only(host)[index]] }))

const cases: readonly Case[] = [
  {
    name: "the destination's policy",
    cut: ['friend -> server', 'friend -> service', 'outsider -> server'],
    revoke: ({ agent, outsider }) =>
      agent.apply(ciliumPolicy('server', 'server', { ingress: [{ fromEndpoints: apps('other') }, { fromCIDRSet: lanBut(outsider) }] })),
  },
  {
    name: "the source's policy",
    cut: ['friend -> server', 'friend -> service', 'friend -> outsider'],
    revoke: ({ agent }) => agent.apply(ciliumPolicy('friend', 'friend', { egress: [{ toCIDR: ['192.0.2.0/24'] }] })),
  },
  {
    name: 'a denial beside what allows it',
    cut: ['friend -> server', 'friend -> service'],
    revoke: ({ agent }) =>
      agent.apply(ciliumPolicy('denial', 'server', { ingressDeny: [{ fromEndpoints: apps('friend') }] })),
  },
  {
    name: 'a relabelled peer',
    cut: ['friend -> server', 'friend -> service'],
    revoke: ({ agent, friend }) => agent.apply(friend.manifest({ app: 'stranger' })),
  },
  {
    name: 'an address that another workload has now',
    cut: ['friend -> server', 'friend -> service', 'friend -> outsider'],
    revoke: handOver,
  },
  {
    name: 'a longer prefix that a rule speaks of',
    cut: ['outsider -> server'],
    revoke: ({ agent, outsider }) =>
      agent.apply(ciliumPolicy('prefix', 'server', { ingressDeny: [{ fromCIDR: only(outsider) }] })),
  },
  {
    // CIDR rules of a CiliumNetworkPolicy match only what is no workload.
    name: 'a longer prefix that is a workload of another node',
    cut: ['outsider -> server', 'friend -> outsider'],
    revoke: ({ agent, outsider }) => agent.apply({
      apiVersion: 'sluice.io/v1',
      kind: 'Workload',
      metadata: { name: 'elsewhere', namespace: 'default', labels: { app: 'stranger' } },
      spec: { addresses: [outsider.addresses.ipv4, outsider.addresses.ipv6] },
    }),
  },
]

/**
 * The addresses move to another workload in one change. It sends from the ports of the flows that were there, and
 * listens on them: neither may it go on with those flows, nor get what is sent to their former owner.
 */
async function handOver({ agent, flows, friend, heir, server }: Scene, before: SceneFlows): Promise<void> {
  const udp = before['friend -> server'].filter(({ protocol }) => protocol === 'UDP')
  const ports = (await flows.tallies(udp, 'client')).map(({ port }) => port ?? 0)
  const { ipv4, ipv6 } = friend.addresses
  await heir.ip(`address add ${ipv4}/32 dev eth0`, `address add ${ipv6}/128 dev eth0 nodad`)
  await heir.ip(`address delete ${heir.addresses.ipv4}/32 dev eth0`, `address delete ${heir.addresses.ipv6}/128 dev eth0`)
  await heir.ip('route replace default via 169.254.1.1 dev eth0 onlink', 'route replace default via fe80::1 dev eth0 onlink')
  await agent.apply(withAddresses(friend, ['10.77.1.99', 'fd77:1::99']), withAddresses(heir, [ipv4, ipv6]))
  for (const [index, { family, sender }] of udp.entries()) {
    flows.open(heir, server, { protocol: 'UDP', family, sender, localPort: ports[index] ?? 0 })
  }
}

function withAddresses(workload: Workload, addresses: readonly string[]): object {
  const manifest = workload.manifest() as { spec: object }
  return { ...manifest, spec: { ...manifest.spec, addresses } }
}

async function makeScene(lab: Lab): Promise<{ scene: Scene; opened: SceneFlows }> {
  const node = await lab.addNode('n1')
  const workload = (name: string, number: number) => node.addWorkload({ name, number, labels: { app: name } })
  const [server, friend, other, heir, outsider, neighbour] = await Promise.all([
    workload('server', 11), workload('friend', 12), workload('other', 13), workload('heir', 14),
    lab.addHost('outsider', 50), lab.addHost('neighbour', 51),
  ])
  const agent = await node.startAgent()
  const outgoing = { egress: [{ toEndpoints: apps('server') }, { toCIDR: lan }] }
  await agent.apply(
    ...[server, friend, other, heir].map((each) => each.manifest()),
    ciliumPolicy('server', 'server', { ingress: [{ fromEndpoints: apps('friend', 'other') }, { fromCIDR: lan }] }),
    ...['friend', 'other'].map((app) => ciliumPolicy(app, app, outgoing)),
    flowService('server', service),
  )
  const flows = await Flows.start(lab, [server, friend, other, heir, outsider, neighbour])
  const opened = {
    'friend -> server': flows.openAll(friend, server),
    'friend -> service': flows.openAll(friend, server, service),
    'outsider -> server': flows.openAll(outsider, server),
    'friend -> outsider': flows.openAll(friend, outsider),
    others: [...flows.openAll(other, server), ...flows.openAll(neighbour, server), ...flows.openAll(other, neighbour)],
  }
  return { scene: { agent, flows, server, friend, heir, outsider }, opened }
}

async function cutsFlows(t: ExecutionContext, { cut, revoke }: Case): Promise<void> {
  await using lab = await Lab.create()
  const { scene, opened } = await makeScene(lab)
  await using flows = scene.flows
  const all = pairs.flatMap((pair) => opened[pair])
  const cutFlows = new Set(cut.flatMap((pair) => opened[pair]))
  await sleep(300)
  for (const [index, grown] of (await flows.growth(all, 500)).entries()) {
    t.true(grown > 0, `it flowed before: ${describe(all[index] as Flow)}`)
  }
  await revoke(scene, opened)
  await sleep(settleMs)
  for (const [index, grown] of (await flows.growth(all, silentMs)).entries()) {
    const flow = all[index] as Flow
    if (cutFlows.has(flow)) t.is(grown, 0, `it is cut: ${describe(flow)}`)
    else t.true(grown > 0, `it goes on: ${describe(flow)}`)
  }
}

for (const each of cases) kernelTest(`established flows are cut by ${each.name}`, (t) => cutsFlows(t, each))
