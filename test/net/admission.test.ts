// Who may send to a service, and to the node at all, on real connections.
import { Lab } from '../../lab/index.ts'
import { kernelTest } from '../helpers/index.ts'

const VIP = '10.77.9.1'
const meta = (name: string) => ({ name, namespace: 'default' })

kernelTest('clients are refused by prefix and by rate, and the prefilter drops what is for the node too', async (t) => {
  await using lab = await Lab.create()
  const node = await lab.addNode('n1')
  const [client, other, backend] = await Promise.all([lab.addHost('client', 50), lab.addHost('other', 51), lab.addHost('b1', 21)])
  await backend.decapsulate([VIP], 'auto')
  await Promise.all([backend.serve('tcp:80'), node.serve('tcp:8080')])
  await using agent = await node.startAgent()
  const balance = (more: object): Promise<unknown> =>
    agent.apply({
      apiVersion: 'sluice.io/v1', kind: 'LoadBalancer', metadata: meta('edge'),
      spec: { addresses: [VIP], tableSize: 251, ports: [{ port: 80 }], backends: [{ addresses: [backend.addresses.ipv4] }], ...more },
    })
  const reaches = async (from: typeof client, address = VIP, port = 80): Promise<boolean> => (await from.request({ address, port, timeoutMs: 1000 })).outcome === 'answered'

  await balance({ sourceRanges: { allow: [client.addresses.ipv4] } })
  t.deepEqual([await reaches(client), await reaches(other)], [true, false])
  await balance({ sourceRanges: { deny: [client.addresses.ipv4] } })
  t.deepEqual([await reaches(client), await reaches(other)], [false, true])
  await balance({ rateLimits: { newConnections: { perSecond: 1, burst: 3 } } })
  const answered = (await Promise.all(Array.from({ length: 12 }, () => reaches(client)))).filter(Boolean).length
  t.true(answered >= 3 && answered <= 6, `${answered} of 12 at once, three and one more a second`)

  await balance({})
  await agent.apply({ apiVersion: 'sluice.io/v1', kind: 'Prefilter', metadata: { name: 'attackers' }, spec: { deny: [other.addresses.ipv4] } })
  t.deepEqual([await reaches(client), await reaches(other)], [true, false])
  t.deepEqual([await reaches(client, node.addresses.ipv4, 8080), await reaches(other, node.addresses.ipv4, 8080)], [true, false])
  t.deepEqual((await agent.get<{ items: readonly object[] }>('/v1/prefilter')).items, [{ prefix: `${other.addresses.ipv4}/32`, verdict: 'denied', document: 'attackers' }])
})
