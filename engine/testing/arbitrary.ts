// fast-check arbitraries: small worlds in which labels, addresses, prefixes and ports often meet.

import fc from 'fast-check'
import { addressOf, prefixOf, type Prefix } from '../address.ts'
import { HOST_IFINDEX, PEER_HOST, PEER_LOCAL_RANGE, PEER_WORKLOAD } from '../assembly/records.generated.ts'
import type { Engine } from '../index.ts'
import type { World } from './model.ts'
import type { AddressEntry, EndpointEntry, Label, NamedPorts, Peer, Policy, PortMatch, Requirement, Rule, Selector } from '../types.ts'

export const ADDRESSES = ['10.0.0.1', '10.0.0.2', '10.0.1.1', '10.0.1.2', '192.0.2.1', 'fd00::1', 'fd00::2', 'fd00:1::1', '2001:db8::1'].map(addressOf)
const PREFIXES = ['0.0.0.0/0', '10.0.0.0/8', '10.0.0.0/24', '10.0.0.0/31', '10.0.1.0/24', '10.0.1.1', '192.0.2.0/24', '192.0.2.1/32', '::/0', 'fd00::/16', 'fd00::/64', 'fd00::2', '2001:db8::/32']
export const PORTS: readonly (readonly [protocol: number, port: number])[] = [[6, 80], [6, 81], [6, 443], [17, 53], [17, 80], [1, 0x0800], [132, 80]]
const IDENTITIES = [256, 257, 258, 259, 9]
const IFINDEXES = [11, 12, 13]
/** The node itself has an endpoint too, which its addresses do not name. */
export const ENDPOINTS = [...IFINDEXES, HOST_IFINDEX]
const DOCUMENTS = ['a', 'b', 'c']
const PEER_FLAGS = [0, PEER_WORKLOAD, PEER_WORKLOAD, PEER_LOCAL_RANGE, PEER_HOST]

const label: fc.Arbitrary<Label> = fc.constantFrom('k8s:app=web', 'k8s:app=db', 'aws:app=web', 'k8s:env=prod', 'k8s:env=test', 'aws:group=sg-1', 'aws:group=sg-2', 'k8s:tier=', 'reserved:init=', 'reserved:remote-node=', 'node:zone=a')
const labels = fc.array(label, { maxLength: 4 })

const requirement: fc.Arbitrary<Requirement> = fc.record({
  key: fc.constantFrom('k8s:app', 'any:app', 'k8s:env', 'aws:group', 'any:tier', 'reserved:init', 'node:zone'),
  operator: fc.constantFrom('In' as const, 'In' as const, 'NotIn' as const, 'Exists' as const, 'DoesNotExist' as const),
  values: fc.array(fc.constantFrom('web', 'db', 'prod', 'test', 'sg-1', 'sg-2', 'a', ''), { maxLength: 2 }),
})
const selector: fc.Arbitrary<Selector> = fc.record({ requirements: fc.array(requirement, { maxLength: 2 }) })
const cidr = fc.record({
  prefix: fc.constantFrom(...PREFIXES),
  except: fc.array(fc.constantFrom(...PREFIXES), { maxLength: 2 }),
  workloads: fc.boolean(),
})
const peer: fc.Arbitrary<Peer> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ selector }) },
  { weight: 2, arbitrary: fc.record({ cidr }) },
  { weight: 1, arbitrary: fc.record({ selector, cidr }) },
)
const name = fc.constantFrom('http', 'dns')
const portMatch: fc.Arbitrary<PortMatch> = fc.oneof(
  fc.constantFrom(...PORTS).map(([protocol, port]) => ({ protocol, first: port, last: port })),
  fc.record({ protocol: fc.constantFrom(6, 17), first: fc.constantFrom(0, 80, 81), last: fc.constantFrom(81, 443, 65535) }),
  fc.record({ protocol: fc.constantFrom(6, 17, 'any' as const), name }),
)

const rule: fc.Arbitrary<Omit<Rule, 'number'>> = fc.record({
  direction: fc.constantFrom('ingress' as const, 'egress' as const),
  action: fc.constantFrom('allow' as const, 'allow' as const, 'deny' as const, 'pass' as const),
  peers: fc.oneof({ weight: 1, arbitrary: fc.constant('any' as const) }, { weight: 4, arbitrary: fc.array(peer, { maxLength: 2 }) }),
  ports: fc.oneof({ weight: 2, arbitrary: fc.constant('all' as const) }, { weight: 3, arbitrary: fc.array(portMatch, { maxLength: 2 }) }),
})
const policy = fc.record({
  subject: selector,
  tier: fc.constantFrom('normal' as const, 'normal' as const, 'normal' as const, 'admin' as const, 'baseline' as const),
  priority: fc.nat(2),
  ingress: fc.boolean(),
  egress: fc.boolean(),
  rules: fc.array(rule, { maxLength: 4 }),
  audit: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
})

type RawPolicy = typeof policy extends fc.Arbitrary<infer T> ? T : never

/** Numbers every rule differently, as manifests do; `base` keeps documents apart. */
function numbered(base: number, raw: readonly RawPolicy[]): Policy[] {
  let next = base
  return raw.map(({ ingress, egress, rules, ...rest }) => ({
    ...rest,
    isolates: rest.tier === 'normal' ? { ...(ingress && { ingress: ++next }), ...(egress && { egress: ++next }) } : {},
    rules: rules.map((one) => ({ ...one, number: ++next, action: one.action === 'pass' && rest.tier === 'normal' ? 'deny' as const : one.action })),
  }))
}

