// SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0)
/* A workload's interface, on its node side: what the workload sends (ingress) and what it is sent (egress). */
#include "lib/forward.h"
#include "lib/neighbour.h"

static __always_inline int check_source(
	struct __sk_buff *skb, const struct packet *packet, const struct endpoint *endpoint, const bool ipv6)
{
	const struct ethhdr *ethernet = skb_data(skb);

	if ((const void *)(ethernet + 1) > skb_end(skb))
		return REASON_MALFORMED;
	if (!mac_equal(ethernet->h_source, endpoint->mac))
		return REASON_SPOOFED_MAC;
	/* Neighbour discovery checks its own addresses. */
	if (ipv6 && unlikely(nd_is(packet)))
		return REASON_FORWARDED;
	if (likely(endpoint_owns(endpoint, &packet->tuple.source, ipv6)))
		return REASON_FORWARDED;
	/* Listener reports and router solicitations of every stack that has IPv6 are no attempt to deceive. */
	return ipv6 && ipv6_is_multicast(&packet->tuple.destination) ? REASON_MULTICAST : REASON_SPOOFED_ADDRESS;
}

static __always_inline int from_endpoint_ip(
	struct __sk_buff *skb, struct packet *packet, const struct endpoint *endpoint, const bool ipv6)
{
	int reason = skb_parse(skb, packet, ipv6);

	if (!reason)
		reason = check_source(skb, packet, endpoint, ipv6);
	if (unlikely(reason))
		return drop_skb(packet, reason);
	if (ipv6 && unlikely(nd_is(packet)))
		return nd_respond(skb, packet, endpoint);
	return forward(skb, packet, endpoint, HOOK_FROM_ENDPOINT, ipv6);
}

SEC("tc")
int from_endpoint(struct __sk_buff *skb)
{
	const struct endpoint *endpoint = endpoint_find(skb->ifindex);
	struct packet packet = {
		.length = skb->len,
		.decision = {.ifindex = skb->ifindex, .direction = DIRECTION_EGRESS},
	};

	if (unlikely(skb->mark == MARK_ANSWER)) {
		skb->mark = MARK_TO_WORLD;
		return TC_ACT_OK;
	}
	if (unlikely(!endpoint))
		return drop_skb(&packet, REASON_UNKNOWN_INTERFACE);
	if (unlikely(skb->vlan_present))
		return drop_skb(&packet, REASON_UNSUPPORTED_PROTOCOL);
	if (likely(skb->protocol == bpf_htons(ETH_P_IP)))
		return from_endpoint_ip(skb, &packet, endpoint, false);
	if (feature_ipv6 && skb->protocol == bpf_htons(ETH_P_IPV6))
		return from_endpoint_ip(skb, &packet, endpoint, true);
	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return arp_respond(skb, &packet, endpoint);
	return drop_skb(&packet, REASON_UNSUPPORTED_PROTOCOL);
}

static __always_inline int check_destination(
	const struct packet *packet, const struct endpoint *endpoint, const bool ipv6)
{
	if (likely(endpoint_owns(endpoint, &packet->tuple.destination, ipv6)))
		return REASON_FORWARDED;
	return ipv6 && ipv6_is_multicast(&packet->tuple.destination) ? REASON_MULTICAST :
								       REASON_UNKNOWN_DESTINATION;
}

static __always_inline int to_endpoint_ip(
	struct __sk_buff *skb, struct packet *packet, const struct endpoint *endpoint, const bool ipv6)
{
	int reason = skb_parse(skb, packet, ipv6);

	/* The node's stack asks for the workload's MAC address, and answers its questions. */
	if (!reason && ipv6 && unlikely(nd_is(packet)))
		return nd_is_of_link(skb) ? TC_ACT_OK : drop_skb(packet, REASON_MALFORMED);
	if (!reason)
		reason = check_destination(packet, endpoint, ipv6);
	if (unlikely(reason))
		return drop_skb(packet, reason);
	return forward(skb, packet, endpoint, HOOK_TO_ENDPOINT, ipv6);
}

SEC("tc")
int to_endpoint(struct __sk_buff *skb)
{
	const struct endpoint *endpoint;
	struct packet packet = {
		.length = skb->len,
		.decision = {.ifindex = skb->ifindex, .direction = DIRECTION_INGRESS},
	};

	if (skb->mark == MARK_TO_ENDPOINT) {
		skb->mark = 0;
		return TC_ACT_OK;
	}
	endpoint = endpoint_find(skb->ifindex);
	if (unlikely(!endpoint))
		return drop_skb(&packet, REASON_UNKNOWN_INTERFACE);
	if (unlikely(skb->vlan_present))
		return drop_skb(&packet, REASON_UNSUPPORTED_PROTOCOL);
	if (likely(skb->protocol == bpf_htons(ETH_P_IP)))
		return to_endpoint_ip(skb, &packet, endpoint, false);
	if (feature_ipv6 && skb->protocol == bpf_htons(ETH_P_IPV6))
		return to_endpoint_ip(skb, &packet, endpoint, true);
	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return TC_ACT_OK;
	return drop_skb(&packet, REASON_UNSUPPORTED_PROTOCOL);
}

char _license[] SEC("license") = "Dual BSD/GPL";
