/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/*
 * Telling a sender that its packet does not fit with its encapsulation: ICMP "fragmentation needed" (RFC 792,
 * RFC 1191) and ICMPv6 "packet too big" (RFC 4443 section 3.2), made of the packet itself and sent back.
 */
#ifndef SLUICE_LIB_TOO_BIG_H
#define SLUICE_LIB_TOO_BIG_H

#include "lib/encapsulate.h"
#include "lib/icmp_error.h"

#define ICMP4_FRAG_NEEDED 4

/* Leaves Ethernet header and quotation, with `header` bytes of room before them. False: it is too short. */
static __always_inline bool make_room(struct xdp_md *xdp, struct ethhdr *ethernet, int header)
{
	long length = xdp_end(xdp) - xdp_data(xdp);
	const int kept = ETHERNET_HEADER + QUOTATION;

	if (xdp_data(xdp) + kept > xdp_end(xdp))
		return false;
	__builtin_memcpy(ethernet, xdp_data(xdp), sizeof(*ethernet));
	if (bpf_xdp_adjust_tail(xdp, kept - (int)length))
		return false;
	return !bpf_xdp_adjust_head(xdp, -(header + ICMP_ERROR_HEADER));
}

static __always_inline void write_error(struct icmp_error *error, __be32 type_and_code, __u32 mtu, __u64 sum)
{
	error->mtu = bpf_htonl(mtu);
	sum += (__u32)bpf_csum_diff(NULL, 0, &error->mtu, sizeof(*error) - sizeof(error->type_code_checksum), 0);
	error->type_code_checksum = icmp_error_word(type_and_code, sum);
}

SUBPROGRAM int too_big_answer4(struct xdp_md *xdp, const struct packet *packet, __u32 mtu)
{
	struct inner inner = {.length = sizeof(struct icmp_error), .protocol = IPPROTO_ICMP};
	struct ethhdr ethernet;
	struct icmp_error *error;
	struct iphdr *ip;

	if (!packet || !make_room(xdp, &ethernet, IPV4_HEADER))
		return XDP_DROP;
	ip = xdp_data(xdp) + ETHERNET_HEADER;
	error = (void *)(ip + 1);
	if ((void *)(error + 1) > xdp_end(xdp))
		return XDP_DROP;
	swap_macs(xdp_data(xdp), &ethernet, bpf_htons(ETH_P_IP));
	write_outer4(ip, &inner, packet->tuple.destination.words[3], &packet->tuple.source);
	write_error(error, TYPE_AND_CODE(ICMP4_UNREACHABLE, ICMP4_FRAG_NEEDED), mtu, 0);
	return XDP_TX;
}

SUBPROGRAM int too_big_answer6(struct xdp_md *xdp, const struct packet *packet, __u32 mtu)
{
	struct inner inner = {.length = sizeof(struct icmp_error), .protocol = IPPROTO_ICMPV6};
	struct ethhdr ethernet;
	struct icmp_error *error;
	struct ipv6hdr *ip;
	__u64 sum;

	if (!packet || !make_room(xdp, &ethernet, IPV6_HEADER))
		return XDP_DROP;
	ip = xdp_data(xdp) + ETHERNET_HEADER;
	error = (void *)(ip + 1);
	if ((void *)(error + 1) > xdp_end(xdp))
		return XDP_DROP;
	swap_macs(xdp_data(xdp), &ethernet, bpf_htons(ETH_P_IPV6));
	write_outer6(ip, &inner, &packet->tuple.destination, &packet->tuple.source);
	/* The pseudo header of RFC 8200 section 8.1. */
	sum = (__u32)bpf_csum_diff(NULL, 0, (__be32 *)&ip->saddr, 2 * sizeof(struct ip_address), 0);
	sum += (__u64)bpf_htonl(sizeof(*error)) + bpf_htonl(IPPROTO_ICMPV6);
	write_error(error, TYPE_AND_CODE(ICMP6_PACKET_TOO_BIG, 0), mtu, sum);
	return XDP_TX;
}

#endif
