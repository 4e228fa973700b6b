/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/*
 * Connection tracking. Entries die by being found older than their enum flow_lifetime. Correctness needs no collector:
 * the LRU makes room while no agent runs, and the agent's collector takes the dead out before it evicts the living.
 *
 * A SYN without ACK that meets a closing or a revoked entry opens a new flow, and so does whatever the originator of a
 * revoked one sends: policy decides it as it decided the first packet, and a service may have another backend for it.
 */
#ifndef SLUICE_LIB_CONNTRACK_H
#define SLUICE_LIB_CONNTRACK_H

#include "maps.h"
#include "lib/clock.h"
#include "lib/packet.h"

#define LIFETIME_SHORTEST SECONDS(FLOW_LIFETIME_CLOSING_S)

/* `last_seen` may lag by this much, so that busy flows seldom write to a line that all CPUs share. */
#define SEEN_GRANULARITY (SECONDS(1) / 2)

static __always_inline __u64 address_half(const struct ip_address *address, int half)
{
	return (__u64)bpf_ntohl(address->words[half * 2]) << 32 | bpf_ntohl(address->words[half * 2 + 1]);
}

/* Whether the source is the low end of the key. */
static __always_inline bool tuple_source_is_low(const struct tuple *tuple, const bool ipv6)
{
	__u16 source_port = bpf_ntohs(tuple->source_port_be);
	__u16 destination_port = bpf_ntohs(tuple->destination_port_be);
	__u64 source, destination;

	if (!ipv6) {
		source = (__u64)bpf_ntohl(tuple->source.words[3]) << 16 | source_port;
		destination = (__u64)bpf_ntohl(tuple->destination.words[3]) << 16 | destination_port;
		return source <= destination;
	}
	source = address_half(&tuple->source, 0);
	destination = address_half(&tuple->destination, 0);
	if (source != destination)
		return source < destination;
	source = address_half(&tuple->source, 1);
	destination = address_half(&tuple->destination, 1);
	if (source != destination)
		return source < destination;
	return source_port <= destination_port;
}

static __always_inline __u8 echo_end(const struct tuple *tuple, bool source_is_low)
{
	if (likely(!tuple->echo))
		return ECHO_NONE;
	return (tuple->echo == ECHO_IS_REQUEST) == source_is_low ? ECHO_LOW_ASKED : ECHO_HIGH_ASKED;
}

static __always_inline void flow4_key_fill(struct flow4_key *key, const struct tuple *tuple, bool source_is_low)
{
	key->low = source_is_low ? tuple->source.words[3] : tuple->destination.words[3];
	key->high = source_is_low ? tuple->destination.words[3] : tuple->source.words[3];
	key->low_port_be = source_is_low ? tuple->source_port_be : tuple->destination_port_be;
	key->high_port_be = source_is_low ? tuple->destination_port_be : tuple->source_port_be;
	key->protocol = tuple->protocol;
	key->echo = echo_end(tuple, source_is_low);
	key->pad[0] = key->pad[1] = 0;
}

static __always_inline void flow6_key_fill(struct flow6_key *key, const struct tuple *tuple, bool source_is_low)
{
	key->low = source_is_low ? tuple->source : tuple->destination;
	key->high = source_is_low ? tuple->destination : tuple->source;
	key->low_port_be = source_is_low ? tuple->source_port_be : tuple->destination_port_be;
	key->high_port_be = source_is_low ? tuple->destination_port_be : tuple->source_port_be;
	key->protocol = tuple->protocol;
	key->echo = echo_end(tuple, source_is_low);
	key->pad[0] = key->pad[1] = 0;
}

static __always_inline struct flow_state *conntrack_find(const struct tuple *tuple, const bool ipv6)
{
	bool source_is_low = tuple_source_is_low(tuple, ipv6);

	if (ipv6) {
		struct flow6_key key;

		flow6_key_fill(&key, tuple, source_is_low);
		return bpf_map_lookup_elem(&conntrack6, &key);
	} else {
		struct flow4_key key;

		flow4_key_fill(&key, tuple, source_is_low);
		return bpf_map_lookup_elem(&conntrack4, &key);
	}
}

/* The same for code off the hot path, which knows the family only when it runs. */
static __noinline struct flow_state *conntrack_find_any(const struct tuple *tuple)
{
	return tuple->ipv6 ? conntrack_find(tuple, true) : conntrack_find(tuple, false);
}

static __always_inline bool flow_is_from_origin(
	const struct flow_state *flow, const struct tuple *tuple, const bool ipv6)
{
	return tuple_source_is_low(tuple, ipv6) != !!(flow->flags & FLOW_ORIGIN_HIGH);
}

static __noinline int conntrack_write(const struct tuple *tuple, struct flow_state *state)
{
	bool source_is_low = tuple_source_is_low(tuple, tuple->ipv6);

	if (source_is_low)
		state->flags &= ~FLOW_ORIGIN_HIGH;
	else
		state->flags |= FLOW_ORIGIN_HIGH;
	if (tuple->ipv6) {
		struct flow6_key key;

		flow6_key_fill(&key, tuple, source_is_low);
		return bpf_map_update_elem(&conntrack6, &key, state, BPF_ANY);
	} else {
		struct flow4_key key;

		flow4_key_fill(&key, tuple, source_is_low);
		return bpf_map_update_elem(&conntrack4, &key, state, BPF_ANY);
	}
}

static __always_inline __s32 flow_lifetime(__u32 flags, __u8 protocol)
{
	if (!(flags & FLOW_REPLIED) || (protocol != IPPROTO_TCP && protocol != IPPROTO_SCTP))
		return flags & FLOW_CLOSING ? SECONDS(FLOW_LIFETIME_CLOSING_S) : SECONDS(FLOW_LIFETIME_OTHER_S);
	if (flags & FLOW_CLOSING)
		return SECONDS(FLOW_LIFETIME_CLOSING_S);
	return protocol == IPPROTO_TCP ? SECONDS(FLOW_LIFETIME_TCP_S) : SECONDS(FLOW_LIFETIME_SCTP_S);
}

static __always_inline bool flow_starts_anew(
	const struct flow_state *flow, const struct packet *packet, const bool ipv6)
{
	if ((packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		return true;
	return flow->flags & FLOW_REVOKED && flow_is_from_origin(flow, &packet->tuple, ipv6);
}

static __always_inline bool flow_is_alive(
	const struct flow_state *flow, const struct packet *packet, __u32 now, const bool ipv6)
{
	__s32 idle = clock_since(now, flow->last_seen);

	if (unlikely(flow->flags & (FLOW_CLOSING | FLOW_REVOKED)) && flow_starts_anew(flow, packet, ipv6))
		return false;
	return likely(idle <= LIFETIME_SHORTEST) || idle <= flow_lifetime(flow->flags, packet->tuple.protocol);
}

/* What the packet adds to the flow's state. */
static __always_inline __u32 flow_progress(__u32 flags, const struct packet *packet, bool from_origin)
{
	__u32 added = from_origin ? 0 : FLOW_REPLIED;

	if (likely(!(packet->tcp_flags & (TCP_FIN | TCP_RST))))
		return added;
	if (packet->tcp_flags & TCP_FIN)
		added |= from_origin ? FLOW_FIN_ORIGIN : FLOW_FIN_REPLY;
	if (packet->tcp_flags & TCP_RST || (~(flags | added) & (FLOW_FIN_ORIGIN | FLOW_FIN_REPLY)) == 0)
		added |= FLOW_CLOSING;
	return added;
}

#endif
