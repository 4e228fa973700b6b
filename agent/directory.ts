// Names for the numbers that flows carry, learnt from the tables as they change.
import type { Directory } from '../observe/index.ts'
import { hostPrefix } from './address.ts'
import type { PolicyItem, Service } from './api/types.ts'
import { RESERVED_LABELS } from './desired/index.ts'
import { nameOf } from './endpoints.ts'
import type { Table } from './table.ts'
import type { Tables } from './tables.ts'

/** Rules, identities and services of flows that were may be gone now: what was known stays known. */
const REMEMBERED = 65_536

export class AgentDirectory implements Directory {
  readonly #labels = new Remembering<number, readonly string[]>(REMEMBERED)
  readonly #rules = new Remembering<number, string>(REMEMBERED)
  readonly #services = new Remembering<number, string>(REMEMBERED)
  readonly #interfaces = new Remembering<number, string>(REMEMBERED)
  readonly #addresses: Tables['addresses']
  readonly #serviceTable: Tables['services']
  /** By "address port", and by address for its other ports; made when it is asked for after a change. */
  #frontends: ReadonlyMap<string, string> | undefined

  constructor({ identities, addresses, policies, services, interfaces }: Tables) {
    this.#addresses = addresses
    this.#serviceTable = services
    services.watch(() => (this.#frontends = undefined))
    for (const [number, labels] of RESERVED_LABELS) this.#labels.set(number, labels)
    onUpdate(identities, ({ number, labels }) => this.#labels.set(number, labels))
    onUpdate(policies, (policy) => this.#learnRules(policy))
    onUpdate(services, (service) => this.#learnService(service))
    onUpdate(interfaces, ({ ifindex, name }) => this.#interfaces.set(ifindex, name))
  }

  #learnRules({ rules }: PolicyItem): void {
    for (const { number, text } of rules) this.#rules.set(number, text)
  }

  #learnService(service: Service): void {
    this.#services.set(service.id, nameOf(service))
  }

  labels(identity: number): readonly string[] | undefined {
    return this.#labels.get(identity)
  }

  workload(address: string): string | undefined {
    return this.#addresses.get(hostPrefix(address))?.workload
  }

  policy(rule: number): string | undefined {
    return this.#rules.get(rule)
  }

  service(id: number): string | undefined {
    return this.#services.get(id)
  }

  serviceAt(address: string, port: number): string | undefined {
    this.#frontends ??= frontendsOf(this.#serviceTable)
    return this.#frontends.get(`${address} ${port}`) ?? this.#frontends.get(address)
  }

  interfaceName(ifindex: number): string | undefined {
    return this.#interfaces.get(ifindex)
  }
}

function frontendsOf(services: Tables['services']): Map<string, string> {
  const { items } = services.list()
  return new Map(items.flatMap((service) => [service.address, `${service.address} ${service.port}`].map((key) => [key, nameOf(service)])))
}

function onUpdate<T>(table: Table<T>, learn: (item: T) => unknown): void {
  table.watch((event) => {
    if (event.type === 'update') learn(event.item)
  })
}

/** A map that forgets what was set longest ago. */
class Remembering<K, V> extends Map<K, V> {
  readonly #limit: number

  constructor(limit: number) {
    super()
    this.#limit = limit
  }

  override set(key: K, value: V): this {
    this.delete(key)
    super.set(key, value)
    for (const oldest of this.keys()) {
      if (this.size <= this.#limit) break
      this.delete(oldest)
    }
    return this
  }
}
