// Whatever happened, the agent comes to what one that starts on the same state comes to: it tells the engine the same,
// shows the same and keeps the same numbers.
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import test from 'ava'
import fc from 'fast-check'
import type { DocumentName } from './api/index.ts'
import { Convergence } from './convergence.ts'
import { Logger } from './log.ts'
import { inverseOf, originName, readApplied } from './sources/applied.ts'
import { NUMBER_SPACES, type NumberSpace, Store } from './store.ts'
import { TableFiller } from './table-filler.ts'
import { Tables } from './tables.ts'
import { FakeInterfaces, FakeKernel } from './testing/fakes.ts'
import { ChangeQueue } from './worker/change-queue.ts'

const LABELS = ['{app: web}', '{app: db}', '{}'] as const
const workload = (number: number, labels: string, more = ''): string =>
  `{apiVersion: sluice.io/v1, kind: Workload, metadata: {name: w${number}, namespace: demo, labels: ${labels}}, spec: {addresses: [10.77.1.${number}]${more}}}`
const cilium = (spec: string): string => `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: web, namespace: demo}, spec: ${spec}}`
const hostPolicy = (selector: string): string =>
  `{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: nodes}, spec: {nodeSelector: ${selector}, ingressDeny: [{}]}}`
const balancer = (backends: readonly string[]): string =>
  `{apiVersion: sluice.io/v1, kind: LoadBalancer, metadata: {name: edge}, spec: {addresses: [10.3.0.1], ports: [{port: 80}], backends: [{addresses: [${backends.join()}]}]}}`
const FAULTY = 'kind: ['

/** What each file, or each document that is applied, may hold. */
const VARIANTS: readonly (readonly string[])[] = [
  ...[1, 2].map((number) => [
    ...LABELS.flatMap((labels) => [workload(number, labels), workload(number, labels, `, interface: sl-${number}`)]),
    workload(number, '{}', ', init: true').replace(', labels: {}', ''),
  ]),
  LABELS.map((labels) => `{apiVersion: v1, kind: Namespace, metadata: {name: demo, labels: ${labels}}}`),
  [cilium('{endpointSelector: {}, egress: [{toCIDRSet: [{cidrGroupRef: out}]}]}'), cilium('{endpointSelector: {}, ingressDeny: [{}], egress: [{}]}')],
  ['192.0.2.0/24', '198.51.100.0/24'].map((prefix) => `{apiVersion: cilium.io/v2, kind: CiliumCIDRGroup, metadata: {name: out}, spec: {externalCIDRs: [${prefix}]}}`),
  LABELS.flatMap((labels) => ['10.0.1.1', '10.0.1.2'].map((address) => `{apiVersion: v1, kind: Node, metadata: {name: node, labels: ${labels}}, status: {addresses: [{type: InternalIP, address: ${address}}]}}`)),
  [['10.2.0.1'], ['10.2.0.1', '10.2.0.2']].map(balancer),
  ['{}', '{matchLabels: {app: web}}'].map(hostPolicy),
]

const NAMES = VARIANTS.map(([text = '']) => readApplied([{ text, file: 'f.yaml' }])[0]?.manifest).map((manifest) => manifest && { kind: manifest.kind, namespace: manifest.namespace, name: manifest.name })

type Failures = Pick<FakeKernel, 'refusal' | 'mapFailure' | 'serviceFailure'>

const WORKS: Failures = { refusal: undefined, mapFailure: undefined, serviceFailure: undefined }
const FAILURES: readonly Failures[] = [
  WORKS,
  { ...WORKS, refusal: Object.assign(new Error('no room'), { code: 'CAPACITY' }) },
  { ...WORKS, mapFailure: { code: 'ENOMEM', message: 'no memory' } },
  { ...WORKS, serviceFailure: new Error('no memory') },
]

type Event =
  | { readonly what: 'content'; readonly slot: number; readonly text: string | undefined }
  | { readonly what: 'interface'; readonly number: number; readonly ifindex: number | undefined }
  | { readonly what: 'addresses'; readonly addresses: readonly string[] }
  | { readonly what: 'failures'; readonly failures: Failures }
  | { readonly what: 'turn' | 'rest' | 'kill' }

/** What no two documents may say at a time is for the tests of contradictions: each stands in a file, or is applied. */
const isFile = (slot: number): boolean => slot % 2 === 0
const content = fc.oneof(
  ...VARIANTS.map((texts, slot) =>
    fc.record({ what: fc.constant('content' as const), slot: fc.constant(slot), text: fc.constantFrom(undefined, ...texts, ...(isFile(slot) ? [FAULTY, ''] : [])) }),
  ),
)
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 14, arbitrary: content },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('interface' as const), number: fc.constantFrom(1, 2), ifindex: fc.constantFrom(undefined, 7, 8) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('addresses' as const), addresses: fc.subarray(['10.0.1.1', '10.0.1.9']) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('failures' as const), failures: fc.constantFrom(...FAILURES) }) },
  { weight: 6, arbitrary: fc.record({ what: fc.constant('turn' as const) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constantFrom('rest' as const, 'kill' as const) }) },
)

class Agent {
  readonly kernel = new FakeKernel()
  readonly tables = new Tables()
  readonly store: Store
  readonly convergence: Convergence
  readonly #changes: ChangeQueue
  #listed = Promise.resolve()

