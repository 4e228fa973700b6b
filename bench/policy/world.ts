// The world that policy is measured in: rules with a selector of two labels each, one on 1% of the identities and one
// on 10%, and identities of many kinds of workload.

import { PeerFlags } from '../../bpf/index.ts'
import { addressOf, type AddressEntry, type Engine, type Label, type Policy, type Rule, type Selector } from '../../engine/index.ts'

/** Identities of one kind differ by a label that no rule asks for. */
const KINDS = 10_000
const PAIRS_OF_TWO_KEYS = 1000
export const WORKLOAD_RANGE = { address: addressOf('10.0.0.0'), prefixLength: 104 }
const FIRST_PEER = 1000
const FIRST_SUBJECT = 1 << 20
const MAC = new Uint8Array(6)

export interface World {
  readonly rules: number
  readonly identities: number
  readonly endpoints: number
  readonly subjects: number
  /** Of ten policies one is of tier admin, one of tier baseline, and one in audit mode. */
  readonly tiers?: boolean
}

/** A world to resolve in full, as policy.ts hands it to full.ts. */
export interface Case extends World {
  readonly name: string
  /** Every identity matches selectors of its own. */
  readonly distinct?: boolean
  /** One rule more, which matches all. */
  readonly everything?: boolean
  /** Print what was written, with its `bytes`, instead of what the engine holds. */
  readonly written?: boolean
}

/** Keys of labels on 1% and on 10%: enough for a pair of labels of its own for every rule. */
function keysFor(rules: number): readonly [apps: number, groups: number] {
  const apps = Math.ceil(Math.sqrt(rules / PAIRS_OF_TWO_KEYS))
  return [apps, Math.ceil(rules / PAIRS_OF_TWO_KEYS / apps)]
}

export function selectorOf(pairs: Readonly<Record<string, string>>): Selector {
  return { requirements: Object.entries(pairs).map(([key, value]) => ({ key, operator: 'In', values: [value] })) }
}

/** Any two keys spread the kinds differently. */
function valueOf(kind: number, key: number, values: number): number {
  return key === 0 ? kind % values : (Math.imul(kind, 0x9e3779b1 + 2 * key) >>> 8) % values
}

export function labelsOf(identity: number, { rules }: Pick<World, 'rules'>): Label[] {
  const [apps, groups] = keysFor(rules)
  const kind = identity % KINDS
  const labels = ['k8s:io.kubernetes.pod.namespace=demo', `k8s:release=${Math.floor(identity / KINDS)}`]
  for (let key = 0; key < apps; key++) labels.push(`k8s:app${key}=app-${valueOf(kind, key, 100)}`)
  for (let key = 0; key < groups; key++) labels.push(`k8s:group${key}=group-${valueOf(Math.floor(kind / 100), key, 10)}`)
  return labels
}

/** 10% deny, 1% are CIDRs with an exception; every rule has a port of its own. */
export function ruleOf(index: number, { rules }: Pick<World, 'rules'>): Rule {
  const [apps, groups] = keysFor(rules)
  const app = index % (apps * 100)
  const group = Math.floor(index / (apps * 100)) % (groups * 10)
  const selector = selectorOf({
    [`k8s:app${Math.floor(app / 100)}`]: `app-${app % 100}`, [`k8s:group${Math.floor(group / 10)}`]: `group-${group % 10}`,
  })
  const net = Math.floor(index / 100)
  const cidr = { prefix: `198.${net % 256}.0.0/16`, except: [`198.${net % 256}.${net % 200}.0/24`], workloads: false }
  const port = 1024 + (index % 60_000)
  return {
    number: 2 * index + 2, direction: 'ingress', action: index % 10 === 3 ? 'deny' : 'allow',
    peers: [index % 100 === 50 ? { cidr } : { selector }], ports: [{ protocol: 6, first: port, last: port }],
  }
}

export function policyOf(subject: number, rules: readonly Rule[]): Policy {
  const number = (rules[0]?.number ?? 0) + 1
  const selector = selectorOf({ 'k8s:subject': `subject-${subject}` })
  return { subject: selector, tier: 'normal', priority: 0, isolates: { ingress: number }, rules, audit: false }
}

/** The policy of one rule, for the subject whose turn it is. */
function policyOfRule(index: number, world: World): Policy {
  const rule = ruleOf(index, world)
  const policy = policyOf(index % world.subjects, [rule])
  if (world.tiers !== true) return policy
  // By the tens: by the ones rules deny, and subjects take turns.
  const kind = Math.floor(index / 10) % 10
  if (kind === 0) return { ...policy, tier: 'admin', priority: index % 1000, isolates: {}, rules: [{ ...rule, action: index % 2 === 0 ? 'pass' : rule.action }] }
  if (kind === 1) return { ...policy, tier: 'baseline', priority: index % 1000, isolates: {} }
  return { ...policy, audit: kind === 2 }
}

export function workload(index: number, identity: number): AddressEntry {
  const address = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, index >> 16 & 0xff, index >> 8 & 0xff, index & 0xff)
  return { address, prefixLength: 128, identity, flags: PeerFlags.WORKLOAD, ifindex: 0, namedPorts: [] }
}

/** A function that tells an engine all of the world: what comes from files and from the API is parsed already. */
export function worldInputs(world: World, labels = (identity: number) => labelsOf(identity, world)): (engine: Engine) => void {
  const policies = Array.from({ length: world.rules }, (_, rule) => policyOfRule(rule, world))
  // Parsed text is flat, as opposed to what template literals give.
  const identities = JSON.parse(JSON.stringify(Array.from({ length: world.identities }, (_, i) => labels(i)))) as Label[][]
  const addresses = identities.map((_, i) => workload(i, FIRST_PEER + i))
  return (engine) => {
    engine.setAddress({ ...WORKLOAD_RANGE, identity: 2, flags: PeerFlags.LOCAL_RANGE, ifindex: 0, namedPorts: [] })
    for (const [i, policy] of policies.entries()) engine.setPolicy(`policy-${i}`, [policy])
    for (let i = 0; i < world.endpoints; i++) addEndpoint(engine, i, i % world.subjects)
    for (const [i, own] of identities.entries()) engine.setIdentity(FIRST_PEER + i, own)
    for (const address of addresses) engine.setAddress(address)
  }
}

function addEndpoint(engine: Engine, index: number, subject: number): void {
  const identity = FIRST_SUBJECT + subject
  engine.setIdentity(identity, [`k8s:subject=subject-${subject}`])
  engine.setEndpoint({ ifindex: index + 1, id: index + 1, identity, flags: 0, mac: MAC, nodeMac: MAC, namedPorts: [] })
}
