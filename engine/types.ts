// The engine's vocabulary: what goes in (labels, selectors, policies, addresses, endpoints) and what comes out
// (changes of BPF maps, verdicts). Manifests of every kind compile to these types; see manifests/.

/** `source:key=value`, e.g. `k8s:app=web`; sources and percent-encoding as in docs/architecture.md, section 4. */
export type Label = string

/**
 * One condition on an identity's labels. `key` is `source:key`; source `any` matches every source.
 * A key may have several values: `In` wants any of them listed, `NotIn` none of them, `Exists` at least one.
 * `NotIn` and `DoesNotExist` hold for identities without the key (as in Kubernetes).
 */
export interface Requirement {
  readonly key: string
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'
  readonly values: readonly string[]
}

/** All requirements hold; an empty list matches every identity. */
export interface Selector {
  readonly requirements: readonly Requirement[]
}

export type Direction = 'ingress' | 'egress'
export type Tier = 'admin' | 'normal' | 'baseline'

/**
 * A set of peers: one selector over labels, one CIDR over addresses, or both wanted at once.
 * `cidr.workloads`: whether addresses that a workload owns match too (NetworkPolicy ipBlock: true;
 * CiliumNetworkPolicy toCIDR: false).
 */
export interface Peer {
  readonly selector?: Selector
  readonly cidr?: { readonly prefix: string; readonly except: readonly string[]; readonly workloads: boolean }
}

/** IANA protocol number. */
export type Protocol = number

/**
 * Ports that a rule speaks of: a range of one protocol (ICMP: `type << 8 | code`), a name that each destination
 * workload resolves for itself, or a whole protocol (`first: 0, last: 65535`).
 */
export type PortMatch =
  | { readonly protocol: Protocol; readonly first: number; readonly last: number }
  | { readonly protocol: Protocol | 'any'; readonly name: string }

/** `number` is the rule's cookie: every row, event and verdict that the rule decides carries it. 1 and up. */
export interface Rule {
  readonly number: number
  readonly direction: Direction
  readonly action: 'allow' | 'deny' | 'pass'
  /** `any`: all peers. An empty list: no peer, the rule never matches. */
  readonly peers: 'any' | readonly Peer[]
  /** `all`: every protocol and port. An empty list: the rule never matches. */
  readonly ports: 'all' | readonly PortMatch[]
}

/**
 * One policy document's effect on one set of subjects. In tier `normal` deny wins over allow and `priority` is
 * ignored; in `admin` and `baseline` the lowest priority decides first, within one priority the first rule.
 */
export interface Policy {
  readonly subject: Selector
  readonly tier: Tier
  readonly priority: number
  /** Directions that become default-deny for subjects; the number is the cookie that such drops carry. */
  readonly isolates: { readonly ingress?: number; readonly egress?: number }
  readonly rules: readonly Rule[]
  readonly audit: boolean
}

/** Named ports of a workload, by name; the same name may stand for one port of each protocol. */
export type NamedPorts = readonly { readonly name: string; readonly protocol: Protocol; readonly port: number }[]

/** An entry of the address table. `address` is 16 bytes (IPv4 mapped), `prefixLength` 0..128 (IPv4: 96 + n). */
export interface AddressEntry {
  readonly address: Uint8Array
  readonly prefixLength: number
  readonly identity: number
  /** enum peer_flags of bpf/types.h; PEER_WORKLOAD decides whether CIDR rules with `workloads: false` match. */
  readonly flags: number
  /** Node-side interface of a local endpoint, else 0. */
  readonly ifindex: number
  readonly namedPorts: NamedPorts
}

/** A local workload. The engine adds the subject and writes the record of bpf/types.h. */
export interface EndpointEntry {
  readonly ifindex: number
  readonly id: number
  readonly identity: number
  /** enum endpoint_flags. */
  readonly flags: number
  readonly ipv4?: Uint8Array
  readonly ipv6?: Uint8Array
  readonly mac: Uint8Array
  readonly nodeMac: Uint8Array
  readonly namedPorts: NamedPorts
}

/** Maps that the engine writes, by their names in bpf/maps.h. */
export type EngineMap = 'addresses' | 'prefixes' | 'class_generations' | 'endpoints' | 'policy' | 'policy_rows' | 'last_subject'

/**
 * A run of changes of one map, to be applied before the next run of the list: that order is what makes a change
 * atomic to packets. `keys` and `values` are packed records in the map's own layout, views of the engine's memory
 * that hold until the engine is called again. A delete has no values.
 */
export interface Change {
  readonly map: EngineMap
  readonly operation: 'update' | 'delete'
  readonly count: number
  readonly keys: Uint8Array
  readonly values: Uint8Array
}

export type Decision = 'allowed' | 'denied' | 'audited'

/** A row of the map `policy_rows` that holds for a packet. */
export interface ComparedRow {
  /** Whose rows it is one of: those of the peer's class, or those for every peer. */
  readonly peers: 'class' | 'every'
  /** From where to where it decides, as `protocol << 16 | port`. */
  readonly first: number
  readonly last: number
  /** Of two rows the higher decides, at a tie the class's; engine/assembly/policies.ts says how it is made. */
  readonly precedence: number
  readonly rule: number
  readonly decision: Decision
}

/** One side's decision. `rule` 0: no policy selects the subject in this direction. */
export interface SideVerdict {
  readonly decision: Decision
  readonly rule: number
  readonly subject: number
  readonly peerClass: number
  /** The rows that were compared, the deciding one first; of `explain` alone. */
  readonly compared?: readonly ComparedRow[]
}

export interface Verdict {
  readonly decision: Decision
  /** Absent where that end is no local endpoint. */
  readonly egress?: SideVerdict
  readonly ingress?: SideVerdict
}

/** How much the engine can hold; what does not fit is an EngineError with code `CAPACITY`, and nothing changes. */
export interface Capacities {
  readonly identities: number
  readonly labels: number
  readonly selectors: number
  readonly rules: number
  readonly addresses: number
  readonly endpoints: number
  readonly classes: number
  readonly policyEntries: number
  readonly policyRows: number
}
