// The agent on a real node: bad input, its own life and death. Nothing enforced gets lost by any of it.
import type { ExecutionContext } from 'ava'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Endpoint, PolicyItem, Program, Service, Status } from '../../agent/api/index.ts'
import { type Agent, Lab } from '../../lab/index.ts'
import type { Flow } from '../../observe/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { apps, ciliumPolicy } from './policies.ts'
import { isEnforced, kill, makeScene, outcome, type Scene } from './scene.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const sluiced = join(root, 'sluiced')
const withinMs = 2_000

function start({ node, folder }: Scene, ...options: string[]): Promise<Agent> {
  return node.startAgent({ manifests: [folder.path], options })
}

async function eventually(t: ExecutionContext, what: string, holds: () => Promise<boolean>, limitMs = withinMs): Promise<void> {
  const deadline = Date.now() + limitMs
  while (!(await holds()) && Date.now() < deadline) await sleep(20)
  t.true(await holds(), what)
}

const degradedWhats = async (agent: Agent): Promise<string[]> =>
  (await agent.get<Status>('/v1/status')).degraded.map(({ what }) => what)

kernelTest('of a bad file the last good version holds, over a restart too, and other files are applied', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeScene(lab)
  const { folder, stranger, server } = scene
  const first = await start(scene)
  await isEnforced(t, scene, 'at first')
  writeFileSync(join(folder.path, 'policy.json'), '{"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "spek": {}}')
  folder.write('other', ciliumPolicy('other', 'friend', { ingress: [{ fromEndpoints: apps('nobody') }] }))
  await eventually(t, 'the bad file shows', async () => (await degradedWhats(first)).some((what) => what.endsWith('policy.json')))
  await eventually(t, 'the other file is applied', async () => {
    const { items } = await first.get<{ items: PolicyItem[] }>('/v1/policies')
    return items.map(({ name, state }) => `${name} ${state}`).sort().join() === 'other enforced,server last-good'
  })
  await isEnforced(t, scene, 'with the bad file')
  await kill(first)
  const second = await start(scene)
  await isEnforced(t, scene, 'with the bad file after a restart')
  t.true((await degradedWhats(second)).some((what) => what.endsWith('policy.json')))
  folder.write('policy', ciliumPolicy('server', 'server', { ingress: [{ fromEndpoints: apps('stranger') }] }))
  await eventually(t, 'the corrected file holds', async () => (await outcome(stranger, server)) === 'answered')
  t.deepEqual(await degradedWhats(second), [])
})

kernelTest('a second agent on the state folder says who has it, and harms nothing', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeScene(lab)
  const agent = await start(scene)
  const { pid } = await agent.get<Status>('/v1/status')
  const { status, stderr } = await scene.node.run(
    [sluiced, '--state-dir', scene.node.stateFolder, '--socket', join(scene.node.stateFolder, 'second.sock')],
    { allowFailure: true },
  )
  t.is(status, 1)
  t.regex(stderr, new RegExp(`^sluiced: .*in use by another sluiced \\(process ${pid}\\).*\n$`), 'one line, said once')
  await isEnforced(t, scene, 'after the second agent')
})

kernelTest('an interface that does not exist yet is degraded, and taken up when it comes', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeScene(lab)
  const { node, folder, server } = scene
  const agent = await start(scene)
  const late = { apiVersion: 'sluice.io/v1', kind: 'Workload', metadata: { name: 'late', namespace: 'default', labels: { app: 'friend' } } }
  folder.write('late', { ...late, spec: { addresses: ['10.77.1.19', 'fd77:1::19'], interface: 'sl-late' } })
  await eventually(t, 'it shows', async () => (await degradedWhats(agent)).includes('endpoint default/late'))
  const workload = await node.addWorkload({ name: 'late', number: 19, labels: { app: 'friend' } })
  await eventually(t, 'it is an endpoint', async () => {
    const { items } = await agent.get<{ items: Endpoint[] }>('/v1/endpoints')
    return items.find(({ name }) => name === 'default/late')?.state === 'ready'
  })
  t.is(await outcome(workload, server), 'answered')
  t.deepEqual(await degradedWhats(agent), [])
})

