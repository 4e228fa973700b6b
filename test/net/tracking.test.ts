// Long-lived connections through the edge load balancer while everything about its backends changes and agents come and
// go: a connection breaks only where its own backend is removed or down.
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import { type Agent, type Host, Lab, type Node } from '../../lab/index.ts'
import { BpfMap } from '../../loader/index.ts'
import { Random } from '../differential/random.ts'
import { kernelTest } from '../helpers/index.ts'
import { describe, type Flow, flowPort, type FlowProtocol, Flows } from './flows/index.ts'
import { ManifestFolder } from './manifest-folder.ts'

const vips = { ipv4: '10.77.9.1', ipv6: 'fd77:9::1' } as const
const families = ['ipv4', 'ipv6'] as const
const connections = Number(process.env['CONNECTIONS'] ?? 300)
/** Every flow sends far more often, so that slots can settle and change hands again during the test. */
const idleSeconds = 5
const intervalMs = 150 + connections / 4
const changes = Number(process.env['CHANGES'] ?? 32)
const tableSizes = [251, 1021, 4093] as const
const changeEveryMs = 350
const changesOfAnAgent = 8

type State = 'active' | 'draining' | 'down' | 'absent'

interface Backend {
  readonly host: Host
  /** Never removed, never down: none of its connections may break. */
  readonly stable: boolean
  state: State
  weight: number
}

interface Opened {
  readonly flow: Flow
  /** The first backend that it reached, and the changes before it was opened. */
  readonly home: Backend
  readonly since: number
}

class Scene {
  readonly flows: Flows
  readonly backends: readonly Backend[]
  readonly opened: Opened[] = []
  /** By backend, the numbers of the changes by which it went. */
  readonly departures = new Map<Backend, number[]>()
  readonly #folder: ManifestFolder
  readonly #client: Host
  #changes = 0
  #tableSize: number = tableSizes[1]
  #agent: Agent
  readonly #node: Node

  private constructor(node: Node, agent: Agent, folder: ManifestFolder, client: Host, backends: readonly Backend[], flows: Flows) {
    this.#node = node
    this.#agent = agent
    this.#folder = folder
    this.#client = client
    this.backends = backends
    this.flows = flows
  }

  static async make(lab: Lab): Promise<Scene> {
    const node = await lab.addNode('n1')
    const hosts = await Promise.all([lab.addHost('client', 50), ...[1, 2, 3, 4, 5, 6].map((number) => lab.addHost(`b${number}`, 20 + number))])
    const [client, ...servers] = hosts
    if (client === undefined) throw new Error('there is no client')
    for (const server of servers) await server.decapsulate(Object.values(vips))
    const backends = servers.map((host, index): Backend => ({ host, stable: index < 3, state: index < 4 ? 'active' : 'absent', weight: 1 }))
    const folder = new ManifestFolder(join(node.stateFolder, 'manifests'))
    folder.write('balancer', manifest(backends, tableSizes[1]))
    const [agent, flows] = await Promise.all([node.startAgent({ manifests: [folder.path] }), Flows.start(lab, hosts)])
    return new Scene(node, agent, folder, client, backends, flows)
  }

