// The agent is killed at random points of running changes and of its own start, under connections that stay and new
// ones without pause: none breaks, nothing is lost, nothing is wrongly allowed, and what changed meanwhile holds.
import type { ExecutionContext } from 'ava'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Agent, type Host, Lab, type Workload } from '../../lab/index.ts'
import { Random } from '../differential/random.ts'
import { kernelTest } from '../helpers/index.ts'
import { describe, type Flow, Flows, type Probe } from './flows/index.ts'
import { Noise } from './noise.ts'
import { apps, ciliumPolicy, flowService } from './policies.ts'
import { makeScene, type Scene } from './scene.ts'

const kills = 50
const changesMs = 150 // A change and its programming take less: kills hit before, in and after it.
const startMs = 1200 // So does a start, mostly.
const killedInStart = 0.3
const [allowedMs, forbiddenMs] = [50, 25] // Between new connections.
const service = { ipv4: '10.77.8.1', ipv6: 'fd77:8::1' } as const
const families = ['ipv4', 'ipv6'] as const

interface CrowdedScene extends Scene {
  readonly flows: Flows
  /**
   * Has the friend's label and uses the service. A client that uses it and the backend itself from one port within
   * a minute would lose packets for that reason: both flows have the same reply key.
   */
  readonly patron: Workload
  /** Comes and goes. */
  readonly guest: Workload
  readonly outsider: Host
  readonly intruder: Host
}

/** What the folder says of the guest: whether it is a workload, and whether the server's policy admits it. */
interface GuestState {
  present: boolean
  admitted: boolean
}

const hostPrefixes = ({ addresses }: Host) => [`${addresses.ipv4}/32`, `${addresses.ipv6}/128`]

function serverPolicy(outsider: Host, ...clients: string[]): object {
  return ciliumPolicy('server', 'server', { ingress: [{ fromEndpoints: apps(...clients) }, { fromCIDR: hostPrefixes(outsider) }] })
}

async function makeCrowdedScene(lab: Lab): Promise<CrowdedScene> {
  const scene = await makeScene(lab)
  const { node, folder, server, friend, stranger } = scene
  const workload = (name: string, number: number) => node.addWorkload({ name, number, labels: { app: name } })
  const [patron, guest, outsider, intruder] = await Promise.all([
    workload('patron', 15), workload('guest', 14), lab.addHost('outsider', 50), lab.addHost('intruder', 51),
  ])
  folder.write('patron', patron.manifest({ app: 'friend' }))
  folder.write('policy', serverPolicy(outsider, 'friend'))
  folder.write('service', flowService('server', service))
  const flows = await Flows.start(lab, [server, friend, patron, stranger, outsider, intruder])
  return { ...scene, flows, patron, guest, outsider, intruder }
}

/** New connections without pause, between these ends over both families. */
function probe({ flows, server }: CrowdedScene, from: Host, intervalMs: number, addresses = server.addresses): Probe[] {
  return families.map((family) => flows.probe(from, server, { family, intervalMs, address: addresses[family] }))
}

/** The folder changes while no agent runs: a policy, a workload, both or neither. */
function changeGuest({ folder, guest, outsider }: CrowdedScene, random: Random, state: GuestState): void {
  if (random.chance(0.5)) state.present = !state.present
  if (random.chance(0.5)) state.admitted = !state.admitted
  if (state.present) folder.write('guest', guest.manifest())
  else folder.remove('guest')
  folder.write('policy', serverPolicy(outsider, 'friend', ...(state.admitted ? ['guest'] : [])))
}

async function checkGuest(t: ExecutionContext, { guest, server }: CrowdedScene, state: GuestState, when: string): Promise<void> {
  const wanted = state.present && state.admitted ? 'answered' : 'timeout'
  const timeoutMs = wanted === 'answered' ? 900 : 250
  // While it was no workload nobody answered for its gateway, and its kernel asks only once a second.
  await guest.ip('neighbour flush dev eth0')
  const replies = await Promise.all(families.map((family) => guest.request({ address: server.addresses[family], port: 80, timeoutMs })))
  t.deepEqual(replies.map(({ outcome }) => outcome), [wanted, wanted], `${when}: the guest, ${JSON.stringify(state)}`)
}

/** Kills the agent again and again; gives the one that runs at the end. */
async function killAgain(t: ExecutionContext, scene: CrowdedScene, random: Random, noise: Noise): Promise<Agent> {
  const options = { manifests: [scene.folder.path] }
  const guest: GuestState = { present: false, admitted: false }
  let agent = await scene.node.startAgent(options)
  let started = true
  for (let kill = 1; kill <= kills; kill++) {
    const changes = noise.make(agent)
    await sleep(random.below(started ? changesMs : startMs))
    agent.service.kill('SIGKILL')
    await changes
    changeGuest(scene, random, guest)
    agent = scene.node.launchAgent(options)
    started = kill === kills || !random.chance(killedInStart)
    if (!started) continue
    await agent.waitUntilReady()
    await checkGuest(t, scene, guest, `after kill ${kill}`)
  }
  return agent
}

