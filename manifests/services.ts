// Service and LoadBalancer documents, and the backends of their frontends.
import { familyOf, parseAddress, type Family, type Protocol } from '../engine/index.ts'
import type { Backend, BalancedService, ForwardingMode, Frontend, Location, Workload } from './model.ts'
import { PROTOCOLS, protocolName } from './ports.ts'
import type { IdleSeconds, LoadBalancerResource, ServiceResource } from './resources.ts'
import type { Value } from './document/schema.ts'
import type { service } from './kubernetes/schemas.ts'
import type { loadBalancer } from './sluice/schemas.ts'
import type { Source } from './document/source.ts'
import { readAdmission } from './sluice/admission.ts'
import { canonicalAddress } from './workloads.ts'

/** Primes for `tableSize: auto`: the least with a hundred slots a backend keeps shares within a percent. */
const TABLE_SIZES = [251, 509, 1021, 2039, 4093, 8191, 16_381, 32_749, 65_537, 131_071]

/** By then hardly any flow is still alive that was seen; SCTP sends heartbeats every 30 s (RFC 9260 section 16). */
const IDLE_SECONDS: IdleSeconds = { TCP: 900, UDP: 60, SCTP: 900 }

export function readService({ metadata, spec }: Value<typeof service>, source: Source): ServiceResource {
  const { name, namespace = 'default' } = metadata
  const given = spec.clusterIPs ?? (spec.clusterIP === undefined ? [] : [spec.clusterIP])
  const ports = (spec.ports ?? []).map(({ protocol = 'TCP', port, targetPort }) => ({
    protocol: PROTOCOLS[protocol],
    port,
    target: targetPort ?? port,
  }))
  checkDistinct(source, ports)
  return {
    kind: 'Service',
    namespace,
    name,
    labels: metadata.labels ?? {},
    ...(spec.selector && { selector: spec.selector }),
    addresses: given.filter((text) => text !== 'None' && text !== '').map(canonicalAddress),
    ports,
  }
}

export function readLoadBalancer({ metadata, spec }: Value<typeof loadBalancer>, source: Source): LoadBalancerResource {
  const { name, namespace = 'default' } = metadata
  const ports = spec.ports.map(({ port, protocol = 'TCP' }) => ({ port, protocol: PROTOCOLS[protocol] }))
  const addresses = spec.addresses.map(canonicalAddress)
  const backends = spec.backends.map((backend) => {
    const backendAddresses = backend.addresses.map(canonicalAddress)
    const { name: backendName = backendAddresses[0] ?? '', weight = 1, state = 'active' } = backend
    return { name: backendName, addresses: backendAddresses, weight, state }
  })
  const { forwarding = 'ipip', vni } = spec
  if (vni !== undefined && forwarding !== 'geneve') source.report('INVALID', ['spec', 'vni'], `${forwarding} has none`, 'beside forwarding: geneve')
  checkDistinct(source, ports)
  checkBackends(source, addresses, backends, forwarding)
  return {
    kind: 'LoadBalancer',
    namespace,
    name,
    forwarding,
    vni: vni ?? 0,
    addresses,
    tableSize: readTableSize(source, spec.tableSize ?? 'auto', backends.length),
    tracking: spec.tracking ?? 'changing',
    idleSeconds: { ...IDLE_SECONDS, ...spec.idleSeconds },
    ...(spec.drainSeconds !== undefined && { drainSeconds: spec.drainSeconds }),
    ...readAdmission(spec, source),
    ports,
    backends,
  }
}

function idleSecondsOf(idleSeconds: IdleSeconds, protocol: Protocol): number {
  if (protocol === PROTOCOLS.UDP) return idleSeconds.UDP
  return protocol === PROTOCOLS.SCTP ? idleSeconds.SCTP : idleSeconds.TCP
}

function readTableSize(source: Source, size: number | string, backends: number): number {
  if (typeof size === 'string') return TABLE_SIZES.find((prime) => prime >= 100 * backends) ?? 131_071
  if (!isPrime(size)) {
    // Maglev's permutations visit every slot only where the size is prime (NSDI 2016, section 3.4).
    source.report('INVALID', ['spec', 'tableSize'], `${size} is no prime`, `auto, or a prime, e.g. ${TABLE_SIZES.join(', ')}`)
  }
  return size
}

function isPrime(number: number): boolean {
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false
  return number > 1
}

function checkDistinct(source: Source, ports: readonly { protocol: number; port: number }[]): void {
  ports.forEach(({ protocol, port }, index) => {
    const first = ports.findIndex((other) => other.protocol === protocol && other.port === port)
    if (first === index) return
    const problem = `repeats ${port}/${protocolName(protocol)} of ports[${first}]`
    source.report('INVALID', ['spec', 'ports', index], problem, 'each port once for a protocol')
  })
}

const familiesOf = (addresses: readonly string[]): ReadonlySet<Family> => new Set(addresses.map(familyOfText))

function familyOfText(text: string): Family {
  return familyOf(parseAddress(text) ?? new Uint8Array(16))
}

