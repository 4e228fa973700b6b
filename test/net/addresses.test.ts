// Addresses of interfaces change while balancer and backend run: both follow.
import { fileURLToPath } from 'node:url'
import { type Host, Lab } from '../../lab/index.ts'
import { kernelTest } from '../helpers/index.ts'

const sluiced = fileURLToPath(new URL('../../sluiced', import.meta.url))
const virtual = '10.77.9.1'
const withinMs = 5_000
/** Of the balancer and of the backend, after the change. */
const newAddresses = { balancer: '10.77.0.99', backend: '10.77.0.88' } as const

const balancerFor = (backend: string): object => ({
  apiVersion: 'sluice.io/v1',
  kind: 'LoadBalancer',
  metadata: { name: 'edge', namespace: 'default' },
  spec: { addresses: [virtual], tableSize: 251, ports: [{ port: 80, protocol: 'TCP' }], backends: [{ addresses: [backend] }] },
})

async function isAnswered(client: Host, timeoutMs: number): Promise<boolean> {
  return (await client.request({ address: virtual, port: 80, timeoutMs })).outcome === 'answered'
}

async function becomesAnswered(client: Host): Promise<boolean> {
  const deadline = Date.now() + withinMs
  while (Date.now() < deadline) if (await isAnswered(client, 300)) return true
  return false
}

/** The backend trusts the balancer's new address alone. */
async function receive(backend: Host): Promise<void> {
  await backend.ip(`address add ${virtual} dev lo`)
  const command = ['decap', '--interface', 'eth0', '--bpffs', backend.bpffs, '--vip', virtual, '--source', newAddresses.balancer, '--follow']
  const service = backend.start('decap', [sluiced, ...command])
  await service.waitForLine(`eth0 receives for ${virtual} from ${newAddresses.balancer} by xdp`)
}

kernelTest('the balancer sends from its uplink’s new address, and the backend receives for its interface’s new one', async (t) => {
  await using lab = await Lab.create()
  const node = await lab.addNode('n1')
  const [client, backend] = await Promise.all([lab.addHost('client', 50), lab.addHost('b1', 21)])
  const agent = await node.startAgent()
  await backend.serve('tcp:80')
  await receive(backend)
  await agent.apply(balancerFor(backend.addresses.ipv4))
  t.false(await isAnswered(client, 600), 'it is not trusted under its old address')

  const { ipv4 } = node.addresses
  await node.ip(`address delete ${ipv4}/24 dev eth0`, `address add ${newAddresses.balancer}/24 dev eth0`, `address add ${ipv4}/24 dev eth0`)
  t.true(await becomesAnswered(client))

  await backend.ip(`address add ${newAddresses.backend}/24 dev eth0`)
  await agent.apply(balancerFor(newAddresses.backend))
  t.true(await becomesAnswered(client))
})
