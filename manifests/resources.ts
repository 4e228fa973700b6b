// What a single document says, before documents are brought together by compile.ts.
import type { NamedPorts, Protocol } from '../engine/index.ts'
import type { ManifestWarning } from './document/warnings.ts'
import type { BackendState, DenyAnswer, ForwardingMode, Location, POLICY_KINDS, PolicyDraft, RateLimits, SourceRanges } from './model.ts'

interface Named {
  /** Empty for kinds without a namespace. */
  readonly namespace: string
  readonly name: string
}

export interface Labels {
  readonly [key: string]: string
}

export interface NamespaceResource extends Named {
  readonly kind: 'Namespace'
  readonly labels: Labels
  /** Of every workload in it. */
  readonly audit: boolean
  /** Of every workload in it that does not say itself. */
  readonly denyAnswer?: DenyAnswer
}

export interface NodeResource extends Named {
  readonly kind: 'Node'
  readonly labels: Labels
  /** Canonical text. */
  readonly addresses: readonly string[]
}

export interface WorkloadResource extends Named {
  readonly kind: 'Pod' | 'Workload'
  readonly labels: Labels
  readonly addresses: readonly string[]
  readonly ports: NamedPorts
  readonly weight: number
  readonly audit: boolean
  readonly denyAnswer?: DenyAnswer
  /** Its labels are not known yet. */
  readonly init: boolean
  readonly serviceAccount?: string
  readonly interface?: string
  readonly netns?: string
  readonly mac?: string
}

export interface ServiceResource extends Named {
  readonly kind: 'Service'
  readonly labels: Labels
  /** Absent: nobody's labels decide, so the service has no backends here. */
  readonly selector?: Labels
  readonly addresses: readonly string[]
  readonly ports: readonly { readonly protocol: Protocol; readonly port: number; readonly target: number | string }[]
}

export interface EndpointSliceResource extends Named {
  readonly kind: 'EndpointSlice'
  /** Of the same namespace. */
  readonly service: string
  /** Of single addresses, as canonical text. */
  readonly prefixes: readonly string[]
}

export type IdleSeconds = Readonly<Record<'TCP' | 'UDP' | 'SCTP', number>>

export interface LoadBalancerResource extends Named {
  readonly kind: 'LoadBalancer'
  readonly forwarding: ForwardingMode
  readonly vni: number
  readonly addresses: readonly string[]
  readonly tableSize: number
  readonly ports: readonly { readonly protocol: Protocol; readonly port: number }[]
  readonly tracking: 'changing' | 'always'
  readonly idleSeconds: IdleSeconds
  readonly drainSeconds?: number
  readonly sourceRanges?: SourceRanges
  readonly rateLimits?: RateLimits
  readonly backends: readonly {
    readonly name: string
    readonly addresses: readonly string[]
    readonly weight: number
    readonly state: BackendState
  }[]
}

export interface PrefilterResource extends Named {
  readonly kind: 'Prefilter'
  readonly ranges: SourceRanges
}

export interface CidrGroupResource extends Named {
  readonly kind: 'CiliumCIDRGroup'
  readonly labels: Labels
  /** Canonical text. */
  readonly prefixes: readonly string[]
}

export interface PolicyResource extends Named {
  readonly kind: (typeof POLICY_KINDS)[number]
  readonly drafts: readonly PolicyDraft[]
}

export type Resource =
  | NamespaceResource
  | NodeResource
  | WorkloadResource
  | ServiceResource
  | EndpointSliceResource
  | LoadBalancerResource
  | PrefilterResource
  | CidrGroupResource
  | PolicyResource

export type Places = Readonly<Record<string, Location>>

/** A correct document and where it stands. */
export interface Document {
  readonly location: Location
  /** Where the fields stand that other documents may contradict, by their path as text. */
  readonly places: Places
  readonly resource: Resource
  readonly warnings: readonly ManifestWarning[]
}
