/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/*
 * Every record that BPF programs share with user space, written once. TypeScript and AssemblyScript views are
 * generated from this file's BTF (`scripts/generate.ts`), and test/layout compares all three.
 *
 * Conventions: `_be` fields are in network byte order, all others in the machine's. Padding is explicit and
 * zero. IPv4 addresses stand in 16 bytes as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2); a packet that carries
 * such an address on the wire as IPv6 is dropped, so the two families cannot be mistaken for each other.
 */
#ifndef SLUICE_TYPES_H
#define SLUICE_TYPES_H

#include <linux/types.h>

struct ip_address {
	__be32 words[4];
};
_Static_assert(sizeof(struct ip_address) == 16, "ip_address");

/* ---- identities and addresses ------------------------------------------------------------------------- */

/* Reserved numbers are those of Cilium, since operators and exported flows know them. */
enum identity {
	IDENTITY_UNKNOWN = 0,
	IDENTITY_HOST = 1,
	IDENTITY_WORLD = 2,
	IDENTITY_UNMANAGED = 3,
	IDENTITY_HEALTH = 4,
	IDENTITY_INIT = 5,
	IDENTITY_REMOTE_NODE = 6,
	IDENTITY_KUBE_APISERVER = 7,
	IDENTITY_INGRESS = 8,
	IDENTITY_WORLD_IPV4 = 9,
	IDENTITY_WORLD_IPV6 = 10,
	IDENTITY_FIRST_USER = 256, /* numbers below are reserved; all are 24 bits */
};

enum peer_flags {
	PEER_HOST = 1 << 0, /* an address of this node: goes to its stack */
	PEER_WORKLOAD = 1 << 1, /* an address that a workload owns, here or elsewhere */
	PEER_LOCAL_RANGE = 1 << 2, /* this node's workload range: an address in it without an entry is dropped */
};

/* What an address or prefix is to policy. */
struct peer {
	__u32 identity;
	__u32 peer_class; /* 0: not known, drops */
	__u32 ifindex; /* node-side interface of a local endpoint, else 0 */
	__u32 flags; /* enum peer_flags */
};
_Static_assert(sizeof(struct peer) == 16, "peer");

/* Key of the longest-prefix table; prefix_length counts from the first of 128 bits (IPv4: 96 + n). */
struct prefix_key {
	__u32 prefix_length;
	struct ip_address address;
};
_Static_assert(sizeof(struct prefix_key) == 20, "prefix_key");

/* ---- endpoints ---------------------------------------------------------------------------------------- */

enum endpoint_flags {
	ENDPOINT_PEER_NETNS = 1 << 0, /* a veth whose other end is in another namespace: bpf_redirect_peer works */
	ENDPOINT_AUDIT = 1 << 1, /* would-be policy drops pass and are reported */
	ENDPOINT_REJECT = 1 << 2, /* its policy's drops are answered, see lib/reject.h */
};

/*
 * The node itself is an endpoint too, where it has policies: at the loopback's ifindex, which is the same in every
 * namespace and no workload's. Without that record its traffic is nobody's business.
 */
#define HOST_IFINDEX 1

/* A local workload's interface, keyed by the ifindex of its node side; the node's record has flags and policy alone. */
struct endpoint {
	__u32 id; /* 0: there is none */
	__u32 identity;
	__u32 subject; /* number of its policy; 0: none yet, all traffic is dropped */
	__u32 flags; /* enum endpoint_flags */
	struct ip_address ipv4; /* mapped form; all zero: it has none */
	struct ip_address ipv6;
	__u8 mac[6]; /* of the workload's own side */
	__u8 node_mac[6]; /* of the node's side: answers ARP and neighbour solicitations */
	__u32 pad;
};
_Static_assert(sizeof(struct endpoint) == 64, "endpoint");

/* ---- policy ------------------------------------------------------------------------------------------- */

enum direction {
	DIRECTION_INGRESS = 0,
	DIRECTION_EGRESS = 1,
};