  constructor(stateDir: string, interfaces: FakeInterfaces) {
    this.store = Store.open(stateDir)
    this.convergence = new Convergence({
      options: {
        bpffs: '/b', bpfObjects: '/o', mapSizes: {}, xdpMode: 'auto', allowHost: true, reportFlows: true,
        uplink: 'eth0', workloadRanges: ['10.77.1.0/24'], denyAnswer: 'drop', hostPolicy: 'enforce', hostAllow: [], clusterName: 'default',
      },
      store: this.store,
      kernel: this.kernel,
      interfaces,
      log: new Logger('error', () => undefined),
      onChange: () => filler.show(),
    })
    const filler = new TableFiller(this.tables, this.convergence, this.store)
    this.#changes = new ChangeQueue(async () => void (await this.convergence.converge()))
  }

  async start(files: ReadonlyMap<string, string>): Promise<void> {
    await this.convergence.start()
    await this.list(files)
    while (this.convergence.kernelStart === undefined) await setImmediate()
  }

  /** One listing after the other, as their source gives them. */
  list(files: ReadonlyMap<string, string>): Promise<void> {
    const listing = { files: new Map([...files].map(([file, text]) => [file, { text }])), unreadable: new Map() }
    return (this.#listed = this.#listed.then(() => this.convergence.foldersListed(listing)))
  }

  /** Or deletes, where there is no text; as a user does who is told of a refusal and leaves it at that. */
  async apply(name: DocumentName, text: string | undefined): Promise<void> {
    const submitted = this.#changes.submit(() => {
      const { sources } = this.convergence
      const change = text === undefined ? { kept: [], forgotten: [name] } : { kept: [{ ...name, text }], forgotten: [] }
      const inverse = inverseOf(change, (each) => sources.textOf(originName(each)))
      sources.changeApplied(change)
      return { undo: () => sources.takeBack(inverse), answer: () => undefined }
    })
    await submitted.catch(() => undefined)
  }

  /** Everything that can fail works: nothing is left to do when it comes back. */
  async rest(): Promise<void> {
    Object.assign(this.kernel, WORKS)
    await this.#listed
    await this.#changes.submit(() => ({ undo: () => undefined, answer: () => undefined }))
    await this.convergence.converge()
    for (let turn = 0; turn < 20; turn++) await setImmediate()
  }

  /** All that there is to tell two agents apart. */
  get state() {
    const spaces = Object.keys(NUMBER_SPACES) as NumberSpace[]
    return {
      inputs: new Map([...this.kernel.inputs].sort(byKey)),
      services: this.kernel.services.map(text).sort(),
      numbers: spaces.map((space) => [space, [...this.store.numbersOf(space)].sort(byKey)]),
      tables: this.tables.all.map((table) => [table.name, table.list().items.map(text).sort()]),
      lastGood: new Map([...this.store.lastGood()].sort(byKey)),
      problems: this.convergence.sources.problems.map(text).sort(),
    }
  }

  async stop(): Promise<void> {
    await this.convergence.stop()
    this.store[Symbol.dispose]()
  }
}

const byKey = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1)
const text = (item: unknown): string => JSON.stringify(item)

/** A node whose agent comes and goes. */
class World {
  readonly #folder = mkdtempSync(join(tmpdir(), 'sluice-random-'))
  readonly #files = new Map<string, string>()
  readonly #interfaces = new FakeInterfaces()
  /** Those that were killed too. */
  readonly #agents: Agent[] = []

  constructor() {
    this.#interfaces.watch(() => this.#agent.convergence.interfacesChanged())
  }

  get #agent(): Agent {
    return this.#agents.at(-1) as Agent // Nothing is played before the first one is started.
  }

  /** On what the agent before has on its disk, which is not all that it has written. */
  async start(): Promise<void> {
    const stateDir = join(this.#folder, String(this.#agents.length))
    if (this.#agents.length === 0) mkdirSync(stateDir)
    else cpSync(join(this.#folder, String(this.#agents.length - 1)), stateDir, { recursive: true })
    this.#agents.push(new Agent(stateDir, this.#interfaces))
    await this.#agent.start(this.#files)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const agent of this.#agents) await agent.stop()
    rmSync(this.#folder, { recursive: true })
  }

  async play(event: Event): Promise<void> {
    const { kernel } = this.#agent
    switch (event.what) {
      case 'content':
        return void this.#setContent(event.slot, event.text)
      case 'interface':
        if (event.ifindex === undefined) return this.#interfaces.remove(`sl-${event.number}`)
        return this.#interfaces.add(`sl-${event.number}`, event.ifindex)
      case 'addresses':
        return this.#interfaces.add('eth0', 2, event.addresses)
      case 'failures':
        return void Object.assign(kernel, event.failures)
      case 'turn':
        return setImmediate()
      case 'rest':
        return this.#agent.rest()
      case 'kill':
        return this.start()
    }
  }

  #setContent(slot: number, text: string | undefined): Promise<void> {
    if (!isFile(slot)) return this.#agent.apply(NAMES[slot] as DocumentName, text)
    if (text === undefined) this.#files.delete(`/m/${slot}.yaml`)
    else this.#files.set(`/m/${slot}.yaml`, text)
    return this.#agent.list(this.#files)
  }

  /** What this agent came to, and what one comes to that starts on its files and its disk. */
  async states() {
    await this.#agent.rest()
    const actual = this.#agent.state
    this.#agent.store.commit()
    await this.start()
    await this.#agent.rest()
    return { actual, expected: this.#agent.state }
  }
}

test('an agent comes to what one comes to that starts on the same state, whatever came before', async (t) => {
  const property = fc.asyncProperty(fc.array(event, { maxLength: 40 }), async (events) => {
    await using world = new World()
    await world.start()
    for (const event of events) await world.play(event)
    const { actual, expected } = await world.states()
    assert.deepStrictEqual(actual, expected)
  })
  await fc.assert(property, { numRuns: 200, includeErrorInReport: true })
  t.pass()
})
