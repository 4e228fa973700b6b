// SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0)
/*
 * A backend's receiving side: takes the outer header off packets of a trusted balancer to this backend whose inner
 * destination is one of its VIPs, which stand on its loopback. It needs no tunnel device. All others pass as they are.
 */
#include "maps.h"
#include "lib/congestion.h"
#include "lib/xdp.h"

struct outer {
	struct ip_address source;
	struct ip_address destination;
	__u32 length;
	__u8 protocol; /* 0: nothing that a balancer sends */
	__u8 traffic_class;
};

static __always_inline bool is_ip_in_ip(__u8 protocol)
{
	return protocol == IPPROTO_IPIP || protocol == IPPROTO_IPV6;
}

/* The protocol inside an unfragmented outer header without options, which is what balancers send; else 0. */
static __always_inline __u8 outer4_protocol(const struct iphdr *ip)
{
	if (ip->ihl != 5 || ip->frag_off & bpf_htons(IPV4_OFFSET_MASK | IPV4_MORE_FRAGMENTS))
		return 0;
	return is_ip_in_ip(ip->protocol) ? ip->protocol : 0;
}

static __always_inline __u8 outer6_protocol(const struct ipv6hdr *ip)
{
	return is_ip_in_ip(ip->nexthdr) ? ip->nexthdr : 0;
}

/* The inner source is whatever the sender says, so who may say it is asked of the outer addresses. */
static __always_inline bool outer_is_trusted(const struct outer *outer)
{
	struct prefix_key source = {.prefix_length = 128, .address = outer->source};

	return bpf_map_lookup_elem(&decap_addresses, &outer->destination) &&
	       bpf_map_lookup_elem(&decap_sources, &source);
}

static __always_inline bool inner_is_ours(
	struct packet *packet, const void *data, const void *end, __u32 offset, __u8 protocol)
{
	__u32 l4_offset;
	int reason;

	if (protocol == IPPROTO_IPIP)
		reason = parse_ipv4(packet, data, end, offset, &l4_offset);
	else
		reason = parse_ipv6(packet, data, end, offset, &l4_offset);
	tuple_map(&packet->tuple);
	return !reason && bpf_map_lookup_elem(&decap_vips, &packet->tuple.destination);
}

/* Takes `outer` bytes out from behind the Ethernet header. */
static __always_inline int strip(struct xdp_md *xdp, __u32 outer, __u8 protocol)
{
	struct ethhdr ethernet;

	if (xdp_data(xdp) + sizeof(ethernet) > xdp_end(xdp))
		return REASON_MALFORMED;
	__builtin_memcpy(&ethernet, xdp_data(xdp), sizeof(ethernet));
	ethernet.h_proto = protocol == IPPROTO_IPIP ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
	if (bpf_xdp_adjust_head(xdp, outer) || xdp_data(xdp) + sizeof(ethernet) > xdp_end(xdp))
		return REASON_REWRITE_FAILED;
	__builtin_memcpy(xdp_data(xdp), &ethernet, sizeof(ethernet));
	return REASON_FORWARDED;
}

static __always_inline int decapsulate(struct xdp_md *xdp, const struct outer *outer)
{
	struct packet packet = {
		.length = xdp->data_end - xdp->data,
		.decision = {.ifindex = xdp->ingress_ifindex, .direction = DIRECTION_INGRESS},
	};
	__u32 offset = ETHERNET_HEADER + outer->length;
	int reason;

	if (!outer->protocol || !outer_is_trusted(outer) ||
		!inner_is_ours(&packet, xdp_data(xdp), xdp_end(xdp), offset, outer->protocol))
		return XDP_PASS;
	reason = strip(xdp, outer->length, outer->protocol);
	if (!reason && (outer->traffic_class & ECN_MASK) == ECN_CONGESTION_EXPERIENCED)
		reason = mark_congestion(xdp_data(xdp) + ETHERNET_HEADER, xdp_end(xdp), packet.tuple.ipv6);
	if (reason)
		return drop_xdp(&packet, reason);
	count_packet(REASON_FORWARDED, DIRECTION_INGRESS, packet.length);
	return XDP_PASS;
}

static __always_inline int decapsulate4(struct xdp_md *xdp)
{
	const struct iphdr *ip = xdp_data(xdp) + ETHERNET_HEADER;
	struct outer outer = {.length = IPV4_HEADER};

	if ((const void *)(ip + 1) > xdp_end(xdp))
		return XDP_PASS;
	outer.protocol = outer4_protocol(ip);
	outer.traffic_class = ip->tos;
	outer.source.words[2] = outer.destination.words[2] = MAPPED_WORD;
	outer.source.words[3] = ip->saddr;
	outer.destination.words[3] = ip->daddr;
	return decapsulate(xdp, &outer);
}

static __always_inline int decapsulate6(struct xdp_md *xdp)
{
	const struct ipv6hdr *ip = xdp_data(xdp) + ETHERNET_HEADER;
	struct outer outer = {.length = IPV6_HEADER};

	if ((const void *)(ip + 1) > xdp_end(xdp))
		return XDP_PASS;
	outer.protocol = outer6_protocol(ip);
	outer.traffic_class = ipv6_traffic_class(ip);
	__builtin_memcpy(&outer.source, &ip->saddr, sizeof(outer.source));
	__builtin_memcpy(&outer.destination, &ip->daddr, sizeof(outer.destination));
	/* No IPv6 packet is to look like one of a trusted IPv4 source. */
	if (ipv6_is_mapped(&outer.source) || ipv6_is_mapped(&outer.destination))
		return XDP_PASS;
	return decapsulate(xdp, &outer);
}

SEC("xdp")
int decap(struct xdp_md *xdp)
{
	const struct ethhdr *ethernet = xdp_data(xdp);

	if ((const void *)(ethernet + 1) > xdp_end(xdp))
		return XDP_PASS;
	if (ethernet->h_proto == bpf_htons(ETH_P_IP))
		return decapsulate4(xdp);
	if (ethernet->h_proto == bpf_htons(ETH_P_IPV6))
		return decapsulate6(xdp);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
