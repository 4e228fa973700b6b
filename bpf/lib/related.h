/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/*
 * ICMP errors belong to the flow of the packet that they quote (RFC 5508): they pass when it does, and where it is
 * translated, they and their quotation are translated back.
 */
#ifndef SLUICE_LIB_RELATED_H
#define SLUICE_LIB_RELATED_H

#include "lib/admit.h"
#include "lib/conntrack.h"
#include "lib/nat.h"

/* All of an error that is looked at: its quotation's IP header without options, and TCP's up to the checksum. */
#define QUOTED_L4 20

static __noinline int quoted_read(struct __sk_buff *skb, const struct packet *packet, struct packet *quoted)
{
	__u32 offset = packet->l4_offset + ICMP_HEADER;

	if (offset > ETHERNET_HEADER + IPV6_MAX_L4_OFFSET)
		return REASON_MALFORMED;
	skb_make_linear(skb, offset + IPV6_HEADER + QUOTED_L4);
	if (packet->tuple.ipv6)
		return parse_quoted(quoted, skb_data(skb), skb_end(skb), offset, true);
	return parse_quoted(quoted, skb_data(skb), skb_end(skb), offset, false);
}

/* Whether the error comes from elsewhere in the name of somebody here: the stack may have put the node's on what it forwards. */
static __always_inline bool source_is_forged(struct packet *packet)
{
	const struct peer *source;

	if (packet->origin != ORIGIN_WORLD && packet->origin != ORIGIN_FORWARDED)
		return false;
	tuple_map(&packet->tuple);
	source = address_find(&packet->tuple.source);
	if (!source)
		return false;
	if (source->flags & PEER_HOST)
		return packet->origin == ORIGIN_WORLD;
	return source->ifindex || peer_is_nobody(source);
}

/*
 * Gives the error the tuple of the quoted packet's reply, if that flow is alive: the error goes to the quoted
 * sender, from a workload come errors only about what it was sent itself, and from elsewhere none in the name of anybody
 * here. What is not related is a packet like any other.
 */
SUBPROGRAM int related_find(struct __sk_buff *skb, struct packet *packet)
{
	struct packet quoted = {};
	const struct flow_state *flow;

	if (!packet || packet->flags & PACKET_FIRST_FRAGMENT || quoted_read(skb, packet, &quoted))
		return 0;
	if (!address_same(&quoted.tuple.source, &packet->tuple.destination, quoted.tuple.ipv6))
		return 0;
	if (source_is_forged(packet))
		return 0;
	if (packet->origin == ORIGIN_CHECKED && !address_same(&quoted.tuple.destination, &packet->tuple.source, quoted.tuple.ipv6))
		return 0;
	tuple_reverse(&quoted.tuple);
	flow = conntrack_find_any(&quoted.tuple);
	if (!flow || !flow_is_alive(flow, &quoted, clock_ticks(), quoted.tuple.ipv6))
		return 0;
	packet->tuple = quoted.tuple;
	packet->flags |= PACKET_RELATED;
	return 0;
}

