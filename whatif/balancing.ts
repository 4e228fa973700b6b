// What a change of LoadBalancers does to connections, before it is applied: from the tables that every balancer builds.
import { Engine } from '../engine/index.ts'
import { backendKey, type Backend, type BalancedService, type BackendState, type Cluster, type Frontend, protocolName, takesNewFlows } from '../manifests/index.ts'

/** Shares are of all connections of the frontend, 0 to 1, if these spread evenly over addresses and ports. */
export interface BalancingChange {
  /** "namespace/name" */
  readonly service: string
  readonly address: string
  readonly port: number
  readonly protocol: string
  /** Slots; undefined where the version does not have the frontend, 0 where nobody takes new connections. */
  readonly oldSlots?: number
  readonly newSlots?: number
  /** New ones of these would go to another backend than before. */
  readonly moved: number
  /** Those of the moved whose established connections stay where they are, since their backend is still there. */
  readonly kept: number
  /** Those whose backend is removed or down: they break. */
  readonly lost: number
  readonly backends: readonly BackendChange[]
}

export interface BackendChange {
  readonly name: string
  readonly address: string
  readonly old?: BackendRole
  readonly new?: BackendRole
}

export interface BackendRole {
  readonly weight: number
  readonly state: BackendState
  /** Of new connections. */
  readonly share: number
}

interface Balanced {
  readonly service: BalancedService
  readonly frontend: Frontend
}

interface Version {
  readonly backends: ReadonlyMap<string, Backend>
  /** By slot; empty where nobody takes new connections. */
  readonly owners: readonly string[]
}

/** Every frontend of a LoadBalancer in either version. */
export async function compareBalancing(before: Cluster, after: Cluster): Promise<readonly BalancingChange[]> {
  const engine = await Engine.load()
  const [was, is] = [frontendsOf(before), frontendsOf(after)]
  return [...new Map([...was, ...is])].map(([key, { service, frontend }]) => {
    const { address, port, protocol } = frontend
    const [old, current] = [versionOf(engine, was.get(key)), versionOf(engine, is.get(key))]
    return {
      service: `${service.namespace}/${service.name}`,
      address,
      port,
      protocol: protocolName(protocol),
      ...(old && { oldSlots: old.owners.length }),
      ...(current && { newSlots: current.owners.length }),
      ...disruption(old, current),
      backends: backendChanges(old, current),
    }
  })
}

function frontendsOf({ loadBalancers }: Cluster): ReadonlyMap<string, Balanced> {
  const all = loadBalancers.flatMap((service) => service.frontends.map((frontend) => ({ service, frontend })))
  return new Map(all.map((each) => [`${each.frontend.address} ${each.frontend.port}/${each.frontend.protocol}`, each]))
}

function versionOf(engine: Engine, balanced: Balanced | undefined): Version | undefined {
  if (balanced === undefined) return undefined
  const { service, frontend } = balanced
  const keyed = frontend.backends.map((backend) => ({ key: backendKey(backend, frontend.protocol), backend }))
  const takers = keyed.filter(({ backend }) => takesNewFlows(backend))
  const table = takers.length === 0 ? [] : [...engine.maglev(takers.map(({ key, backend: { weight } }) => ({ hash: key, weight })), service.tableSize)]
  return { backends: new Map(keyed.map(({ key, backend }) => [key, backend])), owners: table.map((index) => takers[index]?.key ?? '') }
}

/** Established connections follow their slot's last owner while that is there, whoever takes new ones (see docs/architecture.md, section 6). */
function disruption(old: Version | undefined, current: Version | undefined): Pick<BalancingChange, 'moved' | 'kept' | 'lost'> {
  const sums = { moved: 0, kept: 0, lost: 0 }
  if (old === undefined) return sums
  for (const [owner, successor, share] of pairs(old.owners, current?.owners ?? [])) {
    const stays = current?.backends.get(owner)
    const isThere = stays !== undefined && stays.state !== 'down'
    if (!isThere) sums.lost += share
    if (owner === successor) continue
    sums.moved += share
    if (isThere) sums.kept += share
  }
  const whole = Math.max(1, old.owners.length * Math.max(1, current?.owners.length ?? 0))
  return { moved: sums.moved / whole, kept: sums.kept / whole, lost: sums.lost / whole }
}

/** Owners of every part of the hash's range, in units of 1 / (a * b): slot `i` of `a` has what lies between i/a and (i+1)/a. */
function* pairs(old: readonly string[], current: readonly string[]): Generator<[owner: string, successor: string | undefined, share: number]> {
  const [a, b] = [old.length, Math.max(1, current.length)]
  for (let i = 0, j = 0, from = 0; i < a; ) {
    const [end, other] = [(i + 1) * b, (j + 1) * a]
    const to = Math.min(end, other)
    yield [old[i] ?? '', current[j], to - from]
    if (end === to) i++
    if (other === to) j++
    from = to
  }
}

function backendChanges(old: Version | undefined, current: Version | undefined): readonly BackendChange[] {
  const keys = new Set([...(old?.backends.keys() ?? []), ...(current?.backends.keys() ?? [])])
  return [...keys].map((key) => {
    const [was, is] = [roleOf(old, key), roleOf(current, key)]
    const { name = '', address = '' } = current?.backends.get(key) ?? old?.backends.get(key) ?? {}
    return { name, address, ...(was && { old: was }), ...(is && { new: is }) }
  })
}

function roleOf(version: Version | undefined, key: string): BackendRole | undefined {
  const backend = version?.backends.get(key)
  if (version === undefined || backend === undefined) return undefined
  const { weight, state } = backend
  const slots = version.owners.filter((owner) => owner === key).length
  return { weight, state, share: slots / Math.max(1, version.owners.length) }
}
