// SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0)
/* The node's uplink: what comes from the world (ingress) and what leaves for it (egress). */
#include "lib/forward.h"

#define VLAN_ID_MASK 0xfff

static __always_inline bool is_for_host(struct packet *packet)
{
	const struct peer *destination;

	tuple_map(&packet->tuple);
	destination = address_find(&packet->tuple.destination);
	return destination && destination->flags & PEER_HOST;
}

/* Whether the packet is for the node and its policy holds: in audit it has no say. */
static __always_inline bool is_for_closed_host(struct packet *packet)
{
	const struct endpoint *host = endpoint_find(HOST_IFINDEX);

	return host && !(host->flags & ENDPOINT_AUDIT) && is_for_host(packet);
}

/*
 * What we cannot read may be the node's own; where it is for a workload, to_endpoint drops it. The stack may read what we
 * cannot, such as a long chain of extension headers; later fragments are nothing without their first.
 */
static __always_inline int take_unread(struct packet *packet, int reason)
{
	if (reason != REASON_FRAGMENT_WITHOUT_FIRST && is_for_closed_host(packet))
		return drop_skb(packet, reason);
	return TC_ACT_OK;
}

static __always_inline int from_world_ip(struct __sk_buff *skb, struct packet *packet, const bool ipv6)
{
	int reason = skb_parse(skb, packet, ipv6);

	if (unlikely(reason))
		return take_unread(packet, reason);
	/* Routers forward no link-layer broadcasts (RFC 1812 section 5.3.4), but the node itself takes them. */
	if (unlikely(skb->pkt_type != PACKET_HOST) && !is_for_host(packet))
		return TC_ACT_OK;
	return forward(skb, packet, NULL, HOOK_FROM_WORLD, ipv6);
}

/*
 * The stack drops what is for another MAC address. A tag belongs to a VLAN device over this one, which has hooks of its
 * own, except for a tag that names no VLAN, but a priority (IEEE 802.1Q section 6.9): the stack takes it off and sees the
 * frame as any other.
 */
static __always_inline bool frame_is_for_node(struct __sk_buff *skb)
{
	if (skb->pkt_type == PACKET_OTHERHOST)
		return false;
	if (likely(!skb->vlan_present))
		return true;
	return !(skb->vlan_tci & VLAN_ID_MASK) && !bpf_skb_vlan_pop(skb);
}

SEC("tc")
int from_world(struct __sk_buff *skb)
{
	struct packet packet = {
		.length = skb->len,
		.decision = {.ifindex = skb->ifindex, .direction = DIRECTION_INGRESS},
	};

	if (unlikely(skb->mark == MARK_ANSWER)) {
		skb->mark = 0;
		return TC_ACT_OK;
	}
	if (unlikely(!frame_is_for_node(skb)))
		return TC_ACT_OK;
	if (likely(skb->protocol == bpf_htons(ETH_P_IP)))
		return from_world_ip(skb, &packet, false);
	if (feature_ipv6 && skb->protocol == bpf_htons(ETH_P_IPV6))
		return from_world_ip(skb, &packet, true);
	return TC_ACT_OK;
}

/* The ports are for the event, where they can be read. */
static __always_inline int drop_unsent(
	struct __sk_buff *skb, struct packet *packet, __u32 l4_offset, int reason, const bool ipv6)
{
	packet->l4_offset = l4_offset;
	if (!(packet->flags & PACKET_LATER_FRAGMENT))
		skb_parse_l4(skb, packet, ipv6);
	return drop_skb(packet, reason);
}

/* ICMP errors are the stack's word about others' packets too, whose flows are none of the node's. */
static __always_inline int send_of_host(struct __sk_buff *skb, struct packet *packet, __u32 l4_offset,
	const struct endpoint *host, const bool ipv6)
{
	int reason = skb_parse_rest(skb, packet, l4_offset, ipv6);

	if (reason && !(host->flags & ENDPOINT_AUDIT))
		return drop_skb(packet, reason);
	if (reason || packet->flags & PACKET_ICMP_ERROR)
		return deliver_as_it_is(packet);
	return forward(skb, packet, host, HOOK_TO_WORLD, ipv6);
}

/*
 * A workload's packets leave only after from_endpoint has decided about them; its address on any other packet is
 * somebody else's work, and so is one of the node's range that no workload has. Nor does the node send to such. Where
 * addresses cannot be read, nobody can say whose the packet is.
 */
static __always_inline int to_world_ip(struct __sk_buff *skb, struct packet *packet, const bool ipv6)
{
	const struct peer *source, *destination;
	const struct endpoint *host;
	__u32 l4_offset;
	int reason = skb_parse_ip(skb, packet, &l4_offset, ipv6);

	if (reason)
		return drop_skb(packet, reason);
	tuple_map(&packet->tuple);
	source = address_find(&packet->tuple.source);
	if (source && (source->ifindex || peer_is_nobody(source)))
		return drop_unsent(skb, packet, l4_offset, REASON_SPOOFED_ADDRESS, ipv6);
	destination = address_find(&packet->tuple.destination);
	if (destination && peer_is_nobody(destination))
		return drop_unsent(skb, packet, l4_offset, REASON_UNKNOWN_DESTINATION, ipv6);
	host = source && source->flags & PEER_HOST ? endpoint_find(HOST_IFINDEX) : NULL;
	if (unlikely(host))
		return send_of_host(skb, packet, l4_offset, host, ipv6);
	return deliver_as_it_is(packet);
}

SEC("tc")
int to_world(struct __sk_buff *skb)
{
	struct packet packet = {
		.length = skb->len,
		.decision = {.ifindex = skb->ifindex, .direction = DIRECTION_EGRESS},
	};

	if (skb->mark == MARK_TO_WORLD) {
		skb->mark = 0;
		return TC_ACT_OK;
	}
	if (likely(skb->protocol == bpf_htons(ETH_P_IP)))
		return to_world_ip(skb, &packet, false);
	if (feature_ipv6 && skb->protocol == bpf_htons(ETH_P_IPV6))
		return to_world_ip(skb, &packet, true);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "Dual BSD/GPL";
