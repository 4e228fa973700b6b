// Names for the numbers that flows carry, from the tables.
import { formatRule, type RuleReference } from '../manifests/index.ts'
import type { Directory } from '../observe/index.ts'
import type { Desired } from './convergence.ts'
import { identityOf, type Numbers, RESERVED_LABELS } from './desired.ts'
import { nameOf } from './endpoints.ts'

/** Rules, identities and services of flows that were may be gone now: what was known stays known. */
const REMEMBERED = 65_536

export class AgentDirectory implements Directory {
  readonly #labels = new Remembering<number, readonly string[]>(REMEMBERED)
  readonly #rules = new Remembering<number, RuleReference>(REMEMBERED)
  readonly #services = new Remembering<number, string>(REMEMBERED)
  readonly #interfaces = new Remembering<number, string>(REMEMBERED)
  #workloads = new Map<string, string>()
  /** By "address port", and by address for its other ports. */
  #frontends = new Map<string, string>()

  constructor() {
    for (const [number, labels] of RESERVED_LABELS) this.#labels.set(number, labels)
  }

  update({ resolution: { cluster }, links, frontends }: Desired, numbers: Numbers): void {
    this.#workloads = new Map(cluster.workloads.flatMap((each) => each.addresses.map((address) => [address, nameOf(each)])))
    for (const workload of cluster.workloads) this.#labels.set(identityOf(workload, numbers), workload.labels)
    for (const { rules } of cluster.policies.values()) {
      for (const [number, reference] of rules) this.#rules.set(number, reference)
    }
    for (const { service, spec } of frontends) this.#services.set(spec.serviceId, nameOf(service))
    this.#frontends = new Map(
      frontends.flatMap(({ service, frontend: { address, port } }) => [address, `${address} ${port}`].map((key) => [key, nameOf(service)])),
    )
    for (const { ifindex, name } of links) this.#interfaces.set(ifindex, name)
  }

  labels(identity: number): readonly string[] | undefined {
    return this.#labels.get(identity)
  }

  workload(address: string): string | undefined {
    return this.#workloads.get(address)
  }

  policy(rule: number): string | undefined {
    const reference = this.#rules.get(rule)
    return reference && formatRule(reference)
  }

  rule(rule: number): RuleReference | undefined {
    return this.#rules.get(rule)
  }

  service(id: number): string | undefined {
    return this.#services.get(id)
  }

  serviceAt(address: string, port: number): string | undefined {
    return this.#frontends.get(`${address} ${port}`) ?? this.#frontends.get(address)
  }

  interfaceName(ifindex: number): string | undefined {
    return this.#interfaces.get(ifindex)
  }
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