kernelTest('an interface that is made again under its name, and links that are detached by force, get programs again', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeScene(lab)
  const { node, server, friend, stranger } = scene
  const agent = await start(scene)
  await friend.remove()
  const again = await node.addWorkload(friend.spec)
  await eventually(t, 'the interface is the endpoint’s', async () => (await outcome(again, server)) === 'answered')
  const programs = async () => (await agent.get<{ items: Program[] }>('/v1/programs')).items
  const before = (await programs()).filter(({ interface: device }) => device === stranger.interface)
  t.is(before.length, 2)
  for (const { pin } of before) await node.run(['bpftool', 'link', 'detach', 'pinned', pin])
  await eventually(
    t,
    'the links are made again',
    async () => (await programs()).filter(({ pin, linkId }) => before.some((each) => each.pin === pin && each.linkId !== linkId)).length === 2,
    15_000,
  )
  await isEnforced(t, { ...scene, friend: again }, 'by the links that were made again')
  t.deepEqual(await degradedWhats(agent), [])
})

kernelTest('a program that the verifier refuses leaves the attached one at work', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeScene(lab)
  const objects = join(scene.node.stateFolder, 'objects')
  mkdirSync(objects)
  for (const name of readdirSync(join(root, 'build/bpf'))) copyFileSync(join(root, 'build/bpf', name), join(objects, name))
  await kill(await start(scene))
  copyFileSync(join(root, 'build/fixtures/refused.bpf.o'), join(objects, 'tc_endpoint.bpf.o'))
  const agent = await start(scene, '--bpf-objects', objects)
  const { ok, degraded } = await agent.get<Status>('/v1/status')
  t.false(ok)
  t.true(degraded.some(({ what, why }) => what === 'programs of tc_endpoint.bpf.o' && /refused program xdp_unchecked/.test(why)))
  await isEnforced(t, scene, 'with the earlier program')
  scene.folder.write('policy', ciliumPolicy('server', 'server', { ingress: [{ fromEndpoints: apps('stranger') }] }))
  await eventually(t, 'policy still changes', async () => (await outcome(scene.stranger, scene.server)) === 'answered')
  const late = await scene.node.addWorkload({ name: 'late', number: 19, labels: { app: 'late' } })
  await agent.apply(late.manifest())
  const endpoints = async () => (await agent.get<{ items: Endpoint[] }>('/v1/endpoints')).items
  t.like((await endpoints()).find(({ name }) => name === 'default/late'), { state: 'waiting', reason: 'its programs are not attached yet' })
  copyFileSync(join(root, 'build/bpf/tc_endpoint.bpf.o'), join(objects, 'tc_endpoint.bpf.o'))
  await eventually(t, 'the object is loaded once the kernel takes it', async () => (await agent.get<Status>('/v1/status')).ok, 15_000)
  t.deepEqual((await endpoints()).filter(({ state }) => state !== 'ready'), [])
})

kernelTest('a map that is full refuses the change whole', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeScene(lab)
  const agent = await start(scene, '--map-size', 'addresses=32')
  const many = Array.from({ length: 40 }, (_, index) => ({
    apiVersion: 'sluice.io/v1',
    kind: 'Workload',
    metadata: { name: `w${index}`, namespace: 'far', labels: {} },
    spec: { addresses: [`10.99.0.${index + 1}`] },
  }))
  const failure = await t.throwsAsync(agent.apply(...many), { code: 'API' })
  t.regex(failure?.message ?? '', /CAPACITY.*no room for more addresses; start sluiced with --map-size addresses=N, N above 32/)
  const { items } = await agent.get<{ items: PolicyItem[] }>('/v1/policies')
  t.is(items.length, 1)
  await eventually(t, 'what was refused is taken back', async () => (await agent.get<Status>('/v1/status')).ok, 15_000)
  await isEnforced(t, scene, 'after the refusal')
  await agent.apply(...many.slice(0, 3))
  t.pass('what fits is still taken')
})

