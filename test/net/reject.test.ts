// What a sender hears of a connection that policy refuses: at once, by a stack that checks what it gets.
import type { ExecutionContext } from 'ava'
import type { Flow } from '../../agent/api/types.ts'
import { type Addresses, type Agent, type Host, Lab, type Node, type Workload } from '../../lab/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { ciliumPolicy } from './policies.ts'

const families = ['ipv4', 'ipv6'] as const
const protocols = [['TCP', 'refused'], ['UDP', 'unreachable']] as const
const port = 7777
const timeoutMs = 1500
const side = { node: { ipv4: '10.99.0.1', ipv6: 'fd99::1' }, host: { ipv4: '10.99.0.2', ipv6: 'fd99::2' } } as const

interface Scene {
  readonly lab: Lab
  readonly node: Node
  readonly agent: Agent
  readonly client: Workload
  readonly server: Workload
  readonly outside: Host
}

/** The server takes nothing, and the client sends nothing to the world; the node answers for both. */
async function makeScene(lab: Lab): Promise<Scene> {
  const node = await lab.addNode('n1')
  const outside = await lab.addHost('outside', 30)
  const client = await node.addWorkload({ name: 'client', number: 11, labels: { app: 'client' } })
  const server = await node.addWorkload({ name: 'server', number: 12, labels: { app: 'server' } })
  const agent = await node.startAgent({ options: ['--deny-answer', 'reject'] })
  await agent.apply(
    client.manifest(),
    server.manifest(),
    ciliumPolicy('server', 'server', { ingressDeny: [{ fromEntities: ['all'] }] }),
    ciliumPolicy('client', 'client', { egress: [{ toEntities: ['all'] }], egressDeny: [{ toEntities: ['world'] }] }),
  )
  return { lab, node, agent, client, server, outside }
}

async function isRefused(t: ExecutionContext, from: Host, to: Addresses, label: string): Promise<void> {
  for (const family of families) {
    for (const [protocol, outcome] of protocols) {
      t.like(await from.request({ address: to[family], port, protocol, timeoutMs }), { outcome }, `${label}, ${protocol} over ${family}`)
    }
  }
}

/** Packets that the host's stack threw away for their checksums. */
async function checksumErrors(host: Host): Promise<string[]> {
  const { stdout } = await host.run(['nstat', '--noupdate', '--zeros', '--ignore'])
  return stdout.split('\n').filter((line) => /(?:CsumErrors|InErrors|InErrs)\s+[1-9]/.test(line))
}

/**
 * Who completes a checksum that the sender left to its device: the sender itself, the link that answers it, or nobody,
 * since no device is on the way.
 */
async function withOffloads(from: Host, node: Node, nodeSide: string, probe: (label: string) => Promise<void>): Promise<void> {
  for (const sender of ['on', 'off']) {
    for (const answerer of ['on', 'off']) {
      await from.run(['ethtool', '-K', 'eth0', 'tx', sender])
      await node.run(['ethtool', '-K', nodeSide, 'tx', answerer])
      await probe(`offloads of the sender ${sender}, of the node's side ${answerer}`)
    }
  }
}

kernelTest('a workload hears of what its own policy or another workload’s refuses', async (t) => {
  await using lab = await Lab.create()
  const { node, agent, client, server, outside } = await makeScene(lab)
  await withOffloads(client, node, client.interface, async (label) => {
    await isRefused(t, client, server.addresses, `to a workload, ${label}`)
    await isRefused(t, client, outside.addresses, `to the world, ${label}`)
  })
  t.deepEqual(await checksumErrors(client), [])
  const drops = await agent.lines<Flow>('/v1/flows?last=1000&verdict=dropped')
  t.is(drops.filter(({ reason, destination }) => reason === 'policy-denied' && destination.port === port).length, 32)
})

kernelTest('a host of the LAN hears of what a workload’s policy refuses', async (t) => {
  await using lab = await Lab.create()
  const { node, server, outside } = await makeScene(lab)
  await withOffloads(outside, node, 'eth0', (label) => isRefused(t, outside, server.addresses, label))
  t.deepEqual(await checksumErrors(outside), [])
})

kernelTest('who speaks to a node that refuses it hears of it, and the node’s own processes of what they may not send', async (t) => {
  await using lab = await Lab.create()
  const node = await lab.addNode('n1')
  const outside = await lab.addHost('outside', 30)
  const client = await node.addWorkload({ name: 'client', number: 11, labels: { app: 'client' } })
  const agent = await node.startAgent({ options: ['--deny-answer', 'reject', '--host-policy', 'enforce'] })
  const nobody = { ingressDeny: [{ fromEntities: ['all'] }], egressDeny: [{ toEntities: ['all'] }] }
  await agent.apply(client.manifest(), { apiVersion: 'cilium.io/v2', kind: 'CiliumClusterwideNetworkPolicy', metadata: { name: 'nodes' }, spec: { nodeSelector: {}, ...nobody } })
  for (const offload of ['on', 'off']) {
    for (const [host, device] of [[node, 'eth0'], [node, client.interface], [outside, 'eth0'], [client, 'eth0']] as const) await host.run(['ethtool', '-K', device, 'tx', offload])
    await isRefused(t, outside, node.addresses, `to the node, offloads ${offload}`)
    await isRefused(t, node, outside.addresses, `from the node, offloads ${offload}`)
    await isRefused(t, client, node.addresses, `from a workload to the node, offloads ${offload}`)
    await isRefused(t, node, client.addresses, `from the node to a workload, offloads ${offload}`)
  }
  for (const host of [node, outside, client]) t.deepEqual(await checksumErrors(host), [])
})

/** A host behind an interface that is not the uplink: the node's stack forwards what it sends. */
async function addSide(lab: Lab, node: Node): Promise<Host> {
  const host = await lab.addHost('side', 66)
  await host.ip('link delete eth0')
  await node.ip(`link add side type veth peer name eth0 netns ${host.namespace}`, 'link set side up')
  await host.ip('link set eth0 up')
  for (const family of families) {
    const length = family === 'ipv4' ? 24 : 64
    await node.ip(`address add ${side.node[family]}/${length} dev side nodad`)
    await host.ip(`address add ${side.host[family]}/${length} dev eth0 nodad`, `route add default via ${side.node[family]}`)
  }
  return host
}

kernelTest('who comes by way of the node’s stack hears of it by way of the stack', async (t) => {
  await using lab = await Lab.create()
  const { node, server } = await makeScene(lab)
  const host = await addSide(lab, node)
  await withOffloads(host, node, 'side', (label) => isRefused(t, host, server.addresses, label))
  t.deepEqual(await checksumErrors(host), [])
})

kernelTest('a workload that is not to answer is silent, and what is allowed still passes', async (t) => {
  await using lab = await Lab.create()
  const { agent, client, server } = await makeScene(lab)
  const { metadata, ...rest } = server.manifest() as { metadata: object }
  await agent.apply({ ...rest, metadata: { ...metadata, annotations: { 'sluice.io/deny-answer': 'drop' } } })
  for (const family of families) t.like(await client.request({ address: server.addresses[family], port, timeoutMs }), { outcome: 'timeout' }, family)
  await server.serve(`tcp:${port}`)
  await agent.apply(ciliumPolicy('server', 'server', { ingress: [{ fromEntities: ['all'] }] }))
  for (const family of families) t.like(await client.request({ address: server.addresses[family], port, timeoutMs }), { outcome: 'answered' }, family)
})