  /** New flows, each with the backend that it came to. */
  async open(protocol: FlowProtocol, count: number): Promise<void> {
    const added = Array.from({ length: count }, (_, index) => {
      const family = families[index % 2] as (typeof families)[number]
      const flow = { protocol, family, sender: 'client', intervalMs, address: vips[family] } as const
      return this.flows.open(this.#client, this.#client, flow)
    })
    const reached = await this.#untilAllReached(added)
    for (const [index, flow] of added.entries()) {
      const home = reached[index]?.[0]
      if (home === undefined) throw new Error(`it reached nobody: ${describe(flow)}`)
      this.opened.push({ flow, home, since: this.#changes })
    }
  }

  async #untilAllReached(flows: readonly Flow[]): Promise<Backend[][]> {
    for (let waited = 0; waited < 20; waited++) {
      await sleep(500)
      const reached = await this.reached(flows)
      if (reached.every((backends) => backends.length > 0)) return reached
    }
    return this.reached(flows)
  }

  /** Backends that got something of each flow. */
  async reached(flows: readonly Flow[]): Promise<Backend[][]> {
    const received = await this.#received(flows)
    return flows.map((_, index) => this.backends.filter((backend) => (received.get(backend)?.[index] ?? 0) > 0))
  }

  async #received(flows: readonly Flow[]): Promise<Map<Backend, number[]>> {
    const tallies = this.backends.map(async (backend) => {
      const counted = await this.flows.tallies(flows.map((flow) => ({ ...flow, server: backend.host })), 'server')
      return [backend, counted.map(({ received }) => received)] as const
    })
    return new Map(await Promise.all(tallies))
  }

  /** What each flow's own backend got of it in this time. */
  async growth(opened: readonly Opened[], forMs: number): Promise<number[]> {
    const flows = opened.map(({ flow }) => flow)
    const before = await this.#received(flows)
    await sleep(forMs)
    const after = await this.#received(flows)
    return opened.map(({ home }, index) => (after.get(home)?.[index] ?? 0) - (before.get(home)?.[index] ?? 0))
  }

  change(backend: Backend, to: Partial<Pick<Backend, 'state' | 'weight'>>): void {
    this.#changes++
    Object.assign(backend, to)
    if (backend.state === 'down' || backend.state === 'absent') this.departures.set(backend, [...(this.departures.get(backend) ?? []), this.#changes])
    this.#folder.write('balancer', manifest(this.backends, this.#tableSize))
  }

  resize(tableSize: number): void {
    this.#changes++
    this.#tableSize = tableSize
    this.#folder.write('balancer', manifest(this.backends, tableSize))
  }

  /** Flows whose backend has been there all the time. */
  get unharmed(): Opened[] {
    return this.opened.filter(({ home, since }) => !(this.departures.get(home) ?? []).some((change) => change > since))
  }

  async replaceAgent(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.#agent.service.kill(signal)
    while (this.#agent.service.isAlive) await sleep(10)
    this.#agent = this.#node.launchAgent({ manifests: [this.#folder.path] })
  }

  async agentIsReady(): Promise<void> {
    await this.#agent.waitUntilReady()
  }

  get flowTableEntries(): number {
    return ['balanced4', 'balanced6'].reduce((sum, name) => {
      using map = BpfMap.openPinned(join(this.#node.bpffs, 'maps', name))
      return [...map.entries()].reduce((all, { count }) => all + count, sum)
    }, 0)
  }
}

function manifest(backends: readonly Backend[], tableSize: number): object {
  const present = backends.filter(({ state }) => state !== 'absent')
  return {
    apiVersion: 'sluice.io/v1',
    kind: 'LoadBalancer',
    metadata: { name: 'edge', namespace: 'default' },
    spec: {
      addresses: Object.values(vips),
      tableSize,
      idleSeconds: { TCP: idleSeconds, UDP: idleSeconds },
      ports: (['TCP', 'UDP'] as const).map((protocol) => ({ port: flowPort, protocol })),
      backends: present.map(({ host: { name, addresses }, state, weight }) => ({ name, addresses: [addresses.ipv4, addresses.ipv6], state, weight })),
    },
  }
}

function changeSomething(scene: Scene, random: Random): void {
  if (random.chance(0.15)) return scene.resize(random.pick(tableSizes))
  const backend = random.pick(scene.backends)
  const states: readonly State[] = backend.stable ? ['active', 'draining'] : ['active', 'draining', 'down', 'absent']
  if (backend.state === 'active' && random.chance(0.3)) return scene.change(backend, { weight: 1 + random.below(5) })
  scene.change(backend, { state: random.pick(states.filter((state) => state !== backend.state)) })
}

async function nothingBroke(t: ExecutionContext, scene: Scene): Promise<void> {
  const { unharmed, flows } = scene
  const growth = await scene.growth(unharmed, 1500)
  const reached = await scene.reached(unharmed.map(({ flow }) => flow))
  const clients = await flows.tallies(unharmed.map(({ flow }) => flow), 'client')
  const broken = unharmed.filter((_, index) => clients[index]?.error !== undefined || (growth[index] ?? 0) === 0 || reached[index]?.length !== 1)
  t.log(`${unharmed.length} of ${scene.opened.length} flows have a backend that was there all the time; ${broken.length} of them broke`)
  t.deepEqual(broken.map(({ flow, home }) => `${describe(flow)}, at ${home.host.name}`), [])
}

kernelTest('a connection breaks only where its own backend is removed or down', async (t) => {
  t.timeout(180_000)
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 32)
  t.log(`SEED=${seed}`)
  const random = new Random(seed)
  await using lab = await Lab.create()
  const scene = await Scene.make(lab)
  await using _ = scene.flows
  await scene.open('TCP', connections)
  await scene.open('UDP', connections / 5)
  t.is(scene.flowTableEntries, 0, 'settled slots remember nothing')
  let largest = 0
  for (let change = 1; change <= changes; change++) {
    changeSomething(scene, random)
    if (change % changesOfAnAgent === 0) await scene.replaceAgent(random.chance(0.5) ? 'SIGKILL' : 'SIGTERM')
    await sleep(changeEveryMs)
    largest = Math.max(largest, scene.flowTableEntries)
    if (change % changesOfAnAgent !== 1) continue
    await scene.agentIsReady()
    if (scene.backends.some(({ state }) => state === 'active')) await scene.open('TCP', connections / 10)
  }
  await scene.agentIsReady()
  await nothingBroke(t, scene)
  t.true(scene.unharmed.length > connections / 4)
  t.log(`${largest} flows were remembered at most`)
  t.true(largest > 0)
})
