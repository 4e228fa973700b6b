// Services of the manifests as the datapath's frontends and backends, with their numbers.
import { type BalancedService, backendKey, type Document, type Frontend, ManifestError, protocolName } from '../manifests/index.ts'
import { mapSpecs } from '../bpf/index.ts'
import { type Family, familyOf, prefixCovers } from '../engine/index.ts'
import { addressBytes, prefixOf } from './address.ts'
import type { Backend as BackendItem, Service } from './api/types.ts'
import type { Numbers } from './desired/index.ts'
import { nameOf } from './endpoints.ts'
import type { Interface } from './interfaces.ts'
import type { BackendSpec, FrontendSpec, ServiceReport } from './reconcilers/services.ts'

export interface BalancedFrontend {
  readonly service: BalancedService
  readonly frontend: Frontend
  readonly spec: FrontendSpec
}

/** Of a Kubernetes Service or a LoadBalancer alike. */
export function balancedFrontends(service: BalancedService, numbers: Numbers): BalancedFrontend[] {
  return service.frontends.map((frontend) => ({ service, frontend, spec: toSpec(service, frontend, numbers) }))
}

/** XDP would hand packets to this node's own workloads without asking their ingress policy. */
export function backendsOnNode(document: Document, workloadRanges: readonly string[]): ManifestError[] {
  const { resource } = document
  if (resource.kind !== 'LoadBalancer' || resource.forwarding === 'nat') return []
  const ranges = workloadRanges.map((text) => ({ text, prefix: prefixOf(text) }))
  return resource.backends.flatMap(({ addresses }) => addresses).flatMap((address) => {
    const range = ranges.find(({ prefix }) => prefixCovers(prefix, addressBytes(address)))
    if (range === undefined) return []
    const problem = `backend ${address} lies in ${range.text}, the range of this node's own workloads, past whose ingress policy the balancer would send`
    return [new ManifestError({ code: 'CONFLICT', ...document.location, path: ['spec', 'backends'], problem, allowed: 'backends outside it, or a Service' })]
  })
}

/** The uplink's first address of each family, which backends are told to trust; link-local ones reach no backend. */
export function encapsulationSources(uplink: Interface | undefined): string[] {
  const usable = (uplink?.addresses ?? []).filter((address) => !/^fe[89ab]/i.test(address))
  const ofFamily = (family: Family): string[] => usable.filter((address) => familyOf(addressBytes(address)) === family).slice(0, 1)
  return [...ofFamily('IPv4'), ...ofFamily('IPv6')]
}

/** The largest number of a backend: it indexes two arrays, and 0 is none. */
export function lastBackendNumber(mapSizes: Readonly<Record<string, number>>): number {
  const entriesOf = (name: 'backends' | 'next_hops'): number => mapSizes[name] ?? mapSpecs[name].maxEntries
  return Math.min(entriesOf('backends'), entriesOf('next_hops')) - 1
}

export function serviceKey(service: BalancedService): string {
  return `${service.kind} ${nameOf(service)}`
}

export function frontendKey({ frontend: { address, port, protocol } }: BalancedFrontend): string {
  return `${address} ${port}/${protocolName(protocol)}`
}

/** What the tables `services` and `backends` show. `report` is undefined while nothing is programmed. */
export function serviceItem({ service, frontend, spec }: BalancedFrontend, shares: ServiceReport[number] | undefined, reason?: string): Service {
  const backends = frontend.backends.map((backend, index) => {
    const { name, address, port, weight, state } = backend
    return { name, address, port, weight, state, slots: shares?.get(spec.backends[index]?.number ?? 0) ?? 0 }
  })
  const state = reason !== undefined || shares === undefined ? 'failed' : shares.size === 0 ? 'no-backend' : 'programmed'
  return {
    id: spec.serviceId,
    kind: service.kind,
    namespace: service.namespace,
    name: service.name,
    address: frontend.address,
    port: frontend.port,
    protocol: protocolName(frontend.protocol),
    forwarding: service.forwarding,
    algorithm: service.algorithm,
    ...(service.sourceRanges && { sourceRanges: service.sourceRanges }),
    ...(service.rateLimits && { rateLimits: service.rateLimits }),
    // As it is programmed: where two changes of size meet, the second waits.
    tableSize: [...(shares?.values() ?? [])].reduce((sum, slots) => sum + slots, 0),
    backends,
    state,
    ...(state === 'failed' && { reason: reason ?? 'not programmed yet' }),
  }
}

export function backendItems(frontends: readonly BalancedFrontend[]): BackendItem[] {
  const items = new Map<number, BackendItem>()
  for (const { frontend, spec } of frontends) {
    frontend.backends.forEach(({ address, port }, index) => {
      const number = spec.backends[index]?.number ?? 0
      items.set(number, { number, address, port, protocol: protocolName(frontend.protocol) })
    })
  }
  return [...items.values()]
}

function toSpec(service: BalancedService, frontend: Frontend, numbers: Numbers): FrontendSpec {
  return {
    serviceId: numbers.number('service', serviceKey(service)),
    address: addressBytes(frontend.address),
    port: frontend.port,
    protocol: frontend.protocol,
    forwarding: service.forwarding,
    vni: service.vni,
    tableSize: service.tableSize,
    tracking: service.tracking,
    idleSeconds: frontend.idleSeconds,
    ...(service.sourceRanges && { sourceRanges: service.sourceRanges }),
    ...(service.rateLimits && { rateLimits: service.rateLimits }),
    backends: frontend.backends.map((backend): BackendSpec => {
      const key = backendKey(backend, frontend.protocol)
      const { port, weight, state } = backend
      const { drainSeconds } = service
      const drain = drainSeconds === undefined ? {} : { drainSeconds }
      return { number: numbers.number('backend', key), address: addressBytes(backend.address), port, weight, hash: key, state, ...drain }
    }),
  }
}
