// Services inside the node on real packets: what offloads leave undone, datagrams without a checksum, fragments, a
// workload that is its own backend, and ICMP errors about translated packets.
import type { ExecutionContext } from 'ava'
import { join } from 'node:path'
import { type Addresses, type Host, Lab, type Node, type Workload } from '../../lab/index.ts'
import { kernelTest } from '../helpers/index.ts'
import type { TransferResult } from './traffic/transfer.ts'

const transferBytes = 4 << 20
const transferMs = 20_000
const [bulkPort, datagramPort, closedPort] = [80, 53, 9] // Of the service; backends listen on 8000 more.
const service: Addresses = { ipv4: '10.77.8.1', ipv6: 'fd77:8::1' }
const families = ['ipv4', 'ipv6'] as const
const smallMtu = 1300

const script = (name: string) => join(import.meta.dirname, 'traffic', name)

function serviceManifest(): object {
  const port = (name: string, port: number, protocol: string) => ({ name, port, protocol, targetPort: port + 8000 })
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'echo', namespace: 'default' },
    spec: {
      selector: { app: 'server' },
      clusterIPs: Object.values(service),
      ports: [port('bulk', bulkPort, 'TCP'), port('datagrams', datagramPort, 'UDP'), port('closed', closedPort, 'UDP')],
    },
  }
}

async function serve(host: Host): Promise<void> {
  const bulk = host.start('transfer', [process.execPath, script('transfer.ts'), 'serve', String(bulkPort + 8000)])
  const datagrams = host.start('datagrams', ['perl', script('datagram.pl'), 'serve', String(datagramPort + 8000)])
  await Promise.all([bulk.waitForLine('ready'), datagrams.waitForLine('ready')])
}

interface Scene {
  readonly node: Node
  readonly client: Workload
  readonly server: Workload
}

/** A client and a server on one node, and the service whose only backend is the server. */
async function makeScene(lab: Lab): Promise<Scene> {
  const node = await lab.addNode('n1')
  const [client, server] = await Promise.all(['client', 'server'].map((name, index) =>
    node.addWorkload({ name, number: 11 + index, labels: { app: name } })) as [Promise<Workload>, Promise<Workload>])
  const [agent] = await Promise.all([node.startAgent(), serve(server)])
  await agent.apply(client.manifest(), server.manifest(), serviceManifest())
  return { node, client, server }
}

async function transfers(t: ExecutionContext, client: Host, what: string): Promise<void> {
  for (const family of families) {
    const command = [process.execPath, script('transfer.ts'), service[family], String(bulkPort), String(transferBytes)]
    const { stdout, stderr } = await client.run(command, { signal: AbortSignal.timeout(transferMs), allowFailure: true })
    const result = (stdout === '' ? stderr : JSON.parse(stdout)) as TransferResult | string
    t.deepEqual(result, { sent: true, received: true }, `${what}, ${family}`)
  }
}

async function exchanges(client: Host, address: string, bytes: number, checksum: 'zero' | 'sum'): Promise<string> {
  const command = ['perl', script('datagram.pl'), address, String(datagramPort), String(bytes), checksum]
  return (await client.run(command)).stdout.trim()
}

/** Checksums and segmentation by whom the packet comes to, or by its sender, at both ends of a workload's link. */
async function setOffloads(node: Node, workload: Workload, state: 'on' | 'off'): Promise<void> {
  const settings = ['tx', 'tso', 'gso', 'gro'].flatMap((feature) => [feature, state])
  await workload.run(['ethtool', '-K', 'eth0', ...settings])
  await node.run(['ethtool', '-K', workload.interface, ...settings])
}

kernelTest('bulk transfers through a service are whole, whatever the offloads of either link', async (t) => {
  await using lab = await Lab.create()
  const { node, client, server } = await makeScene(lab)
  for (const clients of ['on', 'off'] as const) {
    for (const servers of ['on', 'off'] as const) {
      await setOffloads(node, client, clients)
      await setOffloads(node, server, servers)
      await transfers(t, client, `offloads of the client ${clients}, of the server ${servers}`)
    }
  }
})