/*
 * Rows of (subject, class, direction) are a span of `policy_rows`: disjoint ranges, sorted by `first`, over the
 * 24-bit space protocol << 16 | port (ICMP: type << 8 | code as port). A gap matches nothing.
 * Class 0 holds the rows that apply to every peer, the default verdict included: it always covers the whole
 * space for a subject that exists, so a packet that finds neither row has an unknown subject and is dropped.
 * Of the class's row and class 0's row the higher precedence decides; at a tie the class's.
 * Subject numbers are never used twice and the rows of a (subject, class) never change in place.
 */
struct policy_key {
	__u32 subject;
	__u32 peer_class_direction; /* peer class << 1 | enum direction */
};
_Static_assert(sizeof(struct policy_key) == 8, "policy_key");

struct policy_span {
	__u32 first_row;
	__u32 rows;
};
_Static_assert(sizeof(struct policy_span) == 8, "policy_span");

enum policy_action {
	POLICY_DENY = 0,
	POLICY_ALLOW = 1,
	POLICY_AUDIT = 2, /* would be denied; passes and is reported */
};

struct policy_row {
	__u32 first; /* protocol << 16 | port, inclusive */
	__u32 last;
	__u32 precedence;
	__u32 rule; /* number of the rule that decides; 0: no policy selects the subject in this direction */
	__be16 proxy_port_be; /* 0: no proxy */
	__u8 action; /* enum policy_action */
	__u8 authentication; /* 0: none needed */
	__u32 pad;
};
_Static_assert(sizeof(struct policy_row) == 24, "policy_row");

/* ---- conntrack ---------------------------------------------------------------------------------------- */

/* Time in conntrack is bpf_ktime_get_coarse_ns() >> TICK_SHIFT: 16.8 ms, wraps after 2.3 years. */
#define TICK_SHIFT 24

/*
 * Direction-normalised: the end with the lower (address, port), compared as big-endian numbers, stands first.
 * ICMP: the destination's port is type << 8 | code as policy sees it; the source's is the identifier of an echo
 * request, else 0. An echo reply carries the request's ports reversed. Which end asked stands in the key too, so that a
 * request never passes as the reply of one that went the other way, whatever its identifier is.
 */
enum echo_end {
	ECHO_NONE = 0, /* no echo */
	ECHO_LOW_ASKED = 1,
	ECHO_HIGH_ASKED = 2,
};

struct flow4_key {
	__be32 low;
	__be32 high;
	__be16 low_port_be;
	__be16 high_port_be;
	__u8 protocol;
	__u8 echo; /* enum echo_end */
	__u8 pad[2];
};
_Static_assert(sizeof(struct flow4_key) == 16, "flow4_key");

struct flow6_key {
	struct ip_address low;
	struct ip_address high;
	__be16 low_port_be;
	__be16 high_port_be;
	__u8 protocol;
	__u8 echo; /* enum echo_end */
	__u8 pad[2];
};
_Static_assert(sizeof(struct flow6_key) == 40, "flow6_key");

/* What one side's policy read when it decided; any of the three differing from now means: decide again. */
struct flow_side {
	__u32 subject; /* 0: this side is no local endpoint and has no policy here */
	__u32 peer_class;
	__u32 class_generation;
	__u32 rule;
};
_Static_assert(sizeof(struct flow_side) == 16, "flow_side");

enum flow_flags {
	FLOW_ORIGIN_HIGH = 1 << 0, /* the originator is the high end of the key */
	FLOW_REPLIED = 1 << 1,
	FLOW_CLOSING = 1 << 2, /* FIN from both, or RST */
	FLOW_FIN_ORIGIN = 1 << 3,
	FLOW_FIN_REPLY = 1 << 4,
	FLOW_TRANSLATE_DESTINATION = 1 << 5, /* packets of the originator: destination becomes `translated` */
	FLOW_TRANSLATE_SOURCE = 1 << 6, /* packets of the replier: source becomes `translated` */
	FLOW_TRANSLATED = FLOW_TRANSLATE_DESTINATION | FLOW_TRANSLATE_SOURCE, /* one of the two */
	FLOW_HAIRPIN = 1 << 7, /* both translated: the originator is its own backend */
	FLOW_AUDITED = 1 << 8,
	FLOW_HOST = 1 << 9, /* the end that is no local endpoint is this node: packets to it go to the stack */
	FLOW_REVOKED = 1 << 10, /* policy cut it; kept, so that the replier opens no flow of the other direction */
	FLOW_FORWARDED = 1 << 11, /* the stack forwards the originator's packets, maybe translated: it gets the replies */
};

