// What no two documents may have: a name, an address, an interface, a frontend. Whoever claims it first has it.
import { formatPath, ManifestError, type Path } from './document/errors.ts'
import { protocolName } from './ports.ts'
import type { SourceRanges } from './model.ts'
import type { Document, Resource } from './resources.ts'

interface Claim {
  /** Under which others find it. */
  readonly key: string
  /** Whose holders are in its way. */
  readonly rivals: readonly string[]
  readonly path: Path
  /** Before the name of who has it. */
  readonly taken: string
  readonly allowed: string
}

export class Claims {
  /** Only a VIP has more than one holder. */
  readonly #holders = new Map<string, Document[]>()

  /** The documents without contradictions. Of two that contradict each other the first holds, and the error is the other's. */
  static settle(documents: readonly Document[]): { readonly settled: readonly Document[]; readonly errors: readonly ManifestError[] } {
    const claims = new Claims()
    const errors: ManifestError[] = []
    const settled = documents.filter((document) => {
      const conflict = claims.conflict(document)
      if (conflict === undefined) claims.add(document)
      else errors.push(conflict)
      return conflict === undefined
    })
    return { settled, errors }
  }

  /** The first of what the document claims and another one has. */
  conflict(document: Document): ManifestError | undefined {
    for (const claim of claimsOf(document.resource)) {
      const owner = this.#ownerOf(claim, document)
      if (owner !== undefined) return conflict(document, claim, owner)
    }
    return undefined
  }

  /** The document has no conflict. */
  add(document: Document): void {
    for (const { key } of claimsOf(document.resource)) {
      const holders = this.#holders.get(key)
      if (holders === undefined) this.#holders.set(key, [document])
      else if (!holders.includes(document)) holders.push(document)
    }
  }

  remove(document: Document): void {
    for (const { key } of claimsOf(document.resource)) {
      const rest = (this.#holders.get(key) ?? []).filter((holder) => holder !== document)
      if (rest.length === 0) this.#holders.delete(key)
      else this.#holders.set(key, rest)
    }
  }

  #ownerOf({ rivals }: Claim, document: Document): Document | undefined {
    for (const key of rivals) {
      const owner = this.#holders.get(key)?.find((holder) => holder !== document && !sharesAddress(holder, document))
      if (owner !== undefined) return owner
    }
    return undefined
  }
}

/** A service may be reached at a node's address. */
function sharesAddress({ resource: holder }: Document, { resource }: Document): boolean {
  return (holder.kind === 'Node' && isService(resource)) || (isService(holder) && resource.kind === 'Node')
}

const isService = ({ kind }: Resource): boolean => kind === 'Service' || kind === 'LoadBalancer'

/** The field that holds the addresses of a document. */
const ADDRESSES: Readonly<Record<'Node' | 'Pod' | 'Workload' | 'Service' | 'LoadBalancer', Path>> = {
  Node: ['status', 'addresses'],
  Pod: ['status', 'podIPs'],
  Workload: ['spec', 'addresses'],
  Service: ['spec', 'clusterIPs'],
  LoadBalancer: ['spec', 'addresses'],
}
const NAME: Path = ['metadata', 'name']
const INTERFACE: Path = ['spec', 'interface']

/** Fields that may contradict other documents. */
export const CONTRADICTED: readonly Path[] = [NAME, INTERFACE, ...Object.values(ADDRESSES), ['spec', 'deny'], ['spec', 'allow']]

function claimsOf(resource: Resource): readonly Claim[] {
  const name = claimOfName(resource)
  switch (resource.kind) {
    case 'Node':
      return [name, ...resource.addresses.map((address) => claimOfAddress(address, ADDRESSES.Node))]
    case 'Pod':
    case 'Workload': {
      const own = resource.addresses.map((address) => claimOfAddress(address, ADDRESSES[resource.kind]))
      return resource.interface === undefined ? [name, ...own] : [name, ...own, claimOfInterface(resource.interface)]
    }
    case 'Service':
    case 'LoadBalancer':
      return [name, ...claimsOfFrontends(resource)]
    case 'Prefilter':
      return [name, ...claimsOfRanges(resource)]
    default:
      return [name]
  }
}

/** Pods and Workloads share their names, since commands name either as `namespace/name`. */
function claimOfName({ kind, namespace, name }: Resource): Claim {
  const title = `${kind === 'Pod' ? 'Workload' : kind} ${qualified(namespace, name)}`
  return { key: title, rivals: [title], path: NAME, taken: `${title} stands twice`, allowed: 'each name once for a kind' }
}

const qualified = (namespace: string, name: string): string => (namespace === '' ? name : `${namespace}/${name}`)

const OWN = 'one that no other workload or node has'

function claimOfAddress(address: string, path: Path): Claim {
  return { key: address, rivals: [address, vipKey(address)], path, taken: `address ${address} is that of`, allowed: OWN }
}

function claimOfInterface(device: string): Claim {
  const key = `interface ${device}`
  return { key, rivals: [key], path: INTERFACE, taken: `${key} is that of`, allowed: OWN }
}

/** Services may share an address, not a port of it; a workload's address is its own alone. */
function claimsOfFrontends({ kind, addresses, ports }: Extract<Resource, { kind: 'Service' | 'LoadBalancer' }>): readonly Claim[] {
  const path = ADDRESSES[kind]
  const allowed = 'frontends of its own'
  return addresses.flatMap((address) => [
    ...ports.map(({ protocol, port }): Claim => {
      const key = `${address} ${port}/${protocolName(protocol)}`
      return { key, rivals: [address, key], path, taken: `${key} is taken by`, allowed }
    }),
    { key: vipKey(address), rivals: [], path, taken: '', allowed },
  ])
}

/** Prefilters add up, so none may allow what another one denies. */
function claimsOfRanges({ ranges }: Extract<Resource, { kind: 'Prefilter' }>): readonly Claim[] {
  const claim = (list: keyof SourceRanges, other: keyof SourceRanges, said: string) => (prefix: string): Claim => ({
    key: `prefilter ${list} ${prefix}`,
    rivals: [`prefilter ${other} ${prefix}`],
    path: ['spec', list],
    taken: `${prefix} is ${said} by`,
    allowed: 'each prefix in one of both lists, over all Prefilters',
  })
  return [...ranges.deny.map(claim('deny', 'allow', 'allowed')), ...ranges.allow.map(claim('allow', 'deny', 'denied'))]
}

const vipKey = (address: string): string => `vip ${address}`

/** At the field's own line. */
function conflict({ location, places }: Document, { path, taken, allowed }: Claim, owner: Document): ManifestError {
  const { kind, namespace, name } = owner.resource
  const problem = path === NAME ? taken : `${taken} ${kind} ${qualified(namespace, name)}`
  return new ManifestError({ code: 'CONFLICT', ...(places[formatPath(path)] ?? location), path, problem, allowed, other: owner.location })
}
