// Policy in the engine: full resolution from cold, and what one change costs. JSON lines; `us` is the engine's time from
// the input to the journal, `bytes` what the journal writes (of `full`: the engine's linear memory).
// node bench/policy.ts [RULES IDENTITIES ENDPOINTS]

import { performance } from 'node:perf_hooks'
import { PeerFlags } from '../bpf/index.ts'
import { Engine, addressOf, type Change, type Label, type Policy, type Rule, type Selector } from '../engine/index.ts'

const ROUNDS = 200
const LABELS_OF_ONE_PERCENT = 100
const LABELS_OF_TEN_PERCENT = 10

interface Cost {
  readonly us: number
  readonly writes: number
  readonly bytes: number
}

function print(name: string, metric: string, value: number, rest: object = {}): void {
  console.log(JSON.stringify({ bench: 'policy', case: name, metric, value, ...rest }))
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

function costOf(changes: readonly Change[], us: number): Cost {
  const writes = changes.reduce((sum, { count }) => sum + count, 0)
  return { us, writes, bytes: changes.reduce((sum, { keys, values }) => sum + keys.length + values.length, 0) }
}

/** Median time and the last change's writes. */
function measure(engine: Engine, rounds: number, change: (round: number) => void): Cost {
  const costs = Array.from({ length: rounds }, (_, round) => {
    const start = performance.now()
    change(round)
    return costOf(engine.takeChanges(), (performance.now() - start) * 1000)
  })
  return { ...(costs.at(-1) as Cost), us: median(costs.map(({ us }) => us)) }
}

function printCost(name: string, { us, writes, bytes }: Cost): void {
  print(name, 'map_writes', writes, { us: Number(us.toFixed(1)), bytes })
}

// ---- the world ----------------------------------------------------------------------------------------------------

function selectorOf(pairs: Readonly<Record<string, string>>): Selector {
  return { requirements: Object.entries(pairs).map(([key, value]) => ({ key, operator: 'In', values: [value] })) }
}

/** One label shared by 1% of the identities, one by 10%, and some that no rule speaks of. */
function labelsOf(identity: number): Label[] {
  return [
    `k8s:app=app-${identity % LABELS_OF_ONE_PERCENT}`, `k8s:group=group-${Math.floor(identity / LABELS_OF_ONE_PERCENT) % LABELS_OF_TEN_PERCENT}`,
    'k8s:io.kubernetes.pod.namespace=demo', `k8s:release=${identity % 7}`,
  ]
}

/** Each rule has its own pair of labels and its own port; 10% deny, 1% are CIDRs with an exception. */
function ruleOf(index: number, number: number): Rule {
  const cidr = { prefix: `198.${index % 200}.0.0/16`, except: [`198.${index % 200}.${index % 256}.0/24`], workloads: false }
  const selector = selectorOf({ 'k8s:app': `app-${index % LABELS_OF_ONE_PERCENT}`, 'k8s:group': `group-${Math.floor(index / LABELS_OF_ONE_PERCENT) % LABELS_OF_TEN_PERCENT}` })
  const port = 1024 + (index % 60_000)
  return {
    number, direction: 'ingress', action: index % 10 === 3 ? 'deny' : 'allow',
    peers: [index % 100 === 50 ? { cidr } : { selector }], ports: [{ protocol: 6, first: port, last: port }],
  }
}

function policyOf(subject: string, rules: readonly Rule[], number: number): Policy {
  return { subject: selectorOf({ 'k8s:subject': subject }), tier: 'normal', priority: 0, isolates: { ingress: number }, rules, audit: false }
}

function workloadAddress(index: number): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, index >> 16 & 0xff, index >> 8 & 0xff, index & 0xff)
}

const IDENTITY_BASE = 1000
const ENDPOINT_IDENTITIES = 1 << 20
const WORKLOAD_RANGE = { address: addressOf('10.0.0.0'), prefixLength: 104 }
const MAC = new Uint8Array(6)

