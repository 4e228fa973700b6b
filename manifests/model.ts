// What manifests compile to: plain data that the agent, the offline commands and the page read.
import type { Direction, Label, NamedPorts, Peer, Policy, Protocol, Requirement, Rule } from '../engine/index.ts'
import type { ManifestError } from './document/errors.ts'
import type { Layer7 } from './cilium/layer7-schemas.ts'
import type { ManifestWarning } from './document/warnings.ts'

export const POLICY_KINDS = [
  'NetworkPolicy',
  'ClusterNetworkPolicy',
  'AdminNetworkPolicy',
  'BaselineAdminNetworkPolicy',
  'CiliumNetworkPolicy',
  'CiliumClusterwideNetworkPolicy',
] as const

/** `Default` stands for what holds without any document. */
export type PolicyKind = (typeof POLICY_KINDS)[number] | 'Default'

/** Where a document stands: its file, and the line and column that it starts at, from 1. */
export interface Location {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** What a rule number stands for; `formatRule` gives its text. */
export interface RuleReference {
  readonly kind: PolicyKind
  /** Empty for kinds without a namespace. */
  readonly namespace: string
  readonly name: string
  readonly direction: Direction
  readonly action: 'allow' | 'deny' | 'pass' | 'default-deny'
  /** Place of the rule in its list; of no meaning for a default deny. */
  readonly index: number
  /** Place in `specs`, where the document has that list. */
  readonly spec?: number
  /** The list that it stands in, where that is not the direction's own. */
  readonly list?: string
  /** The field that the decision comes from, where that is not the rule as a whole. */
  readonly field?: string
  readonly description?: string
  /** Text that the policy wants to be recorded with its decisions. */
  readonly log?: string
}

/** Priority in the baseline tier of what stands before its policies: those begin at the next. */
export const BEFORE_BASELINE = 0

/** A policy whose rules do not have their numbers yet. */
export interface PolicyDraft extends Omit<Policy, 'rules' | 'isolates'> {
  readonly isolates: { readonly ingress?: RuleReference; readonly egress?: RuleReference }
  readonly rules: readonly RuleDraft[]
}

export interface RuleDraft extends Omit<Rule, 'number' | 'peers'> {
  readonly reference: RuleReference
  readonly peers: 'any' | readonly DraftPeer[]
  readonly proxied?: readonly ProxiedPorts[]
}

/** Ports that a rule opens as far as a proxy lets through; to nobody while there is none. Peers are the rule's. */
export interface ProxiedPorts {
  readonly ports: Rule['ports']
  /** As the document has it: names of Secrets without a namespace are in the policy's own. */
  readonly layer7: Layer7
  /** Who is to judge it, in words: "the HTTP proxy". */
  readonly proxy: string
}

/** Peers that another document knows: by its name, or by its labels. The API server has a Service of its own. */
export interface PeerReference {
  readonly refersTo: 'Service' | 'CiliumCIDRGroup' | 'kube-apiserver'
  /** Nothing to tell about where it is not found. */
  readonly optional?: boolean
  /** Of a Service; absent: any. */
  readonly namespace?: string
  readonly name?: string
  readonly labels?: readonly Requirement[]
  readonly at: { readonly file: string; readonly line: number; readonly column: number; readonly path: string }
}

export type DraftPeer = Peer | PeerReference

export interface CompiledPolicy {
  /** `KIND/NAMESPACE/NAME`, the namespace empty where there is none: the key for `Engine.setPolicy`. */
  readonly key: string
  readonly kind: PolicyKind
  readonly namespace: string
  readonly name: string
  readonly location: Location
  readonly policies: readonly Policy[]
  /** What of it is not enforced as it is written. */
  readonly warnings: readonly ManifestWarning[]
  /** By rule number. */
  readonly rules: ReadonlyMap<number, RuleReference>
  /** What proxies have to judge, by the number of the rule that it belongs to. */
  readonly proxied: ReadonlyMap<number, readonly ProxiedPorts[]>
}

/** Of what a workload's policy refuses the sender hears nothing, or a TCP reset or an ICMP error. */
export const DENY_ANSWERS = ['drop', 'reject'] as const
export type DenyAnswer = (typeof DENY_ANSWERS)[number]

export interface Workload {
  readonly kind: 'Pod' | 'Workload'
  readonly namespace: string
  readonly name: string
  /** Ready for `Engine.setIdentity`: sorted, namespace labels included. */
  readonly labels: readonly Label[]
  /** Canonical text, the primary one first. Empty for a Pod that has none yet. */
  readonly addresses: readonly string[]
  readonly ports: NamedPorts
  /** Its share as a backend of a Service, from the annotation `sluice.io/weight`; 1 by default. */
  readonly weight: number
  /** What policy would drop of its traffic passes and is reported: its own annotation, or that of its namespace. */
  readonly audit: boolean
  /** Absent: what the node answers. */
  readonly denyAnswer?: DenyAnswer
  /** Its labels are not known yet: identity `reserved:init`. */
  readonly init: boolean
  readonly interface?: string
  readonly netns?: string
  readonly mac?: string
  readonly location: Location
}

/** A node of the cluster; whether it is this one, its addresses tell. */
export interface Node {
  readonly name: string
  /** Those of the node alone: what it is to this node, `reserved:host` or `reserved:remote-node`, comes to it. */
  readonly labels: readonly Label[]
  /** Canonical text. */
  readonly addresses: readonly string[]
}

export interface Backend {
  readonly name: string
  readonly address: string
  readonly port: number
  readonly weight: number
  /** `draining`: keeps its connections and gets no new ones. */
  readonly state: BackendState
}

export type BackendState = 'active' | 'draining' | 'down'

/** One address, protocol and port of a service, and who answers there: backends of the frontend's own family. */
export interface Frontend {
  readonly address: string
  readonly protocol: Protocol
  readonly port: number
  /** A flow without a packet for so long is over. */
  readonly idleSeconds: number
  readonly backends: readonly Backend[]
}

/** How a frontend's packets reach a backend; all but `nat` leave them as they are, and answers go past the balancer. */
export const FORWARDING_MODES = ['ipip', 'gue', 'geneve', 'l2', 'nat'] as const
export type ForwardingMode = (typeof FORWARDING_MODES)[number]

/** Prefixes of senders as canonical text, none in both lists; of those that cover an address the longest decides. */
export interface SourceRanges {
  readonly allow: readonly string[]
  readonly deny: readonly string[]
}

export interface RateLimit {
  readonly perSecond: number
  /** So many may come at once. */
  readonly burst: number
}

export interface RateLimits {
  readonly packets?: RateLimit
  /** TCP's SYN and SCTP's INIT. */
  readonly newConnections?: RateLimit
}

/** Senders that this node's uplink takes nothing from, whatever it is for. */
export interface Prefilter {
  readonly name: string
  readonly ranges: SourceRanges
}

/** A Kubernetes Service (`nat`) or a LoadBalancer. */
export interface BalancedService {
  readonly kind: 'Service' | 'LoadBalancer'
  readonly namespace: string
  readonly name: string
  readonly forwarding: ForwardingMode
  /** Geneve's virtual network identifier. */
  readonly vni: number
  readonly algorithm: 'maglev'
  /** `always`: every flow is remembered, not only those of slots that change hands. */
  readonly tracking: 'changing' | 'always'
  /** How long a draining backend keeps its connections; absent: until the last one has ended. */
  readonly drainSeconds?: number
  /** Its clients: where there is an `allow` nobody else, without it everybody else. */
  readonly sourceRanges?: SourceRanges
  readonly rateLimits?: RateLimits
  /** Slots of each frontend's Maglev table, a prime. */
  readonly tableSize: number
  readonly frontends: readonly Frontend[]
  readonly location: Location
}

export interface Cluster {
  readonly nodes: readonly Node[]
  readonly workloads: readonly Workload[]
  readonly services: readonly BalancedService[]
  readonly loadBalancers: readonly BalancedService[]
  readonly prefilters: readonly Prefilter[]
  /** By `CompiledPolicy.key`. */
  readonly policies: ReadonlyMap<string, CompiledPolicy>
  /** What is not enforced, or not served, as it is written, with the reason; those of policies among them. */
  readonly warnings: readonly ManifestWarning[]
  /** Contradictions between documents (same name twice, same address twice, overlapping VIPs); empty if all is well. */
  readonly errors: readonly ManifestError[]
}