static __always_inline __u16 checksum_add(__u16 checksum, __u32 difference)
{
	__u64 sum = (__u64)(__u16)~checksum + difference;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Where the quotation stands and what of it changes. */
struct quotation {
	struct checksum icmp; /* of the error itself, which covers the quotation */
	__u32 ip_offset;
	__u32 l4_offset;
	__u32 difference; /* that addresses and ports make in the quoted L4 checksum */
};

static __always_inline __u32 port_difference(__be16 old_be, __be16 new_be)
{
	return (__u32)new_be + (__u16)~old_be;
}

/* One end of the quotation. In IPv4 its IP checksum takes the change up, so that the error's own stays right. */
static __noinline int quoted_address(struct __sk_buff *skb, struct quotation *quotation, bool source,
	const struct ip_address *old, const struct ip_address *new)
{
	bool ipv6 = !ipv6_is_mapped(new);
	__u32 offset = ip_address_offset(quotation->ip_offset, source, ipv6);
	__u32 difference = address_difference(old, new);
	__u64 sum = (__u64)quotation->difference + difference;
	long error;

	quotation->difference = (__u32)sum + (sum >> 32);
	if (ipv6) {
		error = bpf_l4_csum_replace(skb, quotation->icmp.offset, 0, difference, 0) ||
			bpf_skb_store_bytes(skb, offset, new, sizeof(*new), 0);
	} else {
		error = bpf_l3_csum_replace(skb, quotation->ip_offset + IPV4_CHECKSUM, old->words[3], new->words[3],
				sizeof(__be32)) ||
			bpf_skb_store_bytes(skb, offset, &new->words[3], sizeof(__be32), 0);
	}
	return error ? REASON_REWRITE_FAILED : REASON_FORWARDED;
}

static __noinline int quoted_port(
	struct __sk_buff *skb, struct quotation *quotation, bool source, __be16 old_be, __be16 new_be)
{
	__u64 sum = (__u64)quotation->difference + port_difference(old_be, new_be);

	quotation->difference = (__u32)sum + (sum >> 32);
	return rewrite_port(skb, &quotation->icmp, quotation->l4_offset + (source ? 0 : 2), old_be, new_be);
}

/* The quoted L4 checksum, where the quotation reaches that far and it is not a UDP zero. */
static __noinline int quoted_checksum(struct __sk_buff *skb, const struct quotation *quotation, __u8 protocol)
{
	__u32 distance = l4_checksum_distance(protocol);
	__u32 offset = quotation->l4_offset + distance;
	__u16 old, new;

	if (!distance || bpf_skb_load_bytes(skb, offset, &old, sizeof(old)))
		return REASON_FORWARDED;
	if (!old && protocol == IPPROTO_UDP)
		return REASON_FORWARDED;
	new = checksum_add(old, quotation->difference);
	return rewrite_port(skb, &quotation->icmp, offset, old, new);
}

/* The outer header: where it names a translated end, it changes with it. */
static __noinline int related_outer(struct __sk_buff *skb, const struct packet *packet, bool source,
	const struct ip_address *old, const struct ip_address *new)
{
	struct checksum checksum = {};
	struct ip_address address = *old;
	__u32 offset = ip_address_offset(ETHERNET_HEADER, source, packet->tuple.ipv6);

	if (packet->tuple.ipv6) {
		checksum.offset = packet->l4_offset + ICMP_CHECKSUM;
		if (bpf_skb_load_bytes(skb, offset, &address, sizeof(address)))
			return REASON_REWRITE_FAILED;
	} else if (bpf_skb_load_bytes(skb, offset, &address.words[3], sizeof(__be32))) {
		return REASON_REWRITE_FAILED;
	}
	if (!address_equal(&address, old))
		return REASON_FORWARDED;
	return rewrite_address(skb, packet, source, old, new, &checksum);
}

/* The error's source end is the quoted destination. */
static __always_inline int related_quotation(
	struct __sk_buff *skb, const struct tuple *tuple, const struct tuple *next, struct quotation *quotation)
{
	int reason = quoted_address(skb, quotation, false, &tuple->source, &next->source);

	if (!reason)
		reason = quoted_address(skb, quotation, true, &tuple->destination, &next->destination);
	if (!reason)
		reason = quoted_port(skb, quotation, false, tuple->source_port_be, next->source_port_be);
	if (!reason)
		reason = quoted_port(skb, quotation, true, tuple->destination_port_be, next->destination_port_be);
	if (!reason)
		reason = quoted_checksum(skb, quotation, tuple->protocol);
	return reason;
}

SUBPROGRAM int translate_related(
	struct __sk_buff *skb, struct packet *packet, const struct flow_state *flow, bool from_origin)
{
	struct quotation quotation = {};
	struct tuple next;
	__u8 first_byte;
	int reason;

	if (!packet || !flow)
		return REASON_REWRITE_FAILED;
	quotation.icmp.offset = packet->l4_offset + ICMP_CHECKSUM;
	quotation.ip_offset = packet->l4_offset + ICMP_HEADER;
	tuple_map(&packet->tuple);
	reason = translation_of(&next, &packet->tuple, flow, from_origin);
	if (reason)
		return reason;
	if (bpf_skb_load_bytes(skb, quotation.ip_offset, &first_byte, sizeof(first_byte)))
		return REASON_REWRITE_FAILED;
	quotation.l4_offset = quotation.ip_offset + (next.ipv6 ? IPV6_HEADER : (first_byte & 0xf) * 4);
	reason = related_quotation(skb, &packet->tuple, &next, &quotation);
	if (!reason)
		reason = related_outer(skb, packet, true, &packet->tuple.source, &next.source);
	if (!reason)
		reason = related_outer(skb, packet, false, &packet->tuple.destination, &next.destination);
	packet->tuple = next;
	return reason;
}

#endif