/* Life of an entry after the flow's last packet, in seconds. */
enum flow_lifetime {
	FLOW_LIFETIME_CLOSING_S = 10, /* TCP: FIN both ways, or RST */
	FLOW_LIFETIME_TCP_S = 6 * 3600, /* replied */
	FLOW_LIFETIME_SCTP_S = 15 * 60, /* replied; heartbeats come every 30 s (RFC 9260 section 16) */
	FLOW_LIFETIME_OTHER_S = 60, /* unreplied, and every other protocol */
};

struct flow_state {
	struct flow_side source; /* the originator's egress policy */
	struct flow_side destination; /* the other end's ingress policy */
	__u32 source_ifindex; /* node side of the originator if it is a local endpoint, else 0 */
	__u32 destination_ifindex;
	__u32 last_seen; /* ticks */
	__u32 flags; /* enum flow_flags */
	/* Next hop towards the end that is not local, kept for about a second (see lib/route.h). */
	__u32 route_ifindex;
	__u32 route_seen; /* ticks */
	struct ip_address next_hop;
	/* Service translation; the other key of the flow follows from it. */
	struct ip_address translated;
	__be16 translated_port_be;
	__u16 route_mtu; /* of the way to next_hop, bytes of IP packet */
	__u32 service;
};
_Static_assert(sizeof(struct flow_state) == 96, "flow_state");

/* A datagram's fragments find their ports here (RFC 791, RFC 8200 section 4.5). */
struct fragment_key {
	struct ip_address source;
	struct ip_address destination;
	__u32 identification;
	__u32 protocol;
};
_Static_assert(sizeof(struct fragment_key) == 40, "fragment_key");

struct fragment_ports {
	__be16 source_port_be;
	__be16 destination_port_be;
	__u32 seen; /* ticks */
};
_Static_assert(sizeof(struct fragment_ports) == 8, "fragment_ports");

/* ---- services ----------------------------------------------------------------------------------------- */

enum forwarding {
	FORWARDING_NAT = 0,
	FORWARDING_IPIP = 1,
	FORWARDING_GUE = 2, /* draft-ietf-intarea-gue, variant 0 */
	FORWARDING_GENEVE = 3, /* RFC 8926, with the IP packet right inside */
	FORWARDING_L2 = 4, /* as it is, to the MAC address of a backend on the segment */
};

struct frontend_key {
	struct ip_address address;
	__be16 port_be;
	__u8 protocol;
	__u8 pad;
};
_Static_assert(sizeof(struct frontend_key) == 20, "frontend_key");

enum service_flags {
	SERVICE_TRACKED = 1 << 0, /* every packet asks the flow table, also on settled slots */
	SERVICE_SOURCES = 1 << 1, /* it has prefixes of clients in source_ranges; others are allowed */
	SERVICE_ALLOWED_SOURCES = 1 << 2, /* with SERVICE_SOURCES: others are refused */
	SERVICE_LIMITED = 1 << 3, /* it stands in rate_limits */
};

/*
 * A frontend's service: its Maglev table is slots[slot_base .. slot_base + slot_count). While the table changes its
 * size the former one stands beside it: whoever owned the flow's slot there is its previous owner, see lib/track.h.
 */
struct service {
	__u32 id;
	__u32 slot_base;
	__u32 slot_count; /* 0: no backend, packets are dropped */
	__u8 forwarding; /* enum forwarding */
	__u8 flags; /* enum service_flags */
	__u8 pad[2];
	__u32 former_base;
	__u32 former_count; /* 0: the size does not change */
	__u32 learned; /* ticks: by then every living flow of the former table's owners was seen */
	__u32 idle; /* ticks without a packet after which a flow is forgotten */
	__u32 vni; /* Geneve's virtual network identifier, 24 bits */
};
_Static_assert(sizeof(struct service) == 36, "service");

/* Settled slots touch no flow table. */
struct slot {
	__u32 backend; /* takes new flows; 0: nobody does */
	__u32 previous; /* the oldest owner that may have flows which the flow table does not know; 0: settled */
};
_Static_assert(sizeof(struct slot) == 8, "slot");

