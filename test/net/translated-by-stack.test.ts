// Packets that the node's own stack translates on their way to or from its workloads, as kube-proxy's rules do.
import type { ExecutionContext } from 'ava'
import type { Flow } from '../../agent/api/types.ts'
import { type Agent, type Host, Lab, type Node, type Workload } from '../../lab/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { ciliumPolicy } from './policies.ts'

const families = ['ipv4', 'ipv6'] as const
const timeoutMs = 1000
const ports = { tcp: 80, source: 7002 } as const
/** Of the node: masqueraded, with the client's address kept, and one for a server elsewhere. */
const nodePorts = { masqueraded: 30080, kept: 30081, elsewhere: 30082, source: 30083 } as const

interface Scene {
  readonly node: Node
  readonly agent: Agent
  readonly server: Workload
  readonly client: Workload
  readonly outside: Host
}

async function makeScene(lab: Lab): Promise<Scene> {
  const node = await lab.addNode('n1')
  const outside = await lab.addHost('outside', 30)
  const server = await node.addWorkload({ name: 'server', number: 11, labels: { app: 'server' } })
  const client = await node.addWorkload({ name: 'client', number: 12, labels: { app: 'client' } })
  const [agent] = await Promise.all([node.startAgent(), server.serve(`tcp:${ports.tcp}`, `source:${ports.source}`), outside.serve(`tcp:${ports.tcp}`)])
  await agent.apply(server.manifest(), client.manifest())
  await node.run(['nft', '-f', '-'], { input: ruleset(server, outside) })
  return { node, agent, server, client, outside }
}

function ruleset(server: Host, outside: Host): string {
  const translation = (nodePort: number, { addresses }: Host, port: number) => [
    `meta nfproto ipv4 tcp dport ${nodePort} dnat ip to ${addresses.ipv4}:${port}`,
    `meta nfproto ipv6 tcp dport ${nodePort} dnat ip6 to [${addresses.ipv6}]:${port}`,
  ]
  return [
    'table inet nat {', 'chain prerouting {', 'type nat hook prerouting priority dstnat', `counter tcp dport != ${nodePorts.kept} ct mark set 1`,
    ...translation(nodePorts.masqueraded, server, ports.tcp), ...translation(nodePorts.kept, server, ports.tcp),
    ...translation(nodePorts.elsewhere, outside, ports.tcp), ...translation(nodePorts.source, server, ports.source),
    '}', 'chain postrouting {', 'type nat hook postrouting priority srcnat',
    'ct status dnat ct mark 1 masquerade', '}', '}', '',
  ].join('\n')
}

async function seenAs(t: ExecutionContext, from: Host, { node }: Scene, port: number, seen: Host | undefined, label: string): Promise<void> {
  for (const family of families) {
    const reply = await from.request({ address: node.addresses[family], port, timeoutMs })
    t.like(reply, seen === undefined ? { outcome: 'timeout' } : { outcome: 'answered', seenAs: seen.addresses[family] }, `${label}, ${family}`)
  }
}

const admits = (entity: string) => ciliumPolicy('server', 'server', { ingress: [{ fromEntities: [entity] }] })

kernelTest('the stack of this machine translates, with no agent about', async (t) => {
  await using lab = await Lab.create()
  const node = await lab.addNode('n1')
  const [client, server] = await Promise.all([lab.addHost('outside', 30), lab.addHost('server', 31)])
  await server.serve(`tcp:${ports.tcp}`)
  await node.run(['nft', '-f', '-'], { input: ruleset(server, server) })
  const { outcome } = await client.request({ address: node.addresses.ipv4, port: nodePorts.masqueraded, timeoutMs })
  t.is(outcome, 'answered', outcome === 'answered' ? '' : await stateOf(node))
})

/** What its stack makes of packets, for who must find out why it translates none: whatever fails then is no fault of the agent's. */
async function stateOf(node: Node): Promise<string> {
  const commands = [
    ['nft', 'list', 'ruleset'], ['nft', 'list', 'hooks'], ['cat', '/proc/net/nf_conntrack'], ['cat', '/proc/net/stat/nf_conntrack'],
    ['cat', '/proc/sys/net/netfilter/nf_conntrack_max'], ['cat', '/proc/net/snmp'], ['ip', '-s', 'link'], ['ip', 'neighbour'],
  ]
  const said = await Promise.all(commands.map((command) => node.run(command, { allowFailure: true })))
  return said.map(({ stdout, stderr }, index) => `$ ${commands[index]?.join(' ')}\n${stdout}${stderr}`).join('')
}

kernelTest('what is masqueraded to the node’s address reaches workloads as the host, by policy alone', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeScene(lab)
  const { node, agent, client, server, outside } = scene
  await seenAs(t, outside, scene, nodePorts.masqueraded, node, 'without policy')
  await seenAs(t, client, scene, nodePorts.masqueraded, node, 'from a workload, without policy')
  await seenAs(t, client, scene, nodePorts.elsewhere, node, 'from a workload to elsewhere')
  await agent.apply(admits('world'))
  await seenAs(t, outside, scene, nodePorts.masqueraded, undefined, 'where the world may come')
  t.is((await node.request({ address: server.addresses.ipv4, port: ports.tcp, timeoutMs })).outcome, 'answered')
  const drops = await agent.lines<Flow>('/v1/flows?last=100&verdict=dropped')
  t.true(drops.length > 0 && drops.every(({ reason, policy }) => reason === 'policy-denied' && policy?.startsWith('CiliumNetworkPolicy default/server')))
  await agent.apply(admits('host'))
  await seenAs(t, outside, scene, nodePorts.masqueraded, node, 'where the host may come')
})

kernelTest('a masqueraded connection is cut with its permission, whoever speaks first', async (t) => {
  await using lab = await Lab.create()
  const { node, agent, outside } = await makeScene(lab)
  await agent.apply(admits('host'))
  const streams = families.map((family) => outside.stream({ address: node.addresses[family], port: nodePorts.source, intervalMs: 0 }))
  for (const stream of streams) t.true(await stream.alive())
  await agent.apply(admits('world'))
  for (const stream of streams) t.false(await stream.alive())
})

kernelTest('a workload’s answers to what the stack has translated pass the stack again', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeScene(lab)
  const { agent, outside } = scene
  await agent.apply(admits('world'))
  await seenAs(t, outside, scene, nodePorts.kept, outside, 'with the client’s address')
  await agent.apply(admits('host'))
  await seenAs(t, outside, scene, nodePorts.kept, undefined, 'where only the host may come')
})
