// Every way from the balancer at the edge to a backend, on real connections: backends receive in XDP and in tc.
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'
import { type Agent, type Host, Lab } from '../../lab/index.ts'
import { kernelTest } from '../helpers/index.ts'
import type { TransferResult } from './traffic/transfer.ts'

const VIPS = { ipv4: '10.77.9.1', ipv6: 'fd77:9::1' } as const
const PORT = { http: 80, udp: 53, bulk: 81, echo: 82 } as const
const BULK_BYTES = 1 << 20
const CONNECTIONS = 20
const script = (name: string): string => fileURLToPath(new URL(`traffic/${name}`, import.meta.url))
const transferScript = script('transfer.ts')

type Mode = 'ipip' | 'gue' | 'geneve' | 'l2'
type Family = keyof typeof VIPS
const FAMILIES = ['ipv4', 'ipv6'] as const

interface Edge {
  readonly client: Host
  readonly agent: Agent
  readonly backends: readonly Host[]
}

/** The first backend receives in XDP, the second in tc, with packets that its link has joined into larger ones. */
async function makeEdge(lab: Lab): Promise<Edge> {
  const node = await lab.addNode('n1')
  const [client, ...backends] = await Promise.all([lab.addHost('client', 50), lab.addHost('b1', 21), lab.addHost('b2', 22)])
  const [one, two] = backends
  if (one === undefined || two === undefined) throw new Error('two backends were made')
  await two.run(['ethtool', '-K', 'eth0', 'gro', 'on'])
  const [agent] = await Promise.all([node.startAgent(), receive(one, 'auto'), receive(two, 'off')])
  return { client, agent, backends }
}

async function receive(host: Host, xdpMode: 'auto' | 'off'): Promise<void> {
  await host.decapsulate(Object.values(VIPS), xdpMode)
  const bulk = host.start('transfer', [process.execPath, transferScript, 'serve', String(PORT.bulk)])
  const datagrams = Object.values(VIPS).map((address) => `udp:${PORT.udp}@${address}` as const)
  await Promise.all([host.serve(`tcp:${PORT.http}`, `echo:${PORT.echo}`, ...datagrams), bulk.waitForLine('ready')])
}

function balancer(forwarding: Mode, address: string, backends: readonly string[]): object {
  return {
    apiVersion: 'sluice.io/v1',
    kind: 'LoadBalancer',
    metadata: { name: 'edge', namespace: 'default' },
    spec: {
      forwarding,
      ...(forwarding === 'geneve' && { vni: 77 }),
      addresses: [address],
      tableSize: 251,
      ports: [{ port: PORT.http }, { port: PORT.udp, protocol: 'UDP' }, { port: PORT.bulk }, { port: PORT.echo }],
      backends: backends.map((backend) => ({ addresses: [backend] })),
    },
  }
}

async function answering(t: ExecutionContext, client: Host, address: string, protocol: 'TCP' | 'UDP', title: string): Promise<string[]> {
  const port = protocol === 'TCP' ? PORT.http : PORT.udp
  const replies = await Promise.all(Array.from({ length: CONNECTIONS }, () => client.request({ address, port, protocol, timeoutMs: 2000 })))
  for (const reply of replies) t.is(reply.outcome, 'answered', `${title}, ${protocol}: ${reply.error ?? ''}`)
  if (protocol === 'TCP') t.true(replies.every(({ seenAs }) => seenAs !== undefined && Object.values(client.addresses).includes(seenAs)), title)
  return [...new Set(replies.map(({ by = 'nobody' }) => by))].sort()
}

/** Full segments do not fit with their encapsulation, so both ends learn the size that does, or nothing arrives. */
async function transfers(t: ExecutionContext, client: Host, address: string, title: string): Promise<void> {
  const command = [process.execPath, transferScript, address, String(PORT.bulk), String(BULK_BYTES)]
  const { stdout, stderr } = await client.run(command, { signal: AbortSignal.timeout(15_000), allowFailure: true })
  const result: Partial<TransferResult> = stdout === '' ? {} : JSON.parse(stdout)
  t.deepEqual(result, { sent: true, received: true }, `${title}: ${stderr}`)
}

async function checkMode(t: ExecutionContext, { client, agent, backends }: Edge, mode: Mode, family: Family, outer: Family): Promise<void> {
  const title = `${mode}, ${family} in ${outer}`
  const address = VIPS[family]
  await agent.apply(balancer(mode, address, backends.map(({ addresses }) => addresses[outer])))
  t.deepEqual(await answering(t, client, address, 'TCP', title), ['b1', 'b2'], title)
  t.deepEqual(await answering(t, client, address, 'UDP', title), ['b1', 'b2'], title)
  for (const { name, addresses } of backends) {
    await agent.apply(balancer(mode, address, [addresses[outer]]))
    await transfers(t, client, address, `${title}, ${name}`)
  }
}

for (const mode of ['ipip', 'gue', 'geneve', 'l2'] as const)
  kernelTest(`${mode}: connections, datagrams and bulk transfers reach backends of both families`, async (t) => {
    await using lab = await Lab.create()
    const edge = await makeEdge(lab)
    for (const family of FAMILIES) for (const outer of FAMILIES) await checkMode(t, edge, mode, family, outer)
  })

kernelTest('a backend changes between XDP and tc while it receives', async (t) => {
  await using lab = await Lab.create()
  const { client, agent, backends: [backend] } = await makeEdge(lab)
  if (backend === undefined) return t.fail()
  await agent.apply(balancer('gue', VIPS.ipv4, [backend.addresses.ipv4]))
  using stream = client.stream({ address: VIPS.ipv4, port: PORT.echo })
  t.true(await stream.alive())
  for (const [mode, said] of [['off', /by tc$/m], ['auto', /by xdp$/m]] as const) {
    t.regex(await backend.decapsulate(Object.values(VIPS), mode), said)
    t.true(await stream.alive(), mode)
  }
})

kernelTest('a node with an agent, whose balancer has the XDP hook, receives by tc before the agent’s own programs', async (t) => {
  await using lab = await Lab.create()
  const [balancing, receiving] = [await lab.addNode('n1'), await lab.addNode('n2')]
  const client = await lab.addHost('client', 50)
  const [agent] = await Promise.all([balancing.startAgent(), receiving.startAgent(), receiving.serve(`tcp:${PORT.http}`)])
  t.regex(await receiving.decapsulate(Object.values(VIPS)), /by tc \(tc instead of XDP: .*another XDP program/)
  for (const family of FAMILIES) {
    await agent.apply(balancer('gue', VIPS[family], [receiving.addresses[family]]))
    await answering(t, client, VIPS[family], 'TCP', family)
  }
})

kernelTest('fragments reach the backend of their datagram, and the balancer itself answers an echo request', async (t) => {
  await using lab = await Lab.create()
  const { client, agent, backends } = await makeEdge(lab)
  for (const family of FAMILIES) {
    const address = VIPS[family]
    await agent.apply(balancer('l2', address, backends.map(({ addresses }) => addresses[family])))
    for (let datagram = 0; datagram < 10; datagram++) {
      const { stdout } = await client.run(['perl', script('datagram.pl'), address, String(PORT.udp), '6000', 'sum'])
      t.is(stdout.trim(), String('b1'.length), `${family}: the answer is a backend's name`)
    }
    const ping = `print Net::Ping->new('${family === 'ipv4' ? 'icmp' : 'icmpv6'}', 2)->ping('${address}') ? 'answered' : 'silence'`
    t.is((await client.run(['perl', '-MNet::Ping', '-e', ping])).stdout, 'answered', family)
  }
})