kernelTest('a workload that is its own backend gets what it sends', async (t) => {
  await using lab = await Lab.create()
  const { node, server } = await makeScene(lab)
  for (const state of ['on', 'off'] as const) {
    await setOffloads(node, server, state)
    await transfers(t, server, `offloads ${state}`)
    for (const family of families) t.is(await exchanges(server, service[family], 100, 'sum'), '100', family)
  }
})

kernelTest('datagrams without a checksum and in fragments come and go through a service', async (t) => {
  await using lab = await Lab.create()
  const { node, client, server } = await makeScene(lab)
  const watch = server.start('watch', ['perl', script('datagram.pl'), 'watch', String(datagramPort + 8000)])
  await watch.waitForLine('ready')
  for (const family of families) {
    t.is(await exchanges(client, service[family], 100, 'zero'), '100', family)
    await t.notThrowsAsync(watch.waitForLine(`${family} 0`), 'the zero arrived as zero')
    t.is(await exchanges(client, service[family], 100, 'sum'), '100', family)
  }
  t.is(watch.log().match(/^ipv[46] 0$/gm)?.length, 2, watch.log())
  for (const state of ['on', 'off'] as const) {
    for (const workload of [client, server]) await setOffloads(node, workload, state)
    for (const family of families) {
      for (const bytes of [0, 1, 1400, 4000]) t.is(await exchanges(client, service[family], bytes, 'sum'), String(bytes), `${bytes} bytes, ${family}`)
    }
  }
})

kernelTest('a backend that refuses a datagram is heard by the socket that sent it', async (t) => {
  await using lab = await Lab.create()
  const { client } = await makeScene(lab)
  for (const family of families) {
    t.is((await client.request({ address: service[family], port: closedPort, protocol: 'UDP' })).outcome, 'refused', family)
  }
})

/** The only way from the node to a backend of another node leads through a router whose link to it is narrow. */
async function addNarrowRouter(lab: Lab, node: Node, backend: Host): Promise<void> {
  const router = await lab.addHost('router', 60)
  await router.sysctl({
    'ipv4/ip_forward': 1, 'ipv6/conf/all/forwarding': 1, 'ipv4/conf/all/send_redirects': 0, 'ipv4/conf/eth0/send_redirects': 0,
  })
  const { ipv4, ipv6 } = backend.addresses
  await router.ip(`route add ${ipv4}/32 dev eth0 mtu lock ${smallMtu}`, `route add ${ipv6}/128 dev eth0 mtu lock ${smallMtu}`)
  await node.ip(`route add ${ipv4}/32 via ${router.addresses.ipv4}`, `route add ${ipv6}/128 via ${router.addresses.ipv6}`)
}

kernelTest("a router's Packet Too Big about a translated packet teaches the client the way's MTU to the service", async (t) => {
  await using lab = await Lab.create()
  const node = await lab.addNode('n1')
  const [client, backend] = await Promise.all([
    node.addWorkload({ name: 'client', number: 11, labels: { app: 'client' } }),
    lab.addHost('backend', 21),
  ])
  await addNarrowRouter(lab, node, backend)
  const [agent] = await Promise.all([node.startAgent(), serve(backend)])
  await agent.apply(client.manifest(), serviceManifest(), {
    apiVersion: 'sluice.io/v1',
    kind: 'Workload',
    metadata: { name: 'backend', namespace: 'default', labels: { app: 'server' } },
    spec: { addresses: Object.values(backend.addresses) },
  })
  await transfers(t, client, 'by way of the router')
  for (const family of families) {
    const { stdout } = await client.run(['ip', 'route', 'get', service[family]])
    t.regex(stdout, new RegExp(`mtu (lock )?${smallMtu}\\b`), family)
  }
})
