// Every JSON shape of the agent's API (REST over a unix socket, described in openapi.ts): the CLI and
// the page import nothing else of the agent. Addresses are text ("10.77.1.11", "fd77:1::11"), times ISO 8601.
import type { Flow } from '../../observe/index.ts'
import type { ComparedEntry } from '../../whatif/index.ts'

export type { ComparedEntry, Flow }

/** Something that does not work as wanted: what, why, and what the operator can do about it. */
export interface Degradation {
  readonly what: string
  readonly why: string
  readonly hint: string
}

export type PartState = 'ok' | 'starting' | 'degraded'

export interface PartStatus {
  readonly state: PartState
  /** One line for people, e.g. "7 endpoints, 3 policies". */
  readonly summary: string
}

/** GET /v1/status */
export interface Status {
  /** True when every part is `ok`, thus when `degraded` is empty and the first listing is programmed. */
  readonly ok: boolean
  readonly pid: number
  readonly name: string
  readonly version: string
  readonly kernel: string
  readonly startedAt: string
  readonly degraded: readonly Degradation[]
  /** By part: sources, engine, policy, endpoints, services, balancer, programs, conntrack, flows, store. */
  readonly parts: Readonly<Record<string, PartStatus>>
  readonly options: {
    readonly stateDir: string
    readonly socket: string
    readonly bpffs: string
    readonly manifests: readonly string[]
    readonly uplink?: string
    readonly workloadRanges: readonly string[]
  }
}

/** GET of a table: its items, and the revision that they show. `?watch=1` gives TableEvents instead. */
export interface Listing<T> {
  readonly revision: number
  readonly items: readonly T[]
}

/**
 * Server-sent events of `?watch=1`: `event:` is the type, `data:` this object. First an `update` for every item
 * that there is, then one `synced`, then changes as they come. A watcher that reads too slowly is disconnected.
 */
export type TableEvent<T> =
  | { readonly type: 'update'; readonly revision: number; readonly key: string; readonly item: T }
  | { readonly type: 'delete'; readonly revision: number; readonly key: string }
  | { readonly type: 'synced'; readonly revision: number }

/** GET /v1/endpoints: workloads with an interface on this node. */
export interface Endpoint {
  readonly id: number
  /** "namespace/name" */
  readonly name: string
  readonly namespace: string
  readonly netns?: string
  /** Node side of the workload's link. */
  readonly interface: string
  /** 0 while the interface does not exist. */
  readonly ifindex: number
  readonly mac?: string
  readonly addresses: readonly string[]
  readonly labels: readonly string[]
  readonly identity: number
  /** `waiting`: its interface is not there or has not all of its programs yet. `failed`: see `reason`; it has no traffic. */
  readonly state: 'ready' | 'waiting' | 'failed'
  readonly reason?: string
}

/** GET /v1/identities */
export interface Identity {
  readonly number: number
  readonly labels: readonly string[]
  readonly reserved: boolean
  /** Addresses that carry it now. */
  readonly addresses: number
}

/** GET /v1/addresses */
export interface Address {
  /** "10.77.1.11/32" */
  readonly prefix: string
  readonly identity: number
  readonly labels: readonly string[]
  readonly workload?: string
  /** Node-side interface of a local endpoint. */
  readonly interface?: string
  readonly flags: readonly ('host' | 'workload' | 'local-range')[]
}

export type PolicySource = 'folder' | 'api'

/** GET /v1/policies */
export interface PolicyItem {
  readonly kind: string
  /** Empty for kinds without a namespace. */
  readonly namespace: string
  readonly name: string
  readonly source: PolicySource
  /** The file, where the source is a folder. */
  readonly file?: string
  readonly rules: readonly PolicyRule[]
  /**
   * `last-good`: the file has errors now, this is its last good version. `degraded`: something of it is not enforced as
   * it is written, which `warnings` say.
   */
  readonly state: 'enforced' | 'degraded' | 'last-good'
  readonly warnings?: readonly string[]
}

export interface PolicyRule {
  /** The number that flows, rows and verdicts carry. */
  readonly number: number
  /** "CiliumNetworkPolicy demo/web ingress[0]" */
  readonly text: string
  readonly direction: 'ingress' | 'egress'
  readonly action: string
  readonly description?: string
}

/** GET /v1/services: Kubernetes Services (`nat`) and LoadBalancers, one item a frontend. */
export interface Service {
  readonly id: number
  readonly kind: 'Service' | 'LoadBalancer'
  readonly namespace: string
  readonly name: string
  readonly address: string
  readonly port: number
  readonly protocol: string
  readonly forwarding: 'nat' | 'ipip' | 'gue' | 'geneve' | 'l2'
  readonly algorithm: string
  /** Who may send; absent: everybody. */
  readonly sourceRanges?: SourceRanges
  /** How much; absent: as much as comes. */
  readonly rateLimits?: RateLimits
  /** Slots of its Maglev table; 0 without backends. */
  readonly tableSize: number
  readonly backends: readonly ServiceBackend[]
  readonly state: 'programmed' | 'no-backend' | 'failed'
  readonly reason?: string
}

/** Of the prefixes that cover an address the longest decides; with an `allow` nobody else is taken from. */
export interface SourceRanges {
  readonly allow: readonly string[]
  readonly deny: readonly string[]
}

export interface RateLimits {
  readonly packets?: RateLimit
  readonly newConnections?: RateLimit
}

export interface RateLimit {
  readonly perSecond: number
  readonly burst: number
}

