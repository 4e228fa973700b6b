import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { Convergence } from './convergence.ts'
import { Logger } from './log.ts'
import { type LastNumbers, Store } from './store.ts'
import { TableFiller } from './table-filler.ts'
import { Tables } from './tables.ts'
import { FakeInterfaces, FakeKernel } from './testing/fakes.ts'

const UPLINK = { name: 'eth0', ifindex: 2 }
const WEB = `
apiVersion: sluice.io/v1
kind: Workload
metadata: {name: web, namespace: demo, labels: {app: web}}
spec: {addresses: [10.77.1.11], interface: sl-web}
`
const POLICY = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: demo}
spec: {podSelector: {matchLabels: {app: web}}, ingress: []}
`
const balancer = (backend: string): string => `
apiVersion: sluice.io/v1
kind: LoadBalancer
metadata: {name: edge, namespace: demo}
spec: {addresses: [10.77.9.1], tableSize: 251, ports: [{port: 80, protocol: TCP}], backends: [{name: b, addresses: [${backend}]}]}
`

class Node {
  readonly kernel = new FakeKernel()
  readonly interfaces = new FakeInterfaces()
  readonly store: Store
  readonly convergence: Convergence

  constructor(stateDir: string, last: LastNumbers = {}) {
    this.store = Store.open(stateDir, last)
    this.convergence = new Convergence({
      options: {
        bpffs: '/b', bpfObjects: '/o', mapSizes: {}, xdpMode: 'auto', allowHost: true, reportFlows: true,
        uplink: UPLINK.name, workloadRanges: ['10.77.1.0/24'], denyAnswer: 'drop', hostPolicy: 'enforce', hostAllow: [], clusterName: 'eu-1',
      },
      store: this.store,
      kernel: this.kernel,
      interfaces: this.interfaces,
      log: new Logger('error', () => undefined),
      onChange: () => undefined,
    })
    this.interfaces.watch(() => this.convergence.interfacesChanged())
    void this.convergence.start()
  }

  /** Resolves when all that follows from the listing is programmed. */
  async files(files: Record<string, string>, unreadable: string[] = []): Promise<void> {
    await this.convergence.foldersListed({
      files: new Map(Object.entries(files).map(([name, text]) => [name, { text }])),
      unreadable: new Map(unreadable.map((folder) => [folder, 'ENOENT'])),
    })
    while (this.convergence.kernelStart === undefined) await sleep(1)
    await this.convergence.converge().catch(() => undefined)
  }

  async stop(): Promise<void> {
    await this.convergence.stop()
    this.store[Symbol.dispose]()
  }
}

async function setUp(t: ExecutionContext, last: LastNumbers = {}): Promise<{ node: Node; restart: () => Promise<Node> }> {
  const stateDir = mkdtempSync(join(tmpdir(), 'sluice-converge-'))
  let node = new Node(stateDir, last)
  t.teardown(async () => {
    await node.stop()
    rmSync(stateDir, { recursive: true })
  })
  const restart = async (): Promise<Node> => {
    await node.stop()
    return (node = new Node(stateDir))
  }
  return { node, restart }
}

test('a workload becomes an endpoint when its interface exists, attached before it is programmed', async (t) => {
  const { node } = await setUp(t)
  await node.files({ '/m/a.yaml': WEB })
  t.deepEqual(node.kernel.keys('endpoint'), [])
  t.like(node.convergence.desired.endpoints[0], { state: 'waiting' })
  t.deepEqual(node.kernel.keys('address'), ['address 10.77.1.0/120'], 'only the range: nobody has the address yet')

  node.interfaces.add('sl-web', 7)
  await node.convergence.converge()
  t.deepEqual(node.kernel.keys('endpoint'), ['endpoint 7'])
  t.deepEqual([...node.kernel.attached], ['from_endpoint sl-web', 'to_endpoint sl-web'])
})

test('the identity of a workload has the name of the cluster that the agent was given', async (t) => {
  const { node } = await setUp(t)
  await node.files({ '/m/a.yaml': WEB })
  const labels = [...node.kernel.inputs.values()].flatMap((input) => ('labels' in input ? input.labels : []))
  t.true(labels.includes('k8s:io.cilium.k8s.policy.cluster=eu-1'), labels.join())
})

test('nothing is told and nothing pruned before every folder has listed once', async (t) => {
  const { node } = await setUp(t)
  await node.files({ '/m/a.yaml': POLICY }, ['/n'])
  t.is(node.kernel.inputs.size, 0)
  t.is(node.kernel.restoresFinished, 0)
  await t.throwsAsync(node.convergence.converge(), { code: 'UNAVAILABLE', message: /\/n/ })
  await node.files({ '/m/a.yaml': POLICY })
  t.deepEqual(node.kernel.keys('policy'), ['policy NetworkPolicy/demo/web'])
  t.is(node.kernel.restoresFinished, 1)
  await node.files({})
  t.is(node.kernel.restoresFinished, 1, 'the restore ends once')
  t.deepEqual(node.kernel.keys('policy'), [])
})

test('a folder that comes later and holds nothing completes the listing too', async (t) => {
  const { node } = await setUp(t)
  await node.files({}, ['/m'])
  t.false(node.convergence.enforced)
  await node.convergence.foldersListed({ files: new Map(), unreadable: new Map() })
  for (let turn = 0; turn < 1000 && !node.convergence.enforced; turn++) await sleep(1)
  t.true(node.convergence.enforced)
})

test('a folder that vanishes keeps what it held', async (t) => {
  const { node } = await setUp(t)
  await node.files({ '/m/a.yaml': POLICY, '/n/b.yaml': WEB })
  await node.files({ '/n/b.yaml': WEB }, ['/m'])
  t.deepEqual(node.kernel.keys('policy'), ['policy NetworkPolicy/demo/web'])
})

test('the last good version of a file holds also after a restart', async (t) => {
  const { node, restart } = await setUp(t)
  await node.files({ '/m/a.yaml': POLICY })
  const again = await restart()
  await again.files({ '/m/a.yaml': POLICY.replace('podSelector', 'podSelektor') })
  t.deepEqual(again.kernel.keys('policy'), ['policy NetworkPolicy/demo/web'])
  t.like(again.convergence.sources.problems[0], { name: '/m/a.yaml', lastGood: true })
})

test('what the engine refuses is no last good version, and is tried again', async (t) => {
  const { node } = await setUp(t)
  node.kernel.refusal = Object.assign(new Error('no room for rows'), { code: 'CAPACITY' })
  await node.files({ '/m/a.yaml': POLICY })
  t.is(node.store.lastGood().size, 0)
  t.is(node.convergence.reconcilers.find(({ name }) => name === 'policy')?.state.error?.code, 'CAPACITY')
  node.kernel.refusal = undefined
  while (node.store.lastGood().size === 0) await sleep(5)
  t.deepEqual(node.kernel.keys('policy'), ['policy NetworkPolicy/demo/web'])
})

test('what was applied through the API cannot take the name of a file', async (t) => {
  const { node } = await setUp(t)
  await node.files({ '/m/a.yaml': POLICY })
  const apply = (text: string) => node.convergence.sources.changeApplied({ kept: [{ kind: 'NetworkPolicy', namespace: 'demo', name: 'x', text }], forgotten: [] })
  const details = apply(POLICY)
  t.is(details.length, 1)
  t.is(details[0]?.other?.file, '/m/a.yaml')
  const other = POLICY.replace('name: web', 'name: other')
  t.is(node.convergence.sources.textOf('api:NetworkPolicy/demo/x'), undefined, 'nothing of it is left')
  t.deepEqual(apply(other), [])
})

test('numbers stay the same over a restart', async (t) => {
  const { node, restart } = await setUp(t)
  await node.files({ '/m/a.yaml': WEB + '---' + WEB.replaceAll('web', 'api').replace('.11', '.12') })
  node.interfaces.add('sl-web', 7)
  await node.convergence.converge()
  const before = node.kernel.inputs.get('endpoint 7')
  const again = await restart()
  again.interfaces.add('sl-web', 7)
  await again.files({ '/m/a.yaml': WEB })
  t.deepEqual(again.kernel.inputs.get('endpoint 7'), before)
})

test('a file without effect on the datapath has a last good version too', async (t) => {
  const { node } = await setUp(t)
  const namespace = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: demo}\n'
  await node.files({ '/m/a.yaml': POLICY })
  await node.files({ '/m/a.yaml': POLICY, '/m/n.yaml': namespace })
  t.is(node.store.lastGood().get('/m/n.yaml'), namespace)
})

test('numbers that nothing uses any more are given back', async (t) => {
  const { node } = await setUp(t)
  await node.files({ '/m/a.yaml': WEB, '/m/p.yaml': POLICY })
  node.interfaces.add('sl-web', 7)
  await node.convergence.converge()
  t.deepEqual([node.store.numbersOf('rule').size, node.store.numbersOf('identity').size], [1, 1])
  await node.files({})
  t.deepEqual([node.store.numbersOf('rule').size, node.store.numbersOf('identity').size], [0, 0])
})

test('numbers of a state that is being computed are not given back', async (t) => {
  const { node } = await setUp(t)
  const policy = (name: string) => POLICY.replace('name: web', `name: ${name}`)
  const rulesOf = (name: string) => [...node.store.numbersOf('rule').keys()].filter((rule) => rule.includes(name))
  const [telling, told, finding] = [Promise.withResolvers<void>(), Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const { applyPolicy } = node.kernel
  const policyRuns = () => node.convergence.reconcilers.find(({ name }) => name === 'policy')?.state.runs ?? 0
  node.interfaces.add('sl-web', 7)
  await node.files({ '/m/a.yaml': policy('first') })
  node.kernel.applyPolicy = async (request) => {
    telling.resolve()
    await told.promise
    return applyPolicy(request)
  }
  const second = node.files({ '/m/a.yaml': policy('first'), '/m/b.yaml': policy('second') })
  await telling.promise
  const runsBefore = policyRuns()
  node.interfaces.peerMac = async () => {
    await finding.promise
    return '02:00:00:00:00:01'
  }
  const third = node.files({ '/m/a.yaml': policy('first'), '/m/c.yaml': policy('third'), '/m/w.yaml': WEB })
  while (rulesOf('third').length === 0) await sleep(1)
  told.resolve()
  while (policyRuns() === runsBefore) await sleep(1)
  const whileComputed = rulesOf('third')
  finding.resolve()
  await Promise.all([second, third])
  t.is(whileComputed.length, 1)
  t.deepEqual([rulesOf('first').length, rulesOf('second').length, rulesOf('third').length], [1, 0, 1])
})

test('nor are those of backends that became desired while others were programmed', async (t) => {
  const { node } = await setUp(t)
  const [programming, programmed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const { reconcileServices } = node.kernel
  await node.files({})
  node.kernel.reconcileServices = async (frontends) => {
    programming.resolve()
    await programmed.promise
    return reconcileServices(frontends)
  }
  const first = node.files({ '/m/lb.yaml': balancer('10.77.0.21') })
  await programming.promise
  const second = node.files({ '/m/lb.yaml': balancer('10.77.0.22') })
  while (node.store.numbersOf('backend').size < 2) await sleep(1)
  programmed.resolve()
  await Promise.all([first, second])
  t.deepEqual([...node.store.numbersOf('backend').keys()], ['10.77.0.22 80/TCP'])
})

test('what a refused first listing told the engine is taken back by the next one', async (t) => {
  const { node } = await setUp(t)
  node.kernel.refusal = Object.assign(new Error('no room for rows'), { code: 'CAPACITY' })
  await node.files({ '/m/a.yaml': POLICY, '/m/b.yaml': POLICY.replace('name: web', 'name: other') })
  t.is(node.kernel.keys('policy').length, 2)
  node.kernel.refusal = undefined
  await node.files({ '/m/a.yaml': POLICY })
  t.deepEqual(node.kernel.keys('policy'), ['policy NetworkPolicy/demo/web'])
})

test('what comes while a map refuses writes is told once it takes them again', async (t) => {
  const { node } = await setUp(t)
  await node.files({})
  node.kernel.mapFailure = { code: 'SYSTEM', message: 'no memory' }
  await node.files({ '/m/a.yaml': POLICY })
  await node.files({ '/m/a.yaml': POLICY, '/m/b.yaml': POLICY.replace('name: web', 'name: other') })
  t.deepEqual(node.kernel.keys('policy'), ['policy NetworkPolicy/demo/web'], 'taken before it was known that the map refuses')
  node.kernel.mapFailure = undefined
  await node.convergence.converge()
  t.deepEqual(node.kernel.keys('policy'), ['policy NetworkPolicy/demo/other', 'policy NetworkPolicy/demo/web'])
})

test('a service that there are no numbers for degrades the status until there are, and hinders no other change', async (t) => {
  const { node } = await setUp(t, { backend: 1 })
  const sources = () => node.convergence.reconcilers.find(({ name }) => name === 'sources')?.state
  const two = balancer('10.77.0.21').replace('backends: [', 'backends: [{name: more, addresses: [10.77.0.22]}, ')
  await node.files({ '/m/lb.yaml': two })
  t.is(sources()?.error?.code, 'CAPACITY')
  const runs = sources()?.runs ?? 0
  while ((sources()?.runs ?? 0) === runs) await sleep(5)
  t.is(sources()?.error?.code, 'CAPACITY', 'tried again, and told still')
  t.deepEqual(node.convergence.sources.changeApplied({ kept: [{ kind: 'NetworkPolicy', namespace: 'demo', name: 'web', text: POLICY }], forgotten: [] }), [])
  await t.notThrowsAsync(node.convergence.converge())
  t.deepEqual(node.kernel.keys('policy'), ['policy NetworkPolicy/demo/web'])
  const other = two.replace('name: edge', 'name: other').replace('9.1', '9.2')
  node.convergence.sources.changeApplied({ kept: [{ kind: 'LoadBalancer', namespace: 'demo', name: 'other', text: other }], forgotten: [] })
  await t.throwsAsync(node.convergence.converge(), { code: 'CAPACITY' }, 'one more of them is this change’s fault')
  await node.files({ '/m/lb.yaml': balancer('10.77.0.21') })
  const programmed = () => node.convergence.programmedServices?.frontends.map(({ service }) => service.name)
  while (programmed()?.includes('edge') !== true) await sleep(5)
  t.like(node.convergence.desired.frontends[0]?.service, { name: 'edge' })
})

test('nor does it hide that a change could not be taken up for another reason', async (t) => {
  const { node } = await setUp(t, { backend: 1 })
  await node.files({ '/m/lb.yaml': balancer('10.77.0.21').replace('backends: [', 'backends: [{name: more, addresses: [10.77.0.22]}, ') })
  const { list } = node.interfaces
  node.interfaces.list = async () => Promise.reject(new Error('no netlink'))
  node.convergence.interfacesChanged()
  await t.throwsAsync(node.convergence.converge(), { message: 'no netlink' })
  node.interfaces.list = list
})

test('a change of a service that was taken back is not made later, when there are numbers', async (t) => {
  const { node } = await setUp(t, { backend: 2 })
  const [one, two] = [balancer('10.77.0.21'), balancer('10.77.0.21').replace('backends: [', 'backends: [{name: more, addresses: [10.77.0.22]}, ')]
  const other = balancer('10.77.0.23').replace('name: edge', 'name: other').replace('9.1', '9.2')
  await node.files({ '/m/a.yaml': one, '/m/b.yaml': other })
  await node.files({ '/m/a.yaml': two, '/m/b.yaml': other })
  await node.files({ '/m/a.yaml': one, '/m/b.yaml': other })
  t.is(node.convergence.desired.unnumbered.size, 0)
  await node.files({ '/m/a.yaml': one })
  t.deepEqual(node.convergence.desired.frontends.map(({ frontend }) => frontend.backends.length), [1])
})

test('a balancer’s backend among the node’s own workloads is refused, where it stands', async (t) => {
  const { node } = await setUp(t)
  await node.files({ '/m/lb.yaml': balancer('10.77.1.11'), '/m/p.yaml': POLICY })
  t.deepEqual(node.convergence.desired.frontends, [])
  t.deepEqual(node.convergence.sources.problems.map(({ name }) => name), ['/m/lb.yaml'])
  t.regex(node.convergence.sources.problems[0]?.details[0]?.message ?? '', /10\.77\.1\.11 lies in 10\.77\.1\.0\/24/)
  t.deepEqual(node.kernel.keys('policy'), ['policy NetworkPolicy/demo/web'], 'other files hold')
  await node.files({ '/m/lb.yaml': balancer('10.77.0.21') })
  t.is(node.convergence.desired.frontends.length, 1)
})

test('what cannot be attached is said in the answer, does not keep policy from changing, and shows at the endpoint', async (t) => {
  const { node } = await setUp(t)
  const tables = new Tables()
  const filler = new TableFiller(tables, node.convergence, node.store)
  node.kernel.unattachable.add('to_endpoint sl-web')
  node.interfaces.add('sl-web', 7)
  await node.files({ '/m/a.yaml': WEB, '/m/p.yaml': POLICY })
  const missing = await node.convergence.converge()
  t.deepEqual(missing.map(({ what, why }) => `${what}: ${why}`), ['program to_endpoint is not attached to sl-web: no memory'])
  t.deepEqual(node.kernel.keys('policy'), ['policy NetworkPolicy/demo/web'])
  filler.show()
  t.like(tables.endpoints.get('demo/web'), { state: 'waiting', reason: 'its programs are not attached yet' })
  node.kernel.unattachable.clear()
  t.deepEqual(await node.convergence.converge(), [])
  filler.show()
  t.like(tables.endpoints.get('demo/web'), { state: 'ready' })
})

test('an object that the kernel refuses is tried again by itself', async (t) => {
  const { node } = await setUp(t)
  node.kernel.refused = [{ object: 'tc_endpoint.bpf.o', message: 'R1 is no pointer' }]
  node.convergence.start()
  const datapath = () => node.convergence.reconcilers.find(({ name }) => name === 'datapath')?.state
  while (datapath()?.error === undefined) await sleep(1)
  t.like(datapath()?.error, { message: 'tc_endpoint.bpf.o: R1 is no pointer' })
  node.kernel.refused = []
  while (datapath()?.error !== undefined) await sleep(5)
  t.deepEqual(node.convergence.kernelStart?.refused, [])
})

test('programs follow the uplink and its addresses, but not into having none', async (t) => {
  const { node } = await setUp(t)
  const wait = async (count: number) => {
    while (node.kernel.starts.length < count) await sleep(1)
  }
  await node.files({})
  const before = node.kernel.starts.length
  const change = (ifindex: number, ...addresses: string[]) => node.interfaces.add(UPLINK.name, ifindex, addresses)
  change(UPLINK.ifindex, '10.77.0.1', 'fe80::1')
  await wait(before + 1)
  const told = (uplinkIfindex: number, ...encapsulationSources: string[]) => ({ uplinkIfindex, stationMac: '02:00:00:00:00:02', encapsulationSources, vlanDevices: [] })
  t.deepEqual(node.kernel.starts.at(-1), told(UPLINK.ifindex, '10.77.0.1'))
  change(UPLINK.ifindex)
  await node.convergence.converge()
  change(UPLINK.ifindex, '10.77.0.2', 'fd77::2')
  await wait(before + 2)
  change(77)
  await wait(before + 3)
  t.deepEqual(node.kernel.starts.slice(before + 1), [UPLINK.ifindex, 77].map((ifindex) => told(ifindex, '10.77.0.2', 'fd77::2')))
})

test('an address that becomes a remote workload\'s stays known when the local one goes', async (t) => {
  const { node } = await setUp(t)
  node.interfaces.add('sl-web', 7)
  await node.files({ '/m/a.yaml': WEB })
  t.like(node.kernel.inputs.get('address 10.77.1.11/128'), { entry: { ifindex: 7 } })
  await node.files({ '/m/a.yaml': WEB.replace(', interface: sl-web', '') })
  t.like(node.kernel.inputs.get('address 10.77.1.11/128'), { entry: { ifindex: 0 } })
  t.deepEqual(node.kernel.keys('endpoint'), [])
})

test('what is taken back is so also where a file contradicts it by now', async (t) => {
  const { node } = await setUp(t)
  const { sources } = node.convergence
  const name = { kind: 'Workload', namespace: 'demo', name: 'web' }
  const kept = { ...name, text: WEB }
  await node.files({})
  sources.changeApplied({ kept: [kept], forgotten: [] })
  await node.convergence.converge()
  node.kernel.refusal = new Error('no room')
  sources.changeApplied({ kept: [{ ...name, text: WEB.replace('1.11', '1.12') }], forgotten: [] })
  await node.files({ '/m/b.yaml': WEB.replaceAll('web', 'other') })
  sources.takeBack({ kept: [kept], forgotten: [] })
  t.like(sources.problems, [{ name: 'api:Workload/demo/web', lastGood: false }])
  t.deepEqual(node.store.appliedManifests(), [kept])
  node.kernel.refusal = undefined
  await node.files({})
  t.deepEqual(sources.problems, [], 'it holds again once the other is gone')
})

test('a file that came and went while a map refused leaves no last good text', async (t) => {
  const { node } = await setUp(t)
  await node.files({})
  node.kernel.mapFailure = { code: 'ENOMEM', message: 'no memory' }
  await node.files({ '/m/a.yaml': POLICY })
  await node.files({})
  node.kernel.mapFailure = undefined
  await node.convergence.converge()
  t.is(node.store.lastGood().size, 0)
})
