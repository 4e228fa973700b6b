/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* Parsing a tc packet: direct access, after one pull where the linear part is too short. */
#ifndef SLUICE_LIB_SKB_H
#define SLUICE_LIB_SKB_H

#include "lib/fragment.h"
#include "lib/parse.h"

/*
 * Packets that the programs have decided about carry this mark, so that a hook which they pass next lets them:
 * delivery by bpf_redirect leaves through to_endpoint, and to the world through to_world. Only a process with
 * CAP_NET_ADMIN in the node's namespace could set it otherwise; crossing namespaces clears it.
 */
#define MARK_DECIDED 0x51a1ce00

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

SUBPROGRAM int skb_parse_extensions(struct __sk_buff *skb, struct packet *packet, struct network *network)
{
	if (!packet || !network)
		return REASON_MALFORMED;
	skb_make_linear(skb, IPV6_MAX_L4_OFFSET + sizeof(struct tcphdr));
	return parse_ipv6_extensions(packet, skb_data(skb), skb_end(skb), network);
}

static __always_inline int skb_parse_l4(struct __sk_buff *skb, struct packet *packet, const bool ipv6)
{
	__u32 offset = packet->l4_offset;

	if (offset > ETHERNET_HEADER + IPV6_MAX_L4_OFFSET)
		return REASON_MALFORMED;
	return parse_l4(packet, skb_data(skb) + offset, skb_end(skb), ipv6);
}

/* Fills packet->tuple of a zeroed packet. */
static __always_inline int skb_parse(struct __sk_buff *skb, struct packet *packet, const bool ipv6)
{
	const __u32 minimum = ETHERNET_HEADER + (ipv6 ? IPV6_HEADER : IPV4_HEADER);
	struct network network = {};
	int reason;

	skb_make_linear(skb, minimum + sizeof(struct tcphdr));
	if (ipv6)
		reason = parse_ipv6(packet, skb_data(skb), skb_end(skb), ETHERNET_HEADER, &network);
	else
		reason = parse_ipv4(packet, skb_data(skb), skb_end(skb), ETHERNET_HEADER, &network);
	if (!reason && ipv6 && unlikely(ipv6_is_extension(packet->tuple.protocol)))
		reason = skb_parse_extensions(skb, packet, &network);
	if (unlikely(reason))
		return reason;
	packet->l4_offset = network.l4_offset;
	if (unlikely(network.l4_offset != minimum))
		skb_make_linear(skb, (network.l4_offset & 0x3ff) + sizeof(struct tcphdr));
	if (!(packet->flags & PACKET_LATER_FRAGMENT))
		reason = skb_parse_l4(skb, packet, ipv6);
	if (!reason && unlikely(packet->flags & (PACKET_FIRST_FRAGMENT | PACKET_LATER_FRAGMENT)))
		reason = fragment_ports(packet, network.fragment_identification);
	return reason;
}

#endif
