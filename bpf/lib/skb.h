/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* Parsing a tc packet: direct access, after one pull where the linear part is too short. */
#ifndef SLUICE_LIB_SKB_H
#define SLUICE_LIB_SKB_H

#include "lib/fragment.h"
#include "lib/parse.h"

/*
 * Packets that the programs have decided about carry a mark, so that the hook which they pass next lets them: delivery
 * by bpf_redirect leaves through to_endpoint, what goes out through to_world, also by way of the stack. Each hook takes
 * its own mark alone: what was decided to be for the world may be routed to a workload. Only a process with
 * CAP_NET_ADMIN in the node's namespace could set them otherwise; crossing namespaces clears them. MARK_ANSWER is for what
 * to_endpoint and to_world answer to the stack, in the other end's name: from_endpoint and from_world, to which the answer
 * comes as from there, hand it on, undecided about as it is.
 */
#define MARK_TO_ENDPOINT 0x51a1ce00
#define MARK_TO_WORLD    0x51a1ce01
#define MARK_ANSWER      0x51a1ce02

static __always_inline void *skb_data(const struct __sk_buff *skb)
{
	return (void *)(long)skb->data;
}

static __always_inline void *skb_end(const struct __sk_buff *skb)
{
	return (void *)(long)skb->data_end;
}

/* Makes the first `bytes` bytes, or all of a shorter packet, accessible. Pointers must be taken anew. */
static __always_inline void skb_make_linear(struct __sk_buff *skb, __u32 bytes)
{
	if (likely(skb_data(skb) + bytes <= skb_end(skb)))
		return;
	if (skb->data_end - skb->data < skb->len)
		bpf_skb_pull_data(skb, skb->len < bytes ? skb->len : bytes);
}

SUBPROGRAM int skb_parse_extensions(struct __sk_buff *skb, struct packet *packet, __u32 *l4_offset)
{
	if (!packet || !l4_offset)
		return REASON_MALFORMED;
	skb_make_linear(skb, IPV6_MAX_L4_OFFSET + sizeof(struct tcphdr));
	return parse_ipv6_extensions(packet, skb_data(skb), skb_end(skb), l4_offset);
}

static __always_inline int skb_parse_l4(struct __sk_buff *skb, struct packet *packet, const bool ipv6)
{
	__u32 offset = packet->l4_offset;

	if (offset > ETHERNET_HEADER + IPV6_MAX_L4_OFFSET)
		return REASON_MALFORMED;
	return parse_l4(packet, skb_data(skb) + offset, skb_end(skb), ipv6);
}

/* The fixed IP header of a zeroed packet: its addresses. */
static __always_inline int skb_parse_ip(
	struct __sk_buff *skb, struct packet *packet, __u32 *l4_offset, const bool ipv6)
{
	skb_make_linear(skb, ETHERNET_HEADER + (ipv6 ? IPV6_HEADER : IPV4_HEADER) + sizeof(struct tcphdr));
	if (ipv6)
		return parse_ipv6(packet, skb_data(skb), skb_end(skb), ETHERNET_HEADER, l4_offset);
	return parse_ipv4(packet, skb_data(skb), skb_end(skb), ETHERNET_HEADER, l4_offset);
}

/* What follows the fixed IP header. */
static __always_inline int skb_parse_rest(
	struct __sk_buff *skb, struct packet *packet, __u32 l4_offset, const bool ipv6)
{
	int reason = REASON_FORWARDED;

	if (ipv6 && unlikely(ipv6_is_extension(packet->tuple.protocol)))
		reason = skb_parse_extensions(skb, packet, &l4_offset);
	if (unlikely(reason))
		return reason;
	packet->l4_offset = l4_offset;
	if (unlikely(l4_offset != ETHERNET_HEADER + (ipv6 ? IPV6_HEADER : IPV4_HEADER)))
		skb_make_linear(skb, (l4_offset & 0x3ff) + sizeof(struct tcphdr));
	if (unlikely(packet->flags & PACKET_LATER_FRAGMENT))
		return fragment_find(packet);
	return skb_parse_l4(skb, packet, ipv6);
}

/* Fills packet->tuple of a zeroed packet. */
static __always_inline int skb_parse(struct __sk_buff *skb, struct packet *packet, const bool ipv6)
{
	__u32 l4_offset = 0;
	int reason = skb_parse_ip(skb, packet, &l4_offset, ipv6);

	return unlikely(reason) ? reason : skb_parse_rest(skb, packet, l4_offset, ipv6);
}

#endif