/*
 * Of a slot that is changing hands, at the same index. Once it is learned, every living flow of `previous` was seen: what
 * nobody knows is the current owner's.
 */
struct slot_history {
	__u32 learned; /* ticks */
	__u32 pad;
};
_Static_assert(sizeof(struct slot_history) == 8, "slot_history");

enum backend_state {
	BACKEND_ACTIVE = 0,
	BACKEND_DRAINING = 1, /* keeps the flows that it has and takes no new ones */
	BACKEND_DOWN = 2, /* has no flows any more: theirs go to whoever owns the slot now */
};

/* Backend 0 is never used. */
struct backend {
	struct ip_address address;
	__be16 port_be;
	__u8 protocol;
	__u8 state; /* enum backend_state */
	__u32 drained; /* ticks: until then it drains; 0: until its last flow has ended */
};
_Static_assert(sizeof(struct backend) == 24, "backend");

/* No service has this number: its prefixes are the prefilter, which every packet of the uplink is asked by. */
#define PREFILTER_SERVICE 0

/* A prefix of senders; prefix_length counts from the service's number on: 32 + 96 + n for IPv4. The longest decides. */
struct source_range_key {
	__u32 prefix_length;
	__u32 service;
	struct ip_address address;
};
_Static_assert(sizeof(struct source_range_key) == 24, "source_range_key");

enum source_verdict {
	SOURCE_DENIED = 0,
	SOURCE_ALLOWED = 1,
};

/* Times and spans of a rate limit are in sixteenths of a nanosecond: at 100 million packets a second one has 160. */
#define RATE_LIMIT_SHIFT 4

/*
 * The generic cell rate algorithm (ITU-T I.371): a packet passes if it comes at most `burst` before its time, which is
 * `cost` after that of the one before. One word of state, which CPUs share.
 */
struct rate_limit {
	__u64 cost; /* 0: there is no limit */
	__u64 burst;
	__u64 next; /* when the next packet is due */
};
_Static_assert(sizeof(struct rate_limit) == 24, "rate_limit");

struct service_limits {
	struct rate_limit packets;
	struct rate_limit opening; /* TCP's SYN, SCTP's INIT */
};
_Static_assert(sizeof(struct service_limits) == 48, "service_limits");

/* Flows that the balancer tracks go one way: from a client to a frontend. Replies do not come by. */
struct balanced4_key {
	__be32 source;
	__be32 destination;
	__be16 source_port_be;
	__be16 destination_port_be;
	__u8 protocol;
	__u8 pad[3];
};
_Static_assert(sizeof(struct balanced4_key) == 16, "balanced4_key");

struct balanced6_key {
	struct ip_address source;
	struct ip_address destination;
	__be16 source_port_be;
	__be16 destination_port_be;
	__u8 protocol;
	__u8 pad[3];
};
_Static_assert(sizeof(struct balanced6_key) == 40, "balanced6_key");

enum balanced_flags {
	BALANCED_CLOSING = 1 << 0, /* the client has sent FIN or RST */
};

enum balanced_lifetime {
	BALANCED_LIFETIME_HALF_OPEN_S = 60,
	BALANCED_LIFETIME_CLOSING_S = 60, /* the client's end of a half-closed connection acknowledges more often */
};

struct balanced_flow {
	__u32 backend;
	__u32 hash; /* tells the flow's slot, in a table of any size */
	__u32 last_seen; /* ticks */
	__u32 flags; /* enum balanced_flags */
};
_Static_assert(sizeof(struct balanced_flow) == 16, "balanced_flow");

/* A connection whose client has not answered its backend yet. */
struct half_open_flow {
	__u64 hash_backend; /* the flow's hash << 32 | backend: read and written at once */
	__u32 last_seen; /* ticks */
	__u32 service;
};
_Static_assert(sizeof(struct half_open_flow) == 16, "half_open_flow");

#define HALF_OPEN_BUCKETS 16384
#define HALF_OPEN_WAYS    4

/* One cache line: a SYN costs as much under a flood as without one. */
struct half_open_bucket {
	struct half_open_flow flows[HALF_OPEN_WAYS];
};
_Static_assert(sizeof(struct half_open_bucket) == 64, "half_open_bucket");