kernelTest('whether the host may pass policy, and whether allowed flows are reported, can be switched off', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeScene(lab)
  const { node, server } = scene
  const hostReaches = async () => (await node.request({ address: server.addresses.ipv4, port: 80, timeoutMs: 400 })).outcome
  const verdicts = async (agent: Agent) => new Set((await agent.lines<Flow>('/v1/flows')).map(({ verdict }) => verdict))
  const first = await start(scene)
  t.is(await hostReaches(), 'answered')
  await isEnforced(t, scene, 'by default')
  t.deepEqual(await verdicts(first), new Set(['forwarded', 'dropped']))
  await kill(first)
  const second = await start(scene, '--allow-host=false', '--report-flows=false')
  t.is(await hostReaches(), 'timeout')
  await isEnforced(t, scene, 'with both off')
  t.deepEqual(await verdicts(second), new Set(['dropped']))
})

kernelTest('overlapping VIPs: the newcomer is refused, the first goes on', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeScene(lab)
  const agent = await start(scene)
  const balancer = (name: string, address: string, forwarding = 'ipip'): object => ({
    apiVersion: 'sluice.io/v1',
    kind: 'LoadBalancer',
    metadata: { name, namespace: 'default' },
    spec: { addresses: [address], forwarding, ports: [{ port: 80 }], backends: [{ addresses: ['10.77.0.21'] }] },
  })
  await agent.apply(balancer('first', '10.77.9.1'))
  await t.throwsAsync(agent.apply(balancer('second', '10.77.9.1')), { code: 'API', message: /CONFLICT.*first/ })
  await t.throwsAsync(agent.apply(balancer('third', 'fd77:9::1', 'nat')), { code: 'API', message: /family/ })
  const { items } = await agent.get<{ items: Service[] }>('/v1/services')
  t.deepEqual(items.map(({ name, state }) => `${name} ${state}`), ['first programmed'])
})

kernelTest('a second agent on the same pins, or on the socket of one that answers, is refused and changes nothing', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeScene(lab)
  const { node } = scene
  const agent = await start(scene)
  const second = async (...options: string[]): Promise<string> =>
    (await node.run([sluiced, '--state-dir', join(node.stateFolder, 'second'), '--socket', agent.socket, ...options], { allowFailure: true })).stderr
  const { pid } = await agent.get<Status>('/v1/status')
  t.regex(await second('--bpffs', node.bpffs), new RegExp(`pinned datapath in .* is in use by another sluiced \\(process ${pid}\\); stop that agent`))
  t.regex(await second('--bpffs', `${node.bpffs}/second`), /another process answers on .*; stop that agent/)
  t.true((await agent.get<Status>('/v1/status')).ok)
  await isEnforced(t, scene, 'after second agents')
})

kernelTest('a stopped agent leaves its datapath at work until it is cleaned up', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeScene(lab)
  const { node, server } = scene
  const agent = await start(scene)
  const cleanup = (): ReturnType<typeof node.run> =>
    node.run([sluiced, 'cleanup', '--state-dir', node.stateFolder, '--bpffs', node.bpffs], { allowFailure: true })
  t.regex((await cleanup()).stderr, /in use by another sluiced/)
  agent.service.kill('SIGTERM')
  while (agent.service.isAlive) await sleep(10)
  t.false(existsSync(agent.socket))
  await isEnforced(t, scene, 'with no agent')
  const { status, stdout } = await cleanup()
  t.is(status, 0)
  t.regex(stdout, /removed [1-9]\d* links and [1-9]\d* maps/)
  t.false(existsSync(node.bpffs))
  const { stdout: links } = await node.run(['bpftool', 'net', 'show', 'dev', server.interface])
  t.notRegex(links, /from_endpoint|to_endpoint/)
})

kernelTest('--cgroup is where the agent runs; a folder that is none is refused with the reason', async (t) => {
  await using lab = await Lab.create()
  const scene = await makeScene(lab)
  const folder = join(scene.node.stateFolder, 'no-cgroup')
  const refused = await scene.node.run([sluiced, '--state-dir', scene.node.stateFolder, '--cgroup', folder], { allowFailure: true })
  t.is(refused.status, 2)
  t.regex(refused.stderr, /cannot enter the cgroup .*no cgroup2/)
  const agent = await start(scene)
  const { pid } = await agent.get<Status>('/v1/status')
  t.regex(readFileSync(`/proc/${pid}/cgroup`, 'utf8'), new RegExp(`^0::/${scene.node.namespace}$`, 'm'))
})
