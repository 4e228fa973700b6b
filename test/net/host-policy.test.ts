// The node's own traffic under policies of nodes: with the world and with its workloads, from the first packet on and for
// connections that are older than the policy.
import { setTimeout as sleep } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import type { Flow, Status } from '../../agent/api/types.ts'
import { type Agent, type Host, Lab, type Node, type Outcome, type Workload } from '../../lab/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { kill } from './scene.ts'

const families = ['ipv4', 'ipv6'] as const
const timeoutMs = 700
const ports = { open: 80, closed: 81, management: 2222, names: 53, echo: 7001, source: 7002, late: 7003, once: 7004 } as const
const servers = [`tcp:${ports.open}`, `tcp:${ports.closed}`, `tcp:${ports.management}`, `udp:${ports.names}`, `echo:${ports.echo}`, `source:${ports.source}`] as const

interface Scene {
  readonly node: Node
  readonly agent: Agent
  readonly web: Workload
  readonly outside: Host
}

type Mode = 'audit' | 'enforce'

const startAgent = (node: Node, mode: Mode) => node.startAgent({ options: ['--host-policy', mode, '--host-allow', `${ports.management}/TCP`] })

async function makeScene(lab: Lab, mode: Mode): Promise<Scene> {
  const node = await lab.addNode('n1')
  const outside = await lab.addHost('outside', 30)
  const web = await node.addWorkload({ name: 'web', number: 11 })
  const [agent] = await Promise.all([startAgent(node, mode), ...[node, outside, web].map((host) => host.serve(...servers))])
  await agent.apply(web.manifest())
  return { node, agent, web, outside }
}

const toPorts = (protocol: string, ...numbers: readonly number[]) => [{ ports: numbers.map((port) => ({ port: String(port), protocol })) }]

function hostPolicy(rules: object): object {
  return { apiVersion: 'cilium.io/v2', kind: 'CiliumClusterwideNetworkPolicy', metadata: { name: 'nodes' }, spec: { nodeSelector: {}, ...rules } }
}

/** Answers a datagram only after a while. */
const lateServer = `
  const socket = require('node:dgram').createSocket('udp6')
  socket.on('message', (_, from) => setTimeout(() => socket.send('late', from.port, from.address), 1500))
  socket.bind(${ports.late}, '::', () => console.log('ready'))`

/** Takes one connection and closes its port. */
const onceServer = `
  const server = require('node:net').createServer((socket) => { server.close(); socket.pipe(socket) })
  server.listen(${ports.once}, '::', () => console.log('ready'))`

async function startScript(host: Host, what: string, script: string): Promise<void> {
  await host.start(what, [process.execPath, '-e', script]).waitForLine('ready')
}

/** The world may come to one port, the node may ask for names; the management port is denied, which must not work. */
const guarded = hostPolicy({
  ingress: [{ fromEntities: ['world'], toPorts: toPorts('TCP', ports.open) }],
  ingressDeny: [{ fromEntities: ['all'], toPorts: toPorts('TCP', ports.management) }],
  egress: [{ toPorts: toPorts('UDP', ports.names) }],
})

type Case = readonly [from: Host, to: Host, port: number, protocol: 'TCP' | 'UDP', outcome: Outcome]

async function expect(t: ExecutionContext, cases: readonly Case[], label: string): Promise<void> {
  for (const [from, to, port, protocol, outcome] of cases) {
    for (const family of families) {
      const reply = await from.request({ address: to.addresses[family], port, protocol, timeoutMs })
      t.is(reply.outcome, outcome, `${label}: ${from.name} to ${to.name} ${port}/${protocol} over ${family}`)
    }
  }
}

const all = ({ node, web, outside }: Scene): readonly Case[] =>
  [[outside, node], [node, outside], [web, node], [node, web]].flatMap(([from, to]) =>
    [[ports.open, 'TCP'], [ports.management, 'TCP'], [ports.names, 'UDP']].map(([port, protocol]) => [from, to, port, protocol, 'answered'] as Case))

const underGuard = ({ node, web, outside }: Scene): readonly Case[] => [
  [outside, node, ports.open, 'TCP', 'answered'],
  [outside, node, ports.closed, 'TCP', 'timeout'],
  [outside, node, ports.management, 'TCP', 'answered'],
  [outside, node, ports.names, 'UDP', 'timeout'],
  [node, outside, ports.names, 'UDP', 'answered'],
  [node, outside, ports.open, 'TCP', 'timeout'],
  [web, node, ports.open, 'TCP', 'timeout'],
  [web, node, ports.management, 'TCP', 'answered'],
  [node, web, ports.names, 'UDP', 'answered'],
  [node, web, ports.open, 'TCP', 'timeout'],
  [outside, web, ports.closed, 'TCP', 'answered'],
]

const hostFlows = async (agent: Agent, verdict: string): Promise<Flow[]> =>
  (await agent.lines<Flow>(`/v1/flows?last=1000&verdict=${verdict}`)).filter(({ policy }) => policy?.startsWith('CiliumClusterwideNetworkPolicy nodes '))

