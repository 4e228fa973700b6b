// An agent takes over maps of other sizes: nothing of what they hold gets lost, or nothing changes.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import type { MapItem, Status } from '../../agent/api/index.ts'
import { LinuxKernel } from '../../agent/worker/kernel.ts'
import { type Agent, Lab } from '../../lab/index.ts'
import { BpfMap, BpfObject, listPins, makePinDirectory, removePins } from '../../loader/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { describe, type Flow, Flows } from './flows/index.ts'
import { apps, ciliumPolicy, flowService } from './policies.ts'
import { isEnforced, kill, makeScene, outcome, type Scene } from './scene.ts'

const service = { ipv4: '10.77.8.1', ipv6: 'fd77:8::1' }
/** Of every kind of map that programs or the agent fill. */
const newSizes = {
  addresses: 4096, prefixes: 8192, class_generations: 32768, endpoints_beyond: 8192, policy: 65536, policy_rows: 524288,
  conntrack4: 65536, conntrack6: 262144, fragments: 16384, frontends: 1024, slots: 2097152, backends: 32768, events: 8388608,
} as const

interface FlowScene extends Scene {
  readonly flows: Flows
}

async function makeFlowScene(lab: Lab): Promise<FlowScene> {
  const scene = await makeScene(lab)
  scene.folder.write('service', flowService('server', service))
  return { ...scene, flows: await Flows.start(lab, [scene.server, scene.friend, scene.stranger]) }
}

function sizeOptions(sizes: Readonly<Record<string, number>>): string[] {
  return Object.entries(sizes).flatMap(([name, entries]) => ['--map-size', `${name}=${entries}`])
}

async function stillFlows(t: ExecutionContext, flows: Flows, standing: readonly Flow[]): Promise<void> {
  const growth = await flows.growth(standing, 500)
  const clients = await flows.tallies(standing, 'client')
  for (const [index, flow] of standing.entries()) {
    t.true((growth[index] ?? 0) > 0, `it flows: ${describe(flow)}`)
    t.is(clients[index]?.error, undefined, describe(flow))
  }
}

kernelTest('maps take other sizes under running traffic, and everything goes on', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeFlowScene(lab)
  await using flows = scene.flows
  const { node, folder, server, friend, stranger } = scene
  const first = await node.startAgent({ manifests: [folder.path] })
  const standing = [...flows.openAll(friend, server), ...flows.openAll(friend, server, service)]
  await sleep(300)
  await kill(first)
  const second = await node.startAgent({ manifests: [folder.path], options: sizeOptions(newSizes) })
  const { items } = await second.get<{ items: MapItem[] }>('/v1/maps')
  const sizes = new Map(items.map(({ name, maxEntries }) => [name, maxEntries]))
  for (const [name, entries] of Object.entries(newSizes)) t.is(sizes.get(name), entries, name)
  t.deepEqual((await second.get<Status>('/v1/status')).degraded, [])
  await stillFlows(t, flows, standing)
  await isEnforced(t, scene, 'in the new maps')
  await second.apply(ciliumPolicy('stranger', 'server', { ingress: [{ fromEndpoints: apps('stranger') }] }))
  t.is(await outcome(stranger, server), 'answered', 'policy changes in the maps that packets meet')
})

kernelTest('what programs write between the copy and the update of their links comes too, whichever agent updates them', async (t) => {
  const bpffs = `/sys/fs/bpf/sluice-upgrade-${process.pid}`
  const bpfObjects = join(import.meta.dirname, '../../build/bpf')
  const options = { bpffs, bpfObjects, xdpMode: 'off', allowHost: true, reportFlows: true, uplinkIfindex: 0, stationMac: undefined, encapsulationSources: [], vlanDevices: [] } as const
  const key = new Uint8Array(40).fill(1)
  const value = new Uint8Array(8).fill(2)
  try {
    makePinDirectory(join(bpffs, 'maps-new/of-a-start-that-was-cut-off'))
    using first = new LinuxKernel()
    await first.start({ ...options, mapSizes: {} })
    t.deepEqual(listPins(bpffs), ['links', 'maps'])
    using old = BpfMap.openPinned(join(bpffs, 'maps/fragments'))
    const resized = { ...options, mapSizes: { fragments: 1024 } }
    {
      using second = new LinuxKernel()
      await second.start(resized) // and dies, while programs still write to the old map
    }
    old.update(key, value)
    using third = new LinuxKernel()
    await third.start(resized)
    await third.reconcilePrograms({ wanted: [], complete: true })
    t.deepEqual(listPins(bpffs), ['links', 'maps'])
    using fragments = BpfMap.openPinned(join(bpffs, 'maps/fragments'))
    t.is(fragments.maxEntries, 1024)
    t.deepEqual(fragments.lookup(key), value)
  } finally {
    removePins(bpffs)
  }
})

kernelTest('sizes that what is there does not fit are refused, and the last policy holds', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeFlowScene(lab)
  await using flows = scene.flows
  const { node, folder, server, friend } = scene
  const first = await node.startAgent({ manifests: [folder.path] })
  const standing = flows.openAll(friend, server)
  await sleep(300)
  await kill(first)
  const second = node.launchAgent({ manifests: [folder.path], options: sizeOptions({ addresses: 2 }) })
  const fault = await untilDegraded(second, 'datapath')
  t.regex(fault, /cannot give the pinned maps addresses their new sizes: .* cannot become one of 2 entries/)
  await isEnforced(t, scene, 'under the agent that cannot start')
  await kill(second)
  const third = await node.startAgent({ manifests: [folder.path] })
  t.deepEqual((await third.get<Status>('/v1/status')).degraded, [])
  await stillFlows(t, flows, standing)
})

kernelTest('a map of another layout is refused with what to do, and nobody writes into the others', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeScene(lab)
  const { node, folder } = scene
  await kill(await node.startAgent({ manifests: [folder.path] }))
  const pin = join(node.bpffs, 'maps/fragments')
  rmSync(pin)
  {
    using other = BpfObject.open('build/fixtures/loader.bpf.o', { programs: [] }).load()
    other.map('pairs').pin(pin)
  }
  folder.write('policy', ciliumPolicy('server', 'server', { ingress: [{ fromEndpoints: apps('stranger') }] }))
  const agent = node.launchAgent({ manifests: [folder.path] })
  t.regex(await untilDegraded(agent, 'datapath'), /fragments has another layout than the object: its type is 1/)
  const { degraded } = await agent.get<Status>('/v1/status')
  t.is(degraded.length, 1, 'one fault is said once')
  t.regex(degraded[0]?.hint ?? '', /sluiced cleanup.*npm stop/)
  await isEnforced(t, scene, 'as it was before')
})

async function untilDegraded(agent: Agent, part: string): Promise<string> {
  for (;;) {
    const status = await agent.get<Status>('/v1/status').catch(() => undefined)
    const fault = status?.degraded.find(({ what }) => what === part)
    if (fault !== undefined) return fault.why
    await sleep(20)
  }
}