async function nothingBroke(t: ExecutionContext, flows: Flows, standing: readonly Flow[]): Promise<void> {
  const growth = await flows.growth(standing, 500)
  const [clients, receivers] = await Promise.all([flows.tallies(standing, 'client'), flows.tallies(standing)])
  for (const [index, flow] of standing.entries()) {
    t.true((growth[index] ?? 0) > 0, `it still flows: ${describe(flow)}`)
    t.is(clients[index]?.error, undefined, describe(flow))
    if (flow.protocol === 'UDP') t.is(receivers[index]?.received, receivers[index]?.highest, `none is lost: ${describe(flow)}`)
  }
}

/** Of each probe every datagram came and every connection stood, or none did. */
async function cameThrough(t: ExecutionContext, flows: Flows, probes: readonly Probe[], all: boolean): Promise<void> {
  const [clients, servers] = await Promise.all([flows.tallies(probes, 'client'), flows.tallies(probes, 'server')])
  for (const [index, { client, family }] of probes.entries()) {
    const { sent = 0, received: connections } = clients[index] ?? {}
    t.true(sent > kills, `${client.name} sent ${sent} over ${family}`)
    t.deepEqual({ connections, datagrams: servers[index]?.received }, all ? { connections: sent, datagrams: sent } : { connections: 0, datagrams: 0 }, `${client.name} over ${family}`)
  }
}

kernelTest(`the agent is killed ${kills} times and no packet notices`, async (t) => {
  t.timeout(300_000)
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 32)
  t.log(`SEED=${seed}`)
  const random = new Random(seed)
  await using lab = await Lab.create()
  const scene = await makeCrowdedScene(lab)
  await using flows = scene.flows
  const { folder, node, server, friend, patron, stranger, outsider, intruder } = scene
  const first = await node.startAgent({ manifests: [folder.path] })
  const standing = [...flows.openAll(friend, server), ...flows.openAll(patron, server, service), ...flows.openAll(outsider, server)]
  const allowed = [...probe(scene, friend, allowedMs), ...probe(scene, patron, allowedMs, service), ...probe(scene, outsider, allowedMs)]
  const forbidden = [...probe(scene, stranger, forbiddenMs), ...probe(scene, stranger, forbiddenMs, service), ...probe(scene, intruder, forbiddenMs)]
  first.service.kill('SIGKILL')
  const noise = new Noise(random, folder, { server: 'server', client: 'friend', stranger: 'stranger', outside: hostPrefixes(outsider) })
  await killAgain(t, scene, random, noise)
  for (const each of [...allowed, ...forbidden]) flows.stop(each)
  await sleep(1000)
  t.deepEqual(noise.faults, [])
  t.log(`${noise.applied} changes were answered between the kills`)
  t.true(noise.applied > kills / 2)
  await nothingBroke(t, flows, standing)
  await cameThrough(t, flows, allowed, true)
  await cameThrough(t, flows, forbidden, false)
})

kernelTest('what changes while no agent runs holds after its start, and not before', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeCrowdedScene(lab)
  await using _ = scene.flows
  const { server, friend, stranger, outsider, node, folder } = scene
  const agent = await node.startAgent({ manifests: [folder.path] })
  const outcome = async (from: Host) => (await from.request({ address: server.addresses.ipv4, port: 80, timeoutMs: 900 })).outcome
  t.is(await outcome(friend), 'answered')
  agent.service.kill('SIGKILL')
  const newcomer = await node.addWorkload({ name: 'newcomer', number: 20, labels: { app: 'newcomer' } })
  folder.write('policy', serverPolicy(outsider, 'newcomer', 'stranger'))
  folder.remove('stranger')
  folder.write('newcomer', newcomer.manifest())
  t.is(await outcome(friend), 'answered', 'the last programmed policy holds without an agent')
  t.is(await outcome(stranger), 'timeout')
  await node.startAgent({ manifests: [folder.path] })
  t.is(await outcome(newcomer), 'answered')
  t.is(await outcome(friend), 'timeout')
  t.is(await outcome(stranger), 'timeout')
})

kernelTest('what loses its permission while no agent runs is cut by the next one; the rest goes on', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeCrowdedScene(lab)
  await using flows = scene.flows
  const { server, friend, patron, outsider, node, folder } = scene
  const agent = await node.startAgent({ manifests: [folder.path] })
  const kept = flows.openAll(friend, server)
  const lost = [...flows.openAll(patron, server, service), ...flows.openAll(outsider, server)]
  await sleep(300)
  for (const grown of await flows.growth([...kept, ...lost], 500)) t.true(grown > 0, 'they flow before')
  agent.service.kill('SIGKILL')
  folder.write('patron', patron.manifest({ app: 'stranger' }))
  folder.write('policy', ciliumPolicy('server', 'server', { ingress: [{ fromEndpoints: apps('friend') }] }))
  for (const grown of await flows.growth([...kept, ...lost], 500)) t.true(grown > 0, 'they flow without an agent')
  await node.startAgent({ manifests: [folder.path] })
  await sleep(200)
  const growth = await flows.growth([...kept, ...lost], 1000)
  for (const [index, flow] of kept.entries()) t.true((growth[index] ?? 0) > 0, `it goes on: ${describe(flow)}`)
  for (const [index, flow] of lost.entries()) t.is(growth[kept.length + index], 0, `it is cut: ${describe(flow)}`)
})
