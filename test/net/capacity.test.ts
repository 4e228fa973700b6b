// More than the maps hold: the listing is refused whole, and what fits afterwards is taken.
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import type { Service, Status } from '../../agent/api/index.ts'
import { type Agent, Lab, type Node, type Outcome, type Workload } from '../../lab/index.ts'
import { BpfMap } from '../../loader/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { ManifestFolder } from './manifest-folder.ts'
import { apps, ciliumPolicy } from './policies.ts'

const withinMs = 10_000
const maxEntries = 32
const tooMany = 40
const few = 5

interface Scene {
  readonly node: Node
  readonly folder: ManifestFolder
  readonly server: Workload
  readonly friend: Workload
}

async function makeScene(lab: Lab): Promise<Scene> {
  const node = await lab.addNode('n1')
  const [server, friend] = await Promise.all(
    ['server', 'friend'].map((name, index) => node.addWorkload({ name, number: 11 + index, labels: { app: name } })),
  ) as [Workload, Workload]
  const folder = new ManifestFolder(join(node.stateFolder, 'manifests'))
  for (const workload of [server, friend]) folder.write(workload.name, workload.manifest())
  admit(folder, 'friend')
  await server.serve('tcp:80')
  return { node, folder, server, friend }
}

function admit(folder: ManifestFolder, app: string): void {
  folder.write('policy', ciliumPolicy('server', 'server', { ingress: [{ fromEndpoints: apps(app) }] }))
}

/** What fills a map: workloads of other nodes take a place in `addresses` each, prefixes of a rule one in `prefixes`. */
const fillings = {
  addresses: (count: number): object => ({
    apiVersion: 'v1',
    kind: 'List',
    items: Array.from({ length: count }, (_, index) => ({
      apiVersion: 'sluice.io/v1',
      kind: 'Workload',
      metadata: { name: `w${index}`, namespace: 'far' },
      spec: { addresses: [`10.99.0.${index + 1}`] },
    })),
  }),
  prefixes: (count: number): object =>
    ciliumPolicy('prefixes', 'server', { ingress: [{ fromCIDR: Array.from({ length: count }, (_, index) => `10.99.${index}.0/24`) }] }),
} as const
type MapName = keyof typeof fillings

async function eventually(t: ExecutionContext, what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + withinMs
  while (!(await holds()) && Date.now() < deadline) await sleep(20)
  t.true(await holds(), what)
}

const whyPolicyIsDegraded = async (agent: Agent): Promise<string> =>
  (await agent.get<Status>('/v1/status')).degraded.find(({ what }) => what === 'policy')?.why ?? ''

const isOk = async (agent: Agent): Promise<boolean> => (await agent.get<Status>('/v1/status')).ok

async function outcome({ friend, server }: Scene): Promise<Outcome> {
  return (await friend.request({ address: server.addresses.ipv4, port: 80, timeoutMs: 400 })).outcome
}

function entries({ node }: Scene, name: MapName): number {
  using map = BpfMap.openPinned(join(node.bpffs, 'maps', name))
  let count = 0
  for (const batch of map.entries()) count += batch.count
  return count
}

/** Right after the refusal a permission is taken away, then the listing comes with fewer entries, then without them. */
async function takesWhatFits(t: ExecutionContext, scene: Scene, agent: Agent, map: MapName): Promise<void> {
  const { folder } = scene
  folder.remove('filling')
  admit(folder, 'nobody')
  await eventually(t, 'removals are applied', async () => (await outcome(scene)) === 'timeout')
  const empty = entries(scene, map)
  folder.write('filling', fillings[map](few))
  admit(folder, 'friend')
  await eventually(t, 'a smaller listing is applied', async () => entries(scene, map) === empty + few && (await outcome(scene)) === 'answered')
  folder.remove('filling')
  await eventually(t, 'and goes again', async () => entries(scene, map) === empty)
  t.true(await isOk(agent))
}

for (const map of ['addresses', 'prefixes'] as const) {
  const options = ['--map-size', `${map}=${maxEntries}`]

  kernelTest(`a listing that ${map} cannot hold is refused; what fits afterwards is taken`, async (t) => {
    await using lab = await Lab.create()
    const scene = await makeScene(lab)
    const agent = await scene.node.startAgent({ manifests: [scene.folder.path], options })
    scene.folder.write('filling', fillings[map](tooMany))
    await eventually(t, 'the refusal shows', async () => /room|full|fit|capacity/i.test(await whyPolicyIsDegraded(agent)))
    t.is(await outcome(scene), 'answered', 'what was enforced before still is')
    await takesWhatFits(t, scene, agent, map)
  })

  kernelTest(`so is a first listing that ${map} cannot hold`, async (t) => {
    await using lab = await Lab.create()
    const scene = await makeScene(lab)
    const first = await scene.node.startAgent({ manifests: [scene.folder.path], options })
    first.service.kill('SIGKILL')
    while (first.service.isAlive) await sleep(10)
    scene.folder.write('filling', fillings[map](tooMany))
    const agent = scene.node.launchAgent({ manifests: [scene.folder.path], options })
    await eventually(t, 'the refusal shows', () => whyPolicyIsDegraded(agent).then((why) => why !== '', () => false))
    t.is(await outcome(scene), 'answered', 'what was enforced before still is')
    await takesWhatFits(t, scene, agent, map)
  })
}

for (const map of ['backends', 'next_hops'] as const) {
  kernelTest(`backends that take turns in a small map ${map} keep being programmed`, async (t) => {
    await using lab = await Lab.create()
    const node = await lab.addNode('n1')
    const agent = await node.startAgent({ options: ['--map-size', `${map}=4`] })
    for (let number = 1; number <= 9; number++) {
      const address = `10.99.0.${number}`
      await agent.apply(balancer([address]))
      const { items } = await agent.get<{ items: Service[] }>('/v1/services')
      t.like(items[0]?.backends, [{ address, slots: 251 }])
    }
    const why = await t.throwsAsync(agent.apply(balancer(['10.99.0.1', '10.99.0.2', '10.99.0.3', '10.99.0.4'])))
    t.regex(String(why), /CAPACITY.*all 3 numbers/)
  })
}

function balancer(addresses: readonly string[]): object {
  const backends = addresses.map((address, index) => ({ name: `b${index}`, addresses: [address] }))
  const spec = { addresses: ['10.77.9.1'], tableSize: 251, ports: [{ port: 80, protocol: 'TCP' }], backends }
  return { apiVersion: 'sluice.io/v1', kind: 'LoadBalancer', metadata: { name: 'edge', namespace: 'demo' }, spec }
}
