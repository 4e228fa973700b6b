// SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0)
/*
 * A backend's receiving side: takes off what balancers put before packets to its VIPs, which stand on its loopback. It
 * needs no tunnel device. `decap` is for XDP, `decap_tc` for interfaces whose driver has none. All other packets pass.
 */
#include "lib/congestion.h"
#include "lib/decapsulate.h"
#include "lib/skb.h"
#include "lib/xdp.h"

#include <linux/pkt_cls.h>

/* Takes the outer headers out from behind the Ethernet header. */
static __always_inline int strip_xdp(struct xdp_md *xdp, const struct outer *outer)
{
	struct ethhdr ethernet;

	if (xdp_data(xdp) + sizeof(ethernet) > xdp_end(xdp))
		return REASON_MALFORMED;
	__builtin_memcpy(&ethernet, xdp_data(xdp), sizeof(ethernet));
	ethernet.h_proto = inner_ethertype(outer);
	if (bpf_xdp_adjust_head(xdp, outer->length) || xdp_data(xdp) + sizeof(ethernet) > xdp_end(xdp))
		return REASON_REWRITE_FAILED;
	__builtin_memcpy(xdp_data(xdp), &ethernet, sizeof(ethernet));
	return REASON_FORWARDED;
}

/*
 * The same for an skb, whose family the kernel keeps beside the packet: it is changed first, by a helper that takes 20
 * bytes out or puts them in. The segments of a GSO packet keep their size.
 */
static __always_inline int strip_skb(struct __sk_buff *skb, const struct outer *outer)
{
	const int difference = IPV6_HEADER - IPV4_HEADER;
	bool inner_ipv6 = outer->protocol == IPPROTO_IPV6;
	int length = outer->length;
	struct ethhdr *ethernet;

	if (inner_ipv6 != outer->ipv6) {
		if (bpf_skb_change_proto(skb, inner_ethertype(outer), 0))
			return REASON_REWRITE_FAILED;
		length += inner_ipv6 ? difference : -difference;
	}
	if (bpf_skb_adjust_room(skb, -length, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return REASON_REWRITE_FAILED;
	skb_make_linear(skb, ETHERNET_HEADER + IPV6_HEADER);
	ethernet = skb_data(skb);
	if ((void *)(ethernet + 1) > skb_end(skb))
		return REASON_REWRITE_FAILED;
	ethernet->h_proto = inner_ethertype(outer);
	return REASON_FORWARDED;
}

static __always_inline int carry_congestion(const struct outer *outer, void *data, void *end)
{
	if ((outer->traffic_class & ECN_MASK) != ECN_CONGESTION_EXPERIENCED)
		return REASON_FORWARDED;
	return mark_congestion(data + ETHERNET_HEADER, end, outer->protocol == IPPROTO_IPV6);
}

SEC("xdp")
int decap(struct xdp_md *xdp)
{
	struct packet packet = {
		.length = xdp->data_end - xdp->data,
		.decision = {.ifindex = xdp->ingress_ifindex, .direction = DIRECTION_INGRESS},
	};
	struct outer outer = {};
	int reason;

	if (!is_for_decapsulation(&outer, &packet, xdp_data(xdp), xdp_end(xdp)))
		return XDP_PASS;
	reason = strip_xdp(xdp, &outer);
	if (!reason)
		reason = carry_congestion(&outer, xdp_data(xdp), xdp_end(xdp));
	if (reason)
		return drop_xdp(&packet, reason);
	count_packet(REASON_FORWARDED, DIRECTION_INGRESS, packet.length);
	return XDP_PASS;
}

SEC("tc")
int decap_tc(struct __sk_buff *skb)
{
	struct packet packet = {
		.length = skb->len,
		.decision = {.ifindex = skb->ifindex, .direction = DIRECTION_INGRESS},
	};
	struct outer outer = {};
	int reason;

	skb_make_linear(skb, ETHERNET_HEADER + OUTER_MAX + IPV6_HEADER);
	if (!is_for_decapsulation(&outer, &packet, skb_data(skb), skb_end(skb)))
		return TC_ACT_UNSPEC; /* to the next program, or the stack */
	reason = strip_skb(skb, &outer);
	if (!reason)
		reason = carry_congestion(&outer, skb_data(skb), skb_end(skb));
	if (reason) {
		drop_packet(&packet, reason);
		return TC_ACT_SHOT;
	}
	count_packet(REASON_FORWARDED, DIRECTION_INGRESS, packet.length);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
