// A world in the engine, and the changes that happen to it between packets.

import { EndpointFlags, HOST_IFINDEX, Identity, PeerFlags } from '../../bpf/index.ts'
import { type AddressEntry, addressOf, type EndpointEntry, type Engine, type Policy, prefixOf } from '../../engine/index.ts'
import type { Random } from './random.ts'
import { EXCEPTS, HOST_ADDRESSES, HOST_LABELS, initPolicy, LOCAL_RANGES, newWorld, NODES, PREFIXES, randomIdentity, randomLabels, randomPolicy, RESERVED_PEERS } from './world.ts'
import { randomWritten } from './written.ts'
import type { World, WorldHost, WorldWorkload } from './world.ts'

/** Stands in all MAC addresses: the last byte is the endpoint's number, the first tells its two sides apart. */
export function endpointMac(ifindex: number): Uint8Array {
  return Uint8Array.of(2, 1, 0, 0, ifindex >> 8, ifindex & 0xff)
}

export function nodeMac(ifindex: number): Uint8Array {
  return Uint8Array.of(2, 2, 0, 0, ifindex >> 8, ifindex & 0xff)
}

export class Scenario {
  readonly world: World
  readonly addresses = new Map<string, AddressEntry>()
  readonly endpoints = new Map<number, EndpointEntry>()
  readonly #random: Random
  readonly #engine: Engine
  /** Whether policies are documents. */
  readonly #written: boolean
  /** Of written policies: by the number of the rule. */
  readonly constructs = new Map<number, readonly string[]>()
  readonly withoutEffect: string[] = []
  #rules = 0

  /** `ifindexes`: of the local workloads. */
  constructor(random: Random, engine: Engine, ifindexes: readonly number[]) {
    this.#written = random.chance(0.6)
    this.#random = random
    this.#engine = engine
    this.world = newWorld(random, ifindexes)
    engine.transaction(() => this.#fill())
  }

  get policies(): readonly Policy[] {
    return [...this.world.policies.values()].flat()
  }

  /** One random change, as one transaction. */
  change(): void {
    this.#engine.transaction(() => this.#change())
  }

  #fill(): void {
    const { world } = this
    this.#setIdentity(Identity.HOST, HOST_LABELS)
    this.#setIdentity(Identity.INIT, ['reserved:init='])
    this.#setIdentity(Identity.WORLD_IPV4, ['reserved:world=', 'reserved:world-ipv4='])
    this.#setIdentity(Identity.WORLD_IPV6, ['reserved:world=', 'reserved:world-ipv6='])
    for (const [number, labels] of world.identities) this.#engine.setIdentity(number, labels)
    this.#setPrefix('0.0.0.0/0', Identity.WORLD_IPV4, 0)
    this.#setPrefix('::/0', Identity.WORLD_IPV6, 0)
    for (const range of LOCAL_RANGES) this.#setPrefix(range, range.includes(':') ? Identity.WORLD_IPV6 : Identity.WORLD_IPV4, PeerFlags.LOCAL_RANGE)
    for (const { identity, labels, addresses } of [...NODES, ...RESERVED_PEERS]) this.#setPeer(identity, labels, addresses)
    for (const address of HOST_ADDRESSES) this.#setAddress({ address: addressOf(address), prefixLength: 128, identity: Identity.HOST, flags: PeerFlags.HOST, ifindex: 0, namedPorts: [] })
    world.workloads.forEach((workload) => this.#setWorkload(workload))
    if (world.host !== undefined) this.#setHost(world.host)
    this.#setPolicies('init', [initPolicy(() => ++this.#rules)])
    // Few documents, which have more rules each, so that those decide.
    for (let count = this.#written ? 1 + this.#random.below(4) : 2 + this.#random.below(6); count > 0; count--) this.#setPolicy(`policy-${count}`)
  }

  #change(): void {
    const { world } = this
    const random = this.#random
    const kind = random.below(10)
    if (kind < 4) return this.#setPolicy(random.pick([...world.policies.keys(), `policy-${world.policies.size + 1}`]))
    if (kind < 5) return this.#removePolicy()
    if (kind < 6) return this.#setIdentity(random.pick([...world.identities.keys()].filter((number) => number >= Identity.FIRST_USER && number < NODES[0].identity)), randomLabels(random))
    if (kind < 8) return this.#relabelWorkload(random.pick(world.workloads))
    if (kind < 9) return this.#swapAddresses()
    this.#setPrefix(random.pick([...PREFIXES, ...Object.values(EXCEPTS).flat()]), random.pick([...world.identities.keys()]), 0)
  }

  #setIdentity(number: number, labels: readonly string[]): void {
    this.world.identities.set(number, labels)
    this.#engine.setIdentity(number, labels)
  }