/** GET /v1/prefilter: senders that the uplink takes nothing from, and exceptions of these. */
export interface PrefilterItem {
  readonly prefix: string
  readonly verdict: 'allowed' | 'denied'
  /** Name of the Prefilter; the first of those that say the same. */
  readonly document: string
}

export interface ServiceBackend {
  readonly name: string
  readonly address: string
  readonly port: number
  readonly weight: number
  /** As it is wanted; a draining one is down when its time is over. */
  readonly state: 'active' | 'draining' | 'down'
  /** Slots of the table that lead to it. */
  readonly slots: number
}

/** GET /v1/backends: the numbers that `slots` of the datapath hold. */
export interface Backend {
  readonly number: number
  readonly address: string
  readonly port: number
  readonly protocol: string
}

/** GET /v1/programs */
export interface Program {
  readonly id: number
  readonly name: string
  /** tcx/ingress, tcx/egress, xdp/native, xdp/generic, clsact/ingress, clsact/egress */
  readonly hook: string
  readonly interface: string
  /** Of the link, which holds the program. */
  readonly pin: string
  readonly linkId?: number
  readonly instructions?: number
  readonly verifiedInstructions?: number
}

/** GET /v1/maps */
export interface MapItem {
  readonly id: number
  readonly name: string
  readonly type: string
  readonly keySize: number
  readonly valueSize: number
  readonly maxEntries: number
  readonly pin: string
}

/** GET /v1/interfaces: all of the node's network namespace. */
export interface Interface {
  readonly ifindex: number
  readonly name: string
  readonly mac?: string
  /** Of a virtual interface, e.g. "veth". */
  readonly kind?: string
  readonly up: boolean
  readonly addresses: readonly string[]
  /** Of the XDP program that is attached. */
  readonly xdpMode?: 'native' | 'generic'
}

/** GET /v1/flows: JSON lines of Flow, oldest first. All conditions hold together. */
export interface FlowQuery {
  readonly last?: number
  readonly verdict?: string
  /** `source:key=value`; a label without source matches every source. */
  readonly fromLabel?: string
  readonly toLabel?: string
  readonly port?: number
  readonly protocol?: string
  readonly follow?: '1'
}

/** GET /v1/explain?from=NAME|ADDRESS&to=NAME|ADDRESS&port=80/TCP */
export interface Explanation {
  readonly from: ExplainedEnd
  readonly to: ExplainedEnd
  /** "80/TCP" */
  readonly port: string
  readonly verdict: 'allowed' | 'denied' | 'audited'
  /** Absent where that end is no local endpoint: it has no policy on this node. */
  readonly egress?: ExplainedSide
  readonly ingress?: ExplainedSide
}

export interface ExplainedEnd {
  readonly address: string
  readonly workload?: string
  readonly identity: number
  readonly labels: readonly string[]
}

export interface ExplainedSide {
  readonly verdict: 'allowed' | 'denied' | 'audited'
  /** 0: no policy selects this end in this direction. */
  readonly rule: number
  /** "CiliumNetworkPolicy demo/web ingress[0]"; absent for rule 0. */
  readonly policy?: string
  readonly action?: string
  readonly description?: string
  /** One sentence. */
  readonly reason: string
  /** Rules that would allow it, were there the proxy that they need. Absent where there are none, or it is allowed. */
  readonly lacking?: readonly string[]
  /** The rows that were compared, the deciding one first; none where no policy was asked. */
  readonly entries?: readonly ComparedEntry[]
}

/** Content type of ManifestFiles. */
export const MANIFEST_FILES = 'application/vnd.sluice.files+json'

/**
 * Body of PUT and DELETE /v1/manifests with that content type: manifests by the files that the user has them in, so
 * that errors name these. With any other content type the body is one such text.
 */
export interface ManifestFiles {
  readonly files: readonly ManifestText[]
}

export interface ManifestText {
  readonly file: string
  /** YAML or JSON. */
  readonly text: string
}

/** What documents are known by. */
export interface DocumentName {
  readonly kind: string
  /** Empty for kinds without a namespace. */
  readonly namespace: string
  readonly name: string
}

/** PUT /v1/manifests: all or nothing, answered when the datapath holds it. */
export interface ApplyResult {
  readonly applied: readonly AppliedDocument[]
  /** What the datapath lacks all the same: programs that could not be attached. Absent where it lacks nothing. */
  readonly missing?: readonly Degradation[]
}

export interface AppliedDocument {
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly action: 'created' | 'changed' | 'unchanged'
}

/**
 * DELETE /v1/manifests: what stands in the body, all or nothing. DELETE /v1/policies/{kind}/{namespace or _}/{name}: one.
 * Answered when the datapath no longer holds it.
 */
export interface DeleteResult {
  readonly deleted: readonly DocumentName[]
}

/** Body of every answer with a status of 400 and above. */
export interface ApiError {
  readonly error: {
    /** BAD_REQUEST, NOT_FOUND, INVALID_MANIFEST, CONFLICT, CAPACITY, UNAVAILABLE, INTERNAL */
    readonly code: string
    readonly message: string
    readonly details?: readonly ApiErrorDetail[]
  }
}

/** One mistake in a manifest. */
export interface ApiErrorDetail {
  readonly file: string
  readonly line?: number
  readonly column?: number
  /** Place inside the document, e.g. "spec.ingress[0].fromEndpoints". */
  readonly path?: string
  readonly message: string
  /** The document that it contradicts. */
  readonly other?: { readonly file: string; readonly line?: number; readonly column?: number }
}
