/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* The way out of the node. A flow remembers its next hop for a second: asking the FIB costs 90-140 ns. */
#ifndef SLUICE_LIB_ROUTE_H
#define SLUICE_LIB_ROUTE_H

#include "maps.h"
#include "lib/clock.h"
#include "lib/skb.h"

#include <sys/socket.h>

#define ROUTE_LIFETIME SECONDS(1)

/* Of the byte whose upper half is the TCP header's length in words of 4 bytes (RFC 9293 section 3.1). */
#define TCP_DATA_OFFSET 12

/* Bytes of the L4 header that every segment of a GSO skb repeats: TCP's options are part of it. */
static __always_inline __u32 gso_l4_header(const struct __sk_buff *skb, const struct packet *packet)
{
	__u8 data_offset = 0;

	if (packet->tuple.protocol != IPPROTO_TCP)
		return sizeof(struct udphdr);
	if (bpf_skb_load_bytes(skb, packet->l4_offset + TCP_DATA_OFFSET, &data_offset, sizeof(data_offset)))
		return sizeof(struct tcphdr);
	return (data_offset >> 4) * 4;
}

/* Bytes that one IP packet of this skb has on the wire: a GSO skb is many of them. */
static __always_inline __u32 skb_packet_size(const struct __sk_buff *skb, const struct packet *packet)
{
	if (skb->gso_size)
		return packet->l4_offset - ETHERNET_HEADER + gso_l4_header(skb, packet) + skb->gso_size;
	return skb->len - ETHERNET_HEADER;
}

static __always_inline void route_question(
	struct bpf_fib_lookup *fib, const struct __sk_buff *skb, const struct packet *packet)
{
	fib->ifindex = skb->ifindex;
	/*
	 * Any length asks for the MTU of the path, and not the interface's: what ICMP told, and a route's `mtu lock`
	 * (the helper ignores an `mtu` that is not locked). Who sends compares every packet with it.
	 */
	fib->tot_len = IPV6_HEADER;
	fib->l4_protocol = packet->tuple.protocol;
	fib->sport = packet->tuple.source_port_be;
	fib->dport = packet->tuple.destination_port_be;
	if (packet->tuple.ipv6) {
		fib->family = AF_INET6;
		__builtin_memcpy(fib->ipv6_src, &packet->tuple.source, sizeof(fib->ipv6_src));
		__builtin_memcpy(fib->ipv6_dst, &packet->tuple.destination, sizeof(fib->ipv6_dst));
	} else {
		fib->family = AF_INET;
		fib->ipv4_src = packet->tuple.source.words[3];
		fib->ipv4_dst = packet->tuple.destination.words[3];
	}
}

static __always_inline void route_remember(struct flow_state *flow, const struct bpf_fib_lookup *fib, __u32 now)
{
	struct ip_address *hop = &flow->next_hop;

	if (fib->family == AF_INET6) {
		__builtin_memcpy(hop, fib->ipv6_dst, sizeof(*hop));
	} else {
		hop->words[0] = hop->words[1] = 0;
		hop->words[2] = MAPPED_WORD;
		hop->words[3] = fib->ipv4_dst;
	}
	flow->route_mtu = fib->mtu_result;
	flow->route_ifindex = fib->ifindex;
	WRITE_ONCE(flow->route_seen, now);
}

/*
 * Whether the destination has become a workload of this node, as by migration: its ingress policy was never asked, and
 * where its class stayed the same no generation told so.
 */
static __always_inline bool destination_moved_here(const struct packet *packet)
{
	struct tuple tuple = packet->tuple;
	const struct peer *peer;

	tuple_map(&tuple);
	peer = bpf_map_lookup_elem(&addresses, &tuple.destination);
	return peer && peer->ifindex;
}

/* Lets the next packet ask policy again: no side has subject 0 of its own. */
static __always_inline void flow_invalidate(struct flow_state *flow)
{
	WRITE_ONCE(flow->source.subject, 0);
	WRITE_ONCE(flow->destination.subject, 0);
}

/*
 * REASON_FORWARDED: the flow knows its next hop now. FOR_STACK: only the stack can do what is needed, such as routing by
 * rules that the FIB helper does not know. What the FIB would not forward must not reach the stack, which would take it
 * for its own: broadcast, anycast and whatever else is local without being an address of the node.
 */
SUBPROGRAM int route_refresh(struct __sk_buff *skb, const struct packet *packet, struct flow_state *flow, __u32 now)
{
	struct bpf_fib_lookup fib = {};
	long result;

	if (!packet || !flow)
		return FOR_STACK;
	if (destination_moved_here(packet)) {
		flow_invalidate(flow);
		return REASON_UNKNOWN_DESTINATION;
	}
	route_question(&fib, skb, packet);
	result = bpf_fib_lookup(skb, &fib, sizeof(fib), BPF_FIB_LOOKUP_SKIP_NEIGH);
	if (result == BPF_FIB_LKUP_RET_SUCCESS) {
		route_remember(flow, &fib, now);
		return REASON_FORWARDED;
	}
	flow->route_ifindex = 0;
	if (result == BPF_FIB_LKUP_RET_BLACKHOLE || result == BPF_FIB_LKUP_RET_UNREACHABLE ||
		result == BPF_FIB_LKUP_RET_PROHIBIT || result == BPF_FIB_LKUP_RET_NOT_FWDED)
		return REASON_NO_ROUTE;
	return FOR_STACK;
}

static __always_inline bool route_is_fresh(const struct flow_state *flow, __u32 now)
{
	return flow->route_ifindex && clock_since(now, flow->route_seen) < ROUTE_LIFETIME;
}

/* Sends the packet to the flow's next hop, through the neighbour table. */
static __always_inline int route_redirect(const struct flow_state *flow)
{
	struct bpf_redir_neigh neighbour = {};

	if (flow->next_hop.words[2] == MAPPED_WORD && !flow->next_hop.words[0]) {
		neighbour.nh_family = AF_INET;
		neighbour.ipv4_nh = flow->next_hop.words[3];
	} else {
		neighbour.nh_family = AF_INET6;
		__builtin_memcpy(neighbour.ipv6_nh, &flow->next_hop, sizeof(neighbour.ipv6_nh));
	}
	return bpf_redirect_neigh(flow->route_ifindex, &neighbour, sizeof(neighbour), 0);
}

#endif
