// The desired state as the engine's inputs: of what changed, what differs from what the engine was told last.
import { PeerFlags } from '../../bpf/index.ts'
import type { AddressEntry, EndpointEntry } from '../../engine/index.ts'
import type { CompiledPolicy } from '../../manifests/index.ts'
import { prefixOf } from '../address.ts'
import type { EngineInput, InputChange, InputKey } from '../reconcilers/inputs.ts'
import type { TakeChanged, TrackedMap } from '../tracked-map.ts'
import type { AddressFact } from './addresses.ts'
import type { Identity } from './identities.ts'

export interface DesiredTables {
  readonly identities: TrackedMap<Identity>
  readonly policies: TrackedMap<CompiledPolicy>
  readonly addresses: TrackedMap<AddressFact>
  /** By interface. */
  readonly endpoints: TrackedMap<EndpointEntry>
}

/** One kind of inputs: how its table's items and their keys become inputs. */
interface Channel {
  readonly takeChanged: TakeChanged
  readonly wanted: (key: string) => EngineInput | undefined
  readonly removal: (key: string) => InputKey
  /** Keys of which the engine is still to be told. */
  readonly pending: Set<string>
  /** What the engine was told, by key: an input's signature, or that nobody knows whether it has it. */
  readonly told: Map<string, string | typeof DOUBTFUL>
}

const DOUBTFUL = Symbol('doubtful')

/** A change, and what it makes of what the channel was told; no signature: it is gone. */
interface Offer {
  readonly channel: Channel
  readonly key: string
  readonly signature: string | undefined
  readonly change: InputChange
}

export class Inputs {
  /** What others build on stands first: an address names an identity, an endpoint has addresses. */
  readonly #channels: readonly Channel[]
  #offered: readonly Offer[] = []

  constructor({ identities, policies, addresses, endpoints }: DesiredTables) {
    const channel = <V>(table: TrackedMap<V>, toInput: (item: V) => EngineInput, removal: (key: string) => InputKey): Channel => ({
      takeChanged: table.reader(),
      wanted: (key) => mapDefined(table.get(key), toInput),
      removal,
      pending: new Set(),
      told: new Map(),
    })
    this.#channels = [
      channel(identities, (identity) => ({ input: 'identity', ...identity }), (key) => ({ input: 'identity', number: Number(key) })),
      channel(policies, ({ key, policies }) => ({ input: 'policy', key, policies }), (key) => ({ input: 'policy', key })),
      channel(addresses, (fact) => ({ input: 'address', entry: addressEntry(fact) }), (key) => ({ input: 'address', entry: prefixKey(key) })),
      channel(endpoints, (entry) => ({ input: 'endpoint', entry }), (key) => ({ input: 'endpoint', entry: { ifindex: Number(key) } })),
    ]
  }

  /** Additions in the order of kinds, then removals in the reverse one; again the same until they are accepted. */
  changes(): readonly InputChange[] {
    const offers = this.#channels.map(offersOf)
    const set = offers.flatMap((each) => each.filter(({ signature }) => signature !== undefined))
    const removed = offers.toReversed().flatMap((each) => each.filter(({ signature }) => signature === undefined))
    this.#offered = [...set, ...removed]
    return this.#offered.map(({ change }) => change)
  }

  /** The engine has taken the changes of the last call. */
  accepted(): void {
    for (const { channel, key, signature } of this.#offered) {
      channel.pending.delete(key)
      if (signature === undefined) channel.told.delete(key)
      else channel.told.set(key, signature)
    }
  }

  /**
   * Nobody knows whether the engine has taken them: all are told again, and what is wanted no more is removed, which is
   * no error for what is not there.
   */
  doubted(): void {
    for (const { channel, key } of this.#offered) channel.told.set(key, DOUBTFUL)
  }
}

function offersOf(channel: Channel): readonly Offer[] {
  const { takeChanged, pending } = channel
  for (const key of takeChanged()) pending.add(key)
  return [...pending].flatMap((key) => offerOf(channel, key) ?? [])
}

/** Undefined, and pending no more, where the engine was told so already. */
function offerOf(channel: Channel, key: string): Offer | undefined {
  const { wanted, told, removal, pending } = channel
  const input = wanted(key)
  const signature = mapDefined(input, signatureOf)
  if (told.get(key) === signature) return void pending.delete(key)
  const change: InputChange = input === undefined ? { operation: 'remove', input: removal(key) } : { operation: 'set', input }
  return { channel, key, signature, change }
}

const mapDefined = <T, U>(value: T | undefined, map: (value: T) => U): U | undefined => (value === undefined ? undefined : map(value))

const FLAGS = { host: PeerFlags.HOST, workload: PeerFlags.WORKLOAD, 'local-range': PeerFlags.LOCAL_RANGE } as const

function addressEntry({ prefix, identity, flags, ifindex, namedPorts }: AddressFact): AddressEntry {
  return { ...prefixKey(prefix), identity, flags: flags.reduce((bits, flag) => bits | FLAGS[flag], 0), ifindex, namedPorts }
}

function prefixKey(prefix: string): Pick<AddressEntry, 'address' | 'prefixLength'> {
  const { address, length } = prefixOf(prefix)
  return { address, prefixLength: length }
}

function signatureOf(input: EngineInput): string {
  switch (input.input) {
    case 'identity':
      return input.labels.join('\n')
    case 'policy':
      return JSON.stringify(input.policies)
    case 'address': {
      const { identity, flags, ifindex, namedPorts } = input.entry
      return `${identity} ${flags} ${ifindex} ${JSON.stringify(namedPorts)}`
    }
    case 'endpoint':
      return JSON.stringify(input.entry, (_key, value: unknown) => (value instanceof Uint8Array ? [...value].join() : value))
  }
}
