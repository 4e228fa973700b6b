// The agent is killed at random points of running changes and started again, under connections that stay and
// connections that are new: none breaks, none is wrongly allowed, and what changed meanwhile holds afterwards.
import type { ExecutionContext } from 'ava'
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Agent, type Host, Lab, type Node, type Outcome, type Stream, type Workload } from '../../lab/index.ts'
import { kernelTest } from '../helpers/index.ts'

const kills = 50
const longestMs = 120 // A change and its programming take less: kills hit before, in and after it.
const probeMs = 40

/** A folder of manifests, one file a document, replaced as an editor would: written aside and renamed. */
class Folder {
  readonly path: string

  constructor(path: string) {
    mkdirSync(path, { recursive: true })
    this.path = path
  }

  write(name: string, document: object): void {
    const file = join(this.path, `${name}.json`)
    writeFileSync(`${file}.new`, JSON.stringify(document))
    renameSync(`${file}.new`, file)
  }

  remove(name: string): void {
    rmSync(join(this.path, `${name}.json`), { force: true })
  }
}

function allow(name: string, app: string, fromApps: readonly string[]): object {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace: 'default' },
    spec: {
      podSelector: { matchLabels: { app } },
      policyTypes: ['Ingress'],
      ingress: [{ from: fromApps.map((fromApp) => ({ podSelector: { matchLabels: { app: fromApp } } })) }],
    },
  }
}

/** Requests one after the other until it is stopped; collects the outcomes that were not wanted. */
class Probe implements AsyncDisposable {
  readonly wrong: string[] = []
  sent = 0
  #stopped = false
  readonly #done: Promise<void>

  constructor(from: Host, address: string, wanted: Outcome) {
    this.#done = this.#run(from, address, wanted)
  }

  async #run(from: Host, address: string, wanted: Outcome): Promise<void> {
    while (!this.#stopped) {
      // SYNs are sent again after 1 s: an allowed connection may lose none, so it has less.
      const { outcome } = await from.request({ address, port: 80, timeoutMs: wanted === 'timeout' ? 300 : 900 })
      this.sent++
      if (outcome !== wanted) this.wrong.push(`${from.name} -> ${address}: ${outcome} at ${new Date().toISOString()}`)
      await sleep(probeMs)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true
    await this.#done
  }
}

interface Scene {
  readonly node: Node
  readonly folder: Folder
  readonly server: Workload
  readonly friend: Workload
  readonly stranger: Workload
}

async function makeScene(lab: Lab): Promise<Scene> {
  const node = await lab.addNode('n1')
  const [server, friend, stranger] = await Promise.all([
    node.addWorkload({ name: 'server', number: 11, labels: { app: 'server' } }),
    node.addWorkload({ name: 'friend', number: 12, labels: { app: 'friend' } }),
    node.addWorkload({ name: 'stranger', number: 13, labels: { app: 'stranger' } }),
  ])
  const folder = new Folder(join(node.stateFolder, 'manifests'))
  for (const workload of [server, friend, stranger]) folder.write(workload.name, workload.manifest())
  folder.write('policy-server', allow('server', 'server', ['friend']))
  await server.serve('tcp:80', 'echo:7')
  return { node, folder, server, friend, stranger }
}

/** Changes that alter nothing for the probes, but write subjects, classes and addresses. */
async function change(round: number, { folder }: Scene): Promise<void> {
  folder.write('policy-server', allow('server', 'server', ['friend', `guest-${round % 7}`]))
  folder.write('policy-noise', allow('noise', `noise-${round % 5}`, ['stranger', `guest-${round % 3}`]))
  folder.write('elsewhere', {
    apiVersion: 'sluice.io/v1',
    kind: 'Workload',
    metadata: { name: 'elsewhere', namespace: 'default', labels: { app: `guest-${round % 7}` } },
    spec: { addresses: [`10.77.2.${10 + (round % 4)}`] },
  })
}

async function killAgain(t: ExecutionContext, scene: Scene, agent: Agent, streams: readonly Stream[]): Promise<void> {
  let running = agent
  for (let round = 1; round <= kills; round++) {
    await change(round, scene)
    await sleep(Math.random() * longestMs)
    running.service.kill('SIGKILL')
    await change(round + 1000, scene)
    running = await scene.node.startAgent({ manifests: [scene.folder.path] })
    for (const stream of streams) t.is(stream.state, 'open', `after kill ${round}`)
  }
  for (const stream of streams) t.true(await stream.alive(), 'after all kills')
}

kernelTest(`the agent is killed ${kills} times and no packet notices`, async (t) => {
  t.timeout(300_000)
  await using lab = await Lab.create()
  const scene = await makeScene(lab)
  const { server, friend, stranger, node, folder } = scene
  const agent = await node.startAgent({ manifests: [folder.path] })
  const addresses: string[] = Object.values(server.addresses)
  using streams = new DisposableStack()
  const open = addresses.map((address) => streams.use(friend.stream({ address, port: 7 })))
  for (const stream of open) t.true(await stream.alive(2000), 'before the first kill')
  const probes = addresses.flatMap((address) =>
    [new Probe(friend, address, 'answered'), new Probe(stranger, address, 'timeout')])
  try {
    await killAgain(t, scene, agent, open)
  } finally {
    for (const probe of probes) await probe[Symbol.asyncDispose]()
  }
  for (const { wrong, sent } of probes) {
    t.deepEqual(wrong, [])
    t.true(sent > kills, `${sent} probes were sent`)
  }
})

kernelTest('what changes while no agent runs holds after its start', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeScene(lab)
  const { server, friend, stranger, node, folder } = scene
  const agent = await node.startAgent({ manifests: [folder.path] })
  const address = server.addresses.ipv4
  const outcome = async (from: Host) => (await from.request({ address, port: 80, timeoutMs: 900 })).outcome
  t.is(await outcome(friend), 'answered')
  agent.service.kill('SIGKILL')
  folder.write('policy-server', allow('server', 'server', ['newcomer']))
  folder.remove('stranger')
  const newcomer = await node.addWorkload({ name: 'newcomer', number: 14, labels: { app: 'newcomer' } })
  folder.write('newcomer', newcomer.manifest())
  t.is(await outcome(friend), 'answered', 'the last programmed policy holds without an agent')
  t.is(await outcome(stranger), 'timeout')
  await node.startAgent({ manifests: [folder.path] })
  t.is(await outcome(newcomer), 'answered')
  t.is(await outcome(friend), 'timeout')
  t.is(await outcome(stranger), 'timeout')
})