  #relabelWorkload(workload: WorldWorkload): void {
    workload.identity = randomIdentity(this.#random)
    this.#setWorkload(workload)
  }

  /** Two workloads change places: each address is used again by another one. */
  #swapAddresses(): void {
    const local = this.#random.chance(0.5)
    const candidates = this.world.workloads.filter(({ ifindex }) => ifindex > 0 === local)
    const [one, other] = [this.#random.pick(candidates), this.#random.pick(candidates)]
    ;[one.addresses, other.addresses] = [other.addresses, one.addresses]
    this.#setWorkload(one)
    this.#setWorkload(other)
  }

  #setWorkload({ addresses, identity, ifindex, audit, namedPorts }: WorldWorkload): void {
    const bytes = addresses.map((address) => addressOf(address))
    for (const address of bytes) this.#setAddress({ address, prefixLength: 128, identity, flags: PeerFlags.WORKLOAD, ifindex, namedPorts })
    if (ifindex === 0) return
    const [ipv4, ipv6] = bytes as [Uint8Array, Uint8Array]
    const entry: EndpointEntry = { ifindex, id: ifindex, identity, flags: EndpointFlags.PEER_NETNS | (audit ? EndpointFlags.AUDIT : 0), ipv4, ipv6, mac: endpointMac(ifindex), nodeMac: nodeMac(ifindex), namedPorts }
    this.#setEndpoint(entry)
  }

  #setHost({ audit }: WorldHost): void {
    const nobody = new Uint8Array(6)
    this.#setEndpoint({ ifindex: HOST_IFINDEX, id: Identity.HOST, identity: Identity.HOST, flags: audit ? EndpointFlags.AUDIT : 0, mac: nobody, nodeMac: nobody, namedPorts: [] })
  }

  #setEndpoint(entry: EndpointEntry): void {
    this.endpoints.set(entry.ifindex, entry)
    this.#engine.setEndpoint(entry)
  }

  #setPrefix(prefix: string, identity: number, flags: number): void {
    const { address, length } = prefixOf(prefix)
    const workloadHasIt = (this.addresses.get(addressKey(address, length))?.flags ?? 0) & PeerFlags.WORKLOAD
    if (workloadHasIt) return
    this.#setAddress({ address, prefixLength: length, identity, flags, ifindex: 0, namedPorts: [] })
  }

  #setAddress(entry: AddressEntry): void {
    this.addresses.set(addressKey(entry.address, entry.prefixLength), entry)
    this.#engine.setAddress(entry)
  }

  #setPeer(identity: number, labels: readonly string[], addresses: readonly string[]): void {
    this.#setIdentity(identity, labels)
    for (const address of addresses) this.#setAddress({ address: addressOf(address), prefixLength: 128, identity, flags: 0, ifindex: 0, namedPorts: [] })
  }

  #setPolicy(name: string): void {
    const numbers = (): number => ++this.#rules
    if (!this.#written) return this.#setPolicies(name, [randomPolicy(this.#random, numbers)])
    const { policies, constructs, withoutEffect } = randomWritten(this.#random, numbers)
    for (const [number, names] of constructs) this.constructs.set(number, names)
    this.withoutEffect.push(...withoutEffect)
    this.#setPolicies(name, policies)
  }

  #setPolicies(name: string, policies: readonly Policy[]): void {
    this.world.policies.set(name, policies)
    this.#engine.setPolicy(name, policies)
  }

  #removePolicy(): void {
    if (this.world.policies.size === 0) return
    const name = this.#random.pick([...this.world.policies.keys()])
    this.world.policies.delete(name)
    this.#engine.removePolicy(name)
  }
}

function addressKey(address: Uint8Array, prefixLength: number): string {
  return `${Buffer.from(address).toString('hex')}/${prefixLength}`
}