/* Where XDP sends a backend's packets; asked of the FIB about once a second on each CPU. */
struct next_hop {
	__u32 ifindex;
	__u32 seen; /* jiffies */
	__u8 destination_mac[6];
	__u8 source_mac[6];
	__u16 mtu;
	__u8 on_segment; /* the backend itself, and no router on the way to it */
	__u8 pad;
	__be32 outer_tag_be; /* those of struct vlan_device */
	__be32 inner_tag_be;
};
_Static_assert(sizeof(struct next_hop) == 32, "next_hop");

/*
 * A VLAN device of this node, by its ifindex. XDP sees its frames at the interface below, with their tags, and has to
 * send them from there: the device itself takes no frames of XDP. A tag: TPID << 16 | TCI, as on the wire.
 */
struct vlan_device {
	__u32 parent; /* ifindex of the interface below, which is no VLAN device itself */
	__be32 outer_tag_be;
	__be32 inner_tag_be; /* 0: one tag only */
};
_Static_assert(sizeof(struct vlan_device) == 12, "vlan_device");

/* ---- events and counters ------------------------------------------------------------------------------ */

enum event_kind {
	EVENT_FLOW = 1, /* a new flow was allowed */
	EVENT_DROP = 2,
	EVENT_AUDIT = 3, /* passed only because of audit */
	EVENT_REVOKED = 4, /* an established flow was cut by a policy change */
};

/* Why a packet was dropped, or REASON_FORWARDED. Also the index of `counters`. */
enum reason {
	REASON_FORWARDED = 0,
	REASON_POLICY_DENIED = 1,
	REASON_NO_SUBJECT = 2, /* the endpoint's policy is not known yet */
	REASON_UNKNOWN_INTERFACE = 3,
	REASON_UNKNOWN_DESTINATION = 4, /* in the node's workload range, but nobody's */
	REASON_UNKNOWN_PEER = 5, /* no class for the peer's address */
	REASON_SPOOFED_ADDRESS = 6,
	REASON_SPOOFED_MAC = 7,
	REASON_MALFORMED = 8,
	REASON_UNSUPPORTED_PROTOCOL = 9,
	REASON_MAPPED_ADDRESS = 10, /* ::ffff:0:0/96 on the wire */
	REASON_FRAGMENT_WITHOUT_FIRST = 11,
	REASON_CONNTRACK_FULL = 12,
	REASON_NO_BACKEND = 13,
	REASON_TTL_EXCEEDED = 14,
	REASON_NO_ROUTE = 15,
	REASON_TOO_BIG = 16, /* does not fit the link with its encapsulation */
	REASON_REWRITE_FAILED = 17,
	REASON_MULTICAST = 18,
	REASON_NOT_A_VIP = 19, /* decapsulation of something that is not ours */
	REASON_OVERLAPPING_FRAGMENT = 20, /* it covers what another has brought, or too much is missing before it */
	REASON_PREFILTERED = 21, /* its sender is of a prefix that nothing is taken from */
	REASON_SOURCE_REFUSED = 22, /* the service is not for this client */
	REASON_RATE_LIMITED = 23,
	REASON_SYN_LIMITED = 24, /* the service takes so many new connections a second and no more */
	REASON_COUNT = 25,
};

struct counter {
	__u64 packets;
	__u64 bytes;
};
_Static_assert(sizeof(struct counter) == 16, "counter");

/* One record of the event ring. Addresses and ports are those that policy compared (after translation). */
struct event {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	struct ip_address source;
	struct ip_address destination;
	__be16 source_port_be; /* ICMP: 0 */
	__be16 destination_port_be; /* ICMP: type << 8 | code */
	__u8 protocol;
	__u8 kind; /* enum event_kind */
	__u8 direction; /* enum direction of the side that decided */
	__u8 reason; /* enum reason */
	__u32 source_identity;
	__u32 destination_identity;
	__u32 rule;
	__u32 ifindex; /* of the endpoint that decided */
	__u32 service; /* 0: not translated */
	__u32 length; /* bytes of the packet */
};
_Static_assert(sizeof(struct event) == 72, "event");

#endif