function addPeer(engine: Engine, index: number): void {
  engine.setIdentity(IDENTITY_BASE + index, labelsOf(index))
  engine.setAddress({ address: workloadAddress(index), prefixLength: 128, identity: IDENTITY_BASE + index, flags: 2, ifindex: 0, namedPorts: [] })
}

function addEndpoint(engine: Engine, index: number, subjects: number): void {
  const identity = ENDPOINT_IDENTITIES + (index % subjects)
  engine.setIdentity(identity, [`k8s:subject=subject-${index % subjects}`])
  engine.setEndpoint({ ifindex: index + 1, id: index + 1, identity, flags: 0, mac: MAC, nodeMac: MAC, namedPorts: [] })
}

// ---- cases --------------------------------------------------------------------------------------------------------

/** From an engine that knows nothing to all map records, in one transaction. */
async function full(name: string, rules: number, identities: number, endpoints: number, subjects: number): Promise<Engine> {
  const engine = await Engine.load()
  const policies = Array.from({ length: subjects }, (_, subject) => {
    const own = Array.from({ length: Math.ceil(rules / subjects) }, (_, i) => ruleOf(subject * Math.ceil(rules / subjects) + i, subject * 100_000 + i + 2))
    return policyOf(`subject-${subject}`, own, subject * 100_000 + 1)
  })
  const start = performance.now()
  engine.transaction(() => {
    engine.setAddress({ ...WORKLOAD_RANGE, identity: 2, flags: PeerFlags.LOCAL_RANGE, ifindex: 0, namedPorts: [] })
    policies.forEach((policy, index) => engine.setPolicy(`policy-${index}`, [policy]))
    for (let i = 0; i < endpoints; i++) addEndpoint(engine, i, subjects)
    for (let i = 0; i < identities; i++) addPeer(engine, i)
  })
  const changes = engine.takeChanges()
  const ms = performance.now() - start
  const { writes } = costOf(changes, 0)
  const { classes, entries, rows, bytes } = engine.stats()
  print(name, 'ms', Number(ms.toFixed(1)), { writes, classes, entries, rows, bytes })
  return engine
}

async function incremental(engine: Engine, identities: number): Promise<void> {
  const aim = 10_000_000 // indexes far above the peers that `full` made
  const numbers = 2_000_000
  engine.setIdentity(numbers, labelsOf(1))
  engine.takeChanges()
  printCost('new-address/existing-class', measure(engine, ROUNDS, (round) => {
    engine.setAddress({ address: workloadAddress(aim + round), prefixLength: 128, identity: numbers, flags: 2, ifindex: 0, namedPorts: [] })
  }))
  printCost('new-identity/existing-class', measure(engine, ROUNDS, (round) => {
    engine.transaction(() => {
      engine.setIdentity(numbers + 1 + round, labelsOf(round))
      engine.setAddress({ address: workloadAddress(aim + ROUNDS + round), prefixLength: 128, identity: numbers + 1 + round, flags: 2, ifindex: 0, namedPorts: [] })
    })
  }))
  printCost('new-identity/new-class', measure(engine, 20, (round) => {
    engine.transaction(() => {
      engine.setIdentity(numbers + 1000 + round, [`k8s:app=app-${round}`, `k8s:app=app-${round + 20}`, 'k8s:group=group-1', 'k8s:group=group-2'])
      engine.setAddress({ address: workloadAddress(aim + 2 * ROUNDS + round), prefixLength: 128, identity: numbers + 1000 + round, flags: 2, ifindex: 0, namedPorts: [] })
    })
  }))
  printCost('new-policy', measure(engine, 20, (round) => {
    engine.setPolicy(`extra-${round}`, [policyOf(`subject-${round % 10}`, [ruleOf(identities + round * 7, 9_000_000 + round * 2)], 9_000_001 + round * 2)])
  }))
}

const [rules = 1000, identities = 10_000, endpoints = 100] = process.argv.slice(2).map(Number)
const engine = await full('full', rules, identities, endpoints, Math.min(50, endpoints))
await incremental(engine, identities)
await full(`full/${rules}/${identities}`, rules, identities, 1, 1)
