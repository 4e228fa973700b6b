/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* Sending a decided packet on its way: to a local workload, to the stack, or out. */
#ifndef SLUICE_LIB_DELIVER_H
#define SLUICE_LIB_DELIVER_H

#include "lib/endpoint.h"
#include "lib/event.h"
#include "lib/route.h"
#include "lib/skb.h"

#include <linux/if_packet.h>
#include <linux/pkt_cls.h>

/* As a router does. IPv4: the checksum is updated by RFC 1624; IPv6 has none, but the skb's may cover it. */
static __always_inline int decrease_hops(struct __sk_buff *skb, const bool ipv6)
{
	struct ipv6hdr *ip6 = skb_data(skb) + ETHERNET_HEADER;
	struct iphdr *ip4 = skb_data(skb) + ETHERNET_HEADER;
	__u32 sum;

	if (ipv6) {
		if ((void *)(ip6 + 1) > skb_end(skb))
			return REASON_MALFORMED;
		if (ip6->hop_limit <= 1)
			return REASON_TTL_EXCEEDED;
		ip6->hop_limit--;
		/* The word next header, hop limit became smaller by one: in one's complement, plus ~htons(1). */
		bpf_csum_update(skb, (__u16)~bpf_htons(1));
		return REASON_FORWARDED;
	}
	if ((void *)(ip4 + 1) > skb_end(skb))
		return REASON_MALFORMED;
	if (ip4->ttl <= 1)
		return REASON_TTL_EXCEEDED;
	ip4->ttl--;
	sum = (__u32)ip4->check + bpf_htons(0x0100);
	ip4->check = sum + (sum >= 0xffff);
	return REASON_FORWARDED;
}

static __always_inline int write_macs(struct __sk_buff *skb, const __u8 *destination, const __u8 *source)
{
	struct ethhdr *ethernet = skb_data(skb);

	if ((void *)(ethernet + 1) > skb_end(skb))
		return REASON_MALFORMED;
	__builtin_memcpy(ethernet->h_dest, destination, ETH_ALEN);
	__builtin_memcpy(ethernet->h_source, source, ETH_ALEN);
	return REASON_FORWARDED;
}

/* Packets that were for another MAC address before would be dropped by the receiver's stack. */
static __always_inline void mark_decided(struct __sk_buff *skb, __u32 mark)
{
	if (unlikely(skb->pkt_type != PACKET_HOST))
		bpf_skb_change_type(skb, PACKET_HOST);
	if (skb->mark != mark)
		skb->mark = mark;
}

/* The stack answers whoever sent too few hops (RFC 1812 section 5.3.1, RFC 4443 section 3.3): it forwards none either. */
static __always_inline int deliver_failed(struct __sk_buff *skb, struct packet *packet, int reason)
{
	drop_packet(packet, reason);
	if (reason != REASON_TTL_EXCEEDED)
		return TC_ACT_SHOT;
	mark_decided(skb, MARK_TO_WORLD);
	return TC_ACT_OK;
}

static __always_inline int deliver_local(struct __sk_buff *skb, struct packet *packet,
	const struct endpoint *receiver, __u32 ifindex, const bool ipv6)
{
	int reason = decrease_hops(skb, ipv6);

	if (!reason)
		reason = write_macs(skb, receiver->mac, receiver->node_mac);
	if (unlikely(reason))
		return deliver_failed(skb, packet, reason);
	count_packet(REASON_FORWARDED, packet->decision.direction, packet->length);
	if (receiver->flags & ENDPOINT_PEER_NETNS) {
		mark_decided(skb, 0);
		return bpf_redirect_peer(ifindex, 0);
	}
	mark_decided(skb, MARK_TO_ENDPOINT);
	return bpf_redirect(ifindex, 0);
}

/* To where it was going anyway. */
static __always_inline int deliver_as_it_is(const struct packet *packet)
{
	count_packet(REASON_FORWARDED, packet->decision.direction, packet->length);
	return TC_ACT_OK;
}

/* For the stack to forward, which decreases the hop count itself; the mark is for to_world. */
static __always_inline int deliver_stack(struct __sk_buff *skb, const struct packet *packet)
{
	count_packet(REASON_FORWARDED, packet->decision.direction, packet->length);
	mark_decided(skb, MARK_TO_WORLD);
	return TC_ACT_OK;
}

static __always_inline int deliver_world(
	struct __sk_buff *skb, struct packet *packet, struct flow_state *flow, __u32 now, const bool ipv6)
{
	int reason = REASON_FORWARDED;

	if (unlikely(!route_is_fresh(flow, now)))
		reason = route_refresh(skb, packet, flow, now);
	if (!reason && (flow->flags & FLOW_FORWARDED || skb_packet_size(skb, packet) > flow->route_mtu))
		reason = FOR_STACK;
	if (reason == FOR_STACK)
		return deliver_stack(skb, packet);
	if (!reason)
		reason = decrease_hops(skb, ipv6);
	if (unlikely(reason))
		return deliver_failed(skb, packet, reason);
	count_packet(REASON_FORWARDED, packet->decision.direction, packet->length);
	mark_decided(skb, MARK_TO_WORLD);
	return route_redirect(flow);
}

#endif
