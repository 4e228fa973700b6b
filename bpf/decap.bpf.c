// SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0)
/*
 * A backend's receiving side: takes the outer header off packets whose inner destination is one of its VIPs, which
 * stand on its loopback. It needs no tunnel device. All other packets pass as they are.
 */
#include "maps.h"
#include "lib/xdp.h"

static __always_inline bool is_ip_in_ip(__u8 protocol)
{
	return protocol == IPPROTO_IPIP || protocol == IPPROTO_IPV6;
}

/* The protocol inside an unfragmented outer header without options, which is what balancers send; else 0. */
static __always_inline __u8 outer4_protocol(const void *data, const void *end)
{
	const struct iphdr *ip = data + ETHERNET_HEADER;

	if ((const void *)(ip + 1) > end || ip->ihl != 5)
		return 0;
	if (ip->frag_off & bpf_htons(IPV4_OFFSET_MASK | IPV4_MORE_FRAGMENTS))
		return 0;
	return is_ip_in_ip(ip->protocol) ? ip->protocol : 0;
}

static __always_inline __u8 outer6_protocol(const void *data, const void *end)
{
	const struct ipv6hdr *ip = data + ETHERNET_HEADER;

	if ((const void *)(ip + 1) > end)
		return 0;
	return is_ip_in_ip(ip->nexthdr) ? ip->nexthdr : 0;
}

static __always_inline bool inner_is_ours(const void *data, const void *end, __u32 offset, __u8 protocol)
{
	struct packet packet = {};
	struct network network;
	int reason;

	if (protocol == IPPROTO_IPIP)
		reason = parse_ipv4(&packet, data, end, offset, &network);
	else
		reason = parse_ipv6(&packet, data, end, offset, &network);
	tuple_map(&packet.tuple);
	return !reason && bpf_map_lookup_elem(&decap_vips, &packet.tuple.destination);
}

/* Takes `outer` bytes out from behind the Ethernet header. */
static __always_inline int strip(struct xdp_md *xdp, __u32 outer, __u8 protocol)
{
	struct ethhdr ethernet;
	__u32 length = xdp->data_end - xdp->data;

	if (xdp_data(xdp) + sizeof(ethernet) > xdp_end(xdp))
		return XDP_PASS;
	__builtin_memcpy(&ethernet, xdp_data(xdp), sizeof(ethernet));
	ethernet.h_proto = protocol == IPPROTO_IPIP ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
	if (bpf_xdp_adjust_head(xdp, outer))
		return XDP_PASS;
	if (xdp_data(xdp) + sizeof(ethernet) > xdp_end(xdp))
		return XDP_DROP;
	__builtin_memcpy(xdp_data(xdp), &ethernet, sizeof(ethernet));
	count_packet(REASON_FORWARDED, DIRECTION_INGRESS, length);
	return XDP_PASS;
}

static __always_inline int decapsulate(struct xdp_md *xdp, __u32 outer, __u8 protocol)
{
	if (!protocol || !inner_is_ours(xdp_data(xdp), xdp_end(xdp), ETHERNET_HEADER + outer, protocol))
		return XDP_PASS;
	return strip(xdp, outer, protocol);
}

SEC("xdp")
int decap(struct xdp_md *xdp)
{
	const struct ethhdr *ethernet = xdp_data(xdp);

	if ((const void *)(ethernet + 1) > xdp_end(xdp))
		return XDP_PASS;
	if (ethernet->h_proto == bpf_htons(ETH_P_IP))
		return decapsulate(xdp, IPV4_HEADER, outer4_protocol(ethernet, xdp_end(xdp)));
	if (ethernet->h_proto == bpf_htons(ETH_P_IPV6))
		return decapsulate(xdp, IPV6_HEADER, outer6_protocol(ethernet, xdp_end(xdp)));
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