kernelTest('policies of nodes hold for the node’s own traffic, and go with their document', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeScene(lab, 'enforce')
  const { node, agent, outside } = scene
  await expect(t, all(scene), 'before')
  await agent.apply(guarded)
  for (const host of [node, outside]) await host.ip('neigh flush all')
  await expect(t, underGuard(scene), 'under policy')
  t.true((await hostFlows(agent, 'dropped')).length > 0)
  agent.service.kill('SIGKILL')
  await expect(t, underGuard(scene).slice(0, 3), 'with a dead agent')
  const next = await startAgent(node, 'enforce')
  await next.deletePolicy('CiliumClusterwideNetworkPolicy', '', 'nodes')
  await expect(t, all(scene), 'after')
})

kernelTest('in audit the node’s traffic passes and what would be dropped is told', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeScene(lab, 'audit')
  await scene.agent.apply(guarded)
  await expect(t, all(scene), 'audit')
  t.deepEqual(await hostFlows(scene.agent, 'dropped'), [])
  t.true((await hostFlows(scene.agent, 'audited')).length >= 2 * 4)
  const { degraded, parts } = await scene.agent.get<Status>('/v1/status')
  t.deepEqual(degraded.map(({ what }) => what), ['policies of nodes'])
  t.regex(parts['flows']?.summary ?? '', /would be dropped but for audit: .*\d+ by CiliumClusterwideNetworkPolicy nodes egress/)
})

kernelTest('connections that are older than the policy live if it allows them, whoever speaks first', async (t) => {
  await using lab = await Lab.create()
  const { node, web, outside, agent } = await makeScene(lab, 'enforce')
  const silent = { timeoutMs, intervalMs: 0 }
  const open = (from: Host, to: Host, port: number, more = {}) => families.map((family) => from.stream({ address: to.addresses[family], port, ...more }))
  const allowed = [
    ...open(outside, node, ports.echo), ...open(outside, node, ports.source, silent), // The node answers to what it was asked.
    ...open(node, outside, ports.source, silent), ...open(node, web, ports.source, silent),
  ]
  const forbidden = [...open(node, outside, ports.echo), ...open(web, node, ports.echo)]
  for (const stream of [...allowed, ...forbidden]) t.true(await stream.alive())
  await agent.apply(hostPolicy({
    ingress: [{ fromEntities: ['world'], toPorts: toPorts('TCP', ports.echo, ports.source) }],
    egress: [{ toPorts: toPorts('TCP', ports.source) }],
  }))
  for (const [index, stream] of allowed.entries()) t.true(await stream.alive(), `allowed ${index}`)
  for (const [index, stream] of forbidden.entries()) t.false(await stream.alive(), `forbidden ${index}`)
})

kernelTest('an answer to what the node asked before its policy comes in if it may ask so', async (t) => {
  await using lab = await Lab.create()
  const { node, outside, agent } = await makeScene(lab, 'enforce')
  await startScript(outside, 'late', lateServer)
  const ask = () => Promise.all(families.map((family) => node.request({ address: outside.addresses[family], port: ports.late, protocol: 'UDP', timeoutMs: 3000 })))
  for (const [port, outcome] of [[ports.late, 'answered'], [ports.names, 'timeout']] as const) {
    const answers = ask()
    await sleep(300)
    await agent.apply(hostPolicy({ ingress: [{ fromEntities: ['world'], toPorts: toPorts('TCP', ports.open) }], egress: [{ toPorts: toPorts('UDP', port) }] }))
    for (const answer of await answers) t.is(answer.outcome, outcome)
    await agent.deletePolicy('CiliumClusterwideNetworkPolicy', '', 'nodes')
  }
})

kernelTest('a connection that policy cut does not come back as one of the node’s, though its port takes none any more', async (t) => {
  await using lab = await Lab.create()
  const { node, outside, agent } = await makeScene(lab, 'enforce')
  await startScript(node, 'once', onceServer)
  const ingress = (port: number) => hostPolicy({ ingress: [{ fromEntities: ['world'], toPorts: toPorts('TCP', port) }] })
  await agent.apply(ingress(ports.once))
  const stream = outside.stream({ address: node.addresses.ipv4, port: ports.once })
  t.true(await stream.alive())
  await agent.apply(ingress(ports.open))
  t.false(await stream.alive())
})

kernelTest('what passed by audit alone is cut as soon as the mode is enforce', async (t) => {
  await using lab = await Lab.create()
  const { node, web, outside, agent } = await makeScene(lab, 'audit')
  const open = (from: Host, to: Host, port: number) => families.map((family) => from.stream({ address: to.addresses[family], port }))
  const older = open(outside, node, ports.echo)
  for (const stream of older) t.true(await stream.alive())
  await agent.apply(hostPolicy({ ingress: [{ fromEntities: ['world'], toPorts: toPorts('TCP', ports.source) }] }))
  const allowed = [...open(outside, node, ports.source), ...open(node, outside, ports.echo)]
  const forbidden = [...older, ...open(outside, node, ports.echo), ...open(web, node, ports.source)]
  for (const stream of [...allowed, ...forbidden]) t.true(await stream.alive())
  await kill(agent)
  await startAgent(node, 'enforce')
  for (const [index, stream] of allowed.entries()) t.true(await stream.alive(), `allowed ${index}`)
  for (const [index, stream] of forbidden.entries()) t.false(await stream.alive(), `forbidden ${index}`)
})