/**
 * A backend that translation could not reach from any frontend is a mistake, and so are two addresses of one family, an address that another
 * backend has, and one that comes back to the balancer.
 */
function checkBackends(
  source: Source,
  vips: readonly string[],
  backends: readonly { readonly name: string; readonly addresses: readonly string[] }[],
  forwarding: ForwardingMode,
): void {
  const families = familiesOf(vips)
  const names = new Set<string>()
  const owners = new Map<string, number>()
  backends.forEach(({ name, addresses }, index) => {
    const path = ['spec', 'backends', index]
    const own = familiesOf(addresses)
    const wanted = [...families].join(' or ')
    if (forwarding === 'nat' && ![...own].some((family) => families.has(family))) {
      source.report('INVALID', [...path, 'addresses'], `none is of a family of spec.addresses`, `an ${wanted} address`)
    }
    if (own.size < addresses.length) source.report('INVALID', [...path, 'addresses'], 'has two of one family', 'one of each family')
    if (names.has(name)) source.report('INVALID', [...path, 'name'], `repeats the name ${name}`, 'each name once')
    names.add(name)
    addresses.forEach((address, at) => {
      const problem = vips.includes(address) ? `${address} is the balancer's own` : `repeats ${address} of backends[${owners.get(address)}]`
      if (vips.includes(address) || owners.has(address)) source.report('INVALID', [...path, 'addresses', at], problem, 'addresses of its own')
      owners.set(address, owners.get(address) ?? index)
    })
  })
}

/** Whether the service's selector matches a workload of its namespace. */
export function selects({ namespace, selector }: ServiceResource, workload: Workload): boolean {
  const wanted = Object.entries(selector ?? {})
  return wanted.length > 0 && workload.namespace === namespace && wanted.every(([key, value]) => workload.labels.includes(`k8s:${key}=${value}`))
}

/** Backends are the workloads of the namespace that the selector matches, by name; a named target is each one's own. */
export function balanceService(service: ServiceResource, workloads: readonly Workload[], location: Location): BalancedService {
  const { namespace, name, addresses, ports } = service
  const selected = workloads.filter((workload) => selects(service, workload)).sort((a, b) => (a.name < b.name ? -1 : 1))
  const frontends = addresses.flatMap((address) =>
    ports.map(({ protocol, port, target }): Frontend => {
      const backends = selected.flatMap((workload) => backendOf(workload, address, protocol, target))
      return { address, protocol, port, idleSeconds: idleSecondsOf(IDLE_SECONDS, protocol), backends }
    }),
  )
  const tableSize = TABLE_SIZES.find((prime) => prime >= 100 * selected.length) ?? 131_071
  return { kind: 'Service', namespace, name, forwarding: 'nat', vni: 0, algorithm: 'maglev', tracking: 'changing', tableSize, frontends, location }
}

function backendOf(workload: Workload, vip: string, protocol: number, target: number | string): readonly Backend[] {
  const address = workload.addresses.find((own) => familyOfText(own) === familyOfText(vip))
  const port =
    typeof target === 'number'
      ? target
      : workload.ports.find((named) => named.name === target && named.protocol === protocol)?.port
  if (address === undefined || port === undefined) return []
  return [{ name: `${workload.namespace}/${workload.name}`, address, port, weight: workload.weight, state: 'active' }]
}

/** What tables know a backend by: its places follow from this alone, on every balancer. */
export function backendKey({ address, port }: Pick<Backend, 'address' | 'port'>, protocol: number): string {
  return `${address} ${port}/${protocolName(protocol)}`
}

/** Whether it has slots. */
export const takesNewFlows = ({ weight, state }: Pick<Backend, 'weight' | 'state'>): boolean => weight > 0 && state === 'active'

export function balanceLoadBalancer(resource: LoadBalancerResource, location: Location): BalancedService {
  const { namespace, name, forwarding, vni, tableSize, tracking, idleSeconds, drainSeconds, sourceRanges, rateLimits, addresses, ports, backends } = resource
  const frontends = addresses.flatMap((vip) =>
    ports.map(({ protocol, port }): Frontend => ({
      address: vip,
      protocol,
      port,
      idleSeconds: idleSecondsOf(idleSeconds, protocol),
      backends: backends.flatMap(({ name: backend, addresses: own, weight, state }) => {
        const address = addressFor(vip, own, forwarding)
        return address === undefined ? [] : [{ name: backend, address, port, weight, state }]
      }),
    })),
  )
  const optional = { ...(drainSeconds !== undefined && { drainSeconds }), ...(sourceRanges && { sourceRanges }), ...(rateLimits && { rateLimits }) }
  return { kind: 'LoadBalancer', namespace, name, forwarding, vni, algorithm: 'maglev', tracking, ...optional, tableSize, frontends, location }
}

/** One of the VIP's family; a packet that is not translated reaches a backend by its other family too. */
function addressFor(vip: string, own: readonly string[], forwarding: ForwardingMode): string | undefined {
  return own.find((text) => familyOfText(text) === familyOfText(vip)) ?? (forwarding === 'nat' ? undefined : own[0])
}