const namedPorts: fc.Arbitrary<NamedPorts> = fc.array(
  fc.record({ name, protocol: fc.constantFrom(6, 17), port: fc.constantFrom(80, 81, 53) }), { maxLength: 2 })
const addressEntry: fc.Arbitrary<AddressEntry> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...ADDRESSES).map((address) => ({ address, prefixLength: 128 })) },
  { weight: 1, arbitrary: fc.constantFrom(...PREFIXES).map(prefixOf).map(({ address, length }) => ({ address, prefixLength: length })) },
).chain((key) => fc.record({
  identity: fc.constantFrom(...IDENTITIES),
  flags: fc.constantFrom(...PEER_FLAGS),
  ifindex: key.prefixLength === 128 ? fc.constantFrom(0, ...IFINDEXES) : fc.constant(0),
  namedPorts,
}).map((rest) => ({ ...key, ...rest })))
const endpointEntry: fc.Arbitrary<EndpointEntry> = fc.record({
  ifindex: fc.constantFrom(...ENDPOINTS),
  id: fc.nat(100),
  identity: fc.constantFrom(...IDENTITIES),
  flags: fc.constantFrom(0, 0, 0, 2),
  mac: fc.constant(new Uint8Array(6)),
  nodeMac: fc.constant(new Uint8Array(6)),
  namedPorts,
})

/** One input, applied to the engine and to the tables that the model reads. */
export interface Step {
  readonly text: string
  apply(engine: Engine): void
  record(tables: Tables): void
}

export class Tables {
  readonly identities = new Map<number, readonly Label[]>([[9, ['reserved:world=', 'reserved:world-ipv4=']], [10, ['reserved:world=', 'reserved:world-ipv6=']]])
  readonly addresses = new Map<string, AddressEntry>()
  readonly endpoints = new Map<number, EndpointEntry>()
  readonly documents = new Map<string, readonly Policy[]>()

  world(): World {
    return {
      identities: this.identities,
      addresses: [...this.addresses.values()],
      endpoints: [...this.endpoints.values()],
      policies: [...this.documents.values()].flat(),
    }
  }
}

const addressKey = (entry: Pick<AddressEntry, 'address' | 'prefixLength'>) => `${Buffer.from(entry.address).toString('hex')}/${entry.prefixLength}`

function make(text: string, value: unknown, apply: (engine: Engine) => void, record: (tables: Tables) => void): Step {
  const shown = `${text} ${JSON.stringify(value, (_, v: unknown) => (v instanceof Uint8Array ? Buffer.from(v).toString('hex') : v))}`
  return { text: shown, apply, record, [fc.toStringMethod]: () => shown } as Step
}

/** Every kind of input, as a step. */
export const steps = {
  identity: (number: number, set: readonly Label[]) =>
    make('identity', [number, set], (e) => e.setIdentity(number, set), (t) => { t.identities.set(number, set) }),
  removeIdentity: (number: number) =>
    make('remove identity', number, (e) => e.removeIdentity(number), (t) => { t.identities.delete(number) }),
  address: (entry: AddressEntry) =>
    make('address', entry, (e) => e.setAddress(entry), (t) => { t.addresses.set(addressKey(entry), entry) }),
  removeAddress: ({ address, length }: Pick<Prefix, 'address' | 'length'>) =>
    make('remove address', [address, length], (e) => e.removeAddress(address, length), (t) => { t.addresses.delete(addressKey({ address, prefixLength: length })) }),
  endpoint: (entry: EndpointEntry) =>
    make('endpoint', entry, (e) => e.setEndpoint(entry), (t) => { t.endpoints.set(entry.ifindex, entry) }),
  removeEndpoint: (ifindex: number) =>
    make('remove endpoint', ifindex, (e) => e.removeEndpoint(ifindex), (t) => { t.endpoints.delete(ifindex) }),
  policy: (key: string, policies: readonly Policy[]) =>
    make(`policy ${key}`, policies, (e) => e.setPolicy(key, policies), (t) => { t.documents.set(key, policies) }),
  removePolicy: (key: string) =>
    make('remove policy', key, (e) => e.removePolicy(key), (t) => { t.documents.delete(key) }),
}

export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.tuple(fc.constantFrom(256, 257, 258, 259), labels).map(([number, set]) => steps.identity(number, set)) },
  { weight: 1, arbitrary: fc.constantFrom(256, 257).map(steps.removeIdentity) },
  { weight: 4, arbitrary: addressEntry.map(steps.address) },
  { weight: 2, arbitrary: addressEntry.map(({ address, prefixLength }) => steps.removeAddress({ address, length: prefixLength })) },
  { weight: 2, arbitrary: endpointEntry.map(steps.endpoint) },
  { weight: 1, arbitrary: fc.constantFrom(...ENDPOINTS).map(steps.removeEndpoint) },
  { weight: 6, arbitrary: fc.tuple(fc.constantFrom(...DOCUMENTS), fc.array(policy, { minLength: 1, maxLength: 2 })).map(([key, raw]) =>
    steps.policy(key, numbered(1000 * (1 + DOCUMENTS.indexOf(key)), raw))) },
  { weight: 1, arbitrary: fc.constantFrom(...DOCUMENTS).map(steps.removePolicy) },
)

/** A history: transactions of one to four inputs. */
export const history = fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 8 })
