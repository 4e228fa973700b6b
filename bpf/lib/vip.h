/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* Packets to an address of a frontend that are no frontend's: echo requests (RFC 792, RFC 4443 section 4.1) are answered. */
#ifndef SLUICE_LIB_VIP_H
#define SLUICE_LIB_VIP_H

#include "lib/encapsulate.h"

static __always_inline bool is_to_vip(const struct packet *packet)
{
	struct ip_address address = packet->tuple.destination;

	if (!packet->tuple.ipv6) {
		address.words[0] = address.words[1] = 0;
		address.words[2] = MAPPED_WORD;
	}
	return bpf_map_lookup_elem(&vips, &address);
}

/* The checksum for a message whose first word has become another (RFC 1624, equation 3). */
static __always_inline __u16 checksum_after(__u16 checksum, __u16 before, __u16 after)
{
	__u32 sum = (__u16)~checksum + (__u16)~before + after;

	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

static __always_inline void echo_reply(struct icmphdr *icmp, __u8 request, __u8 reply)
{
	icmp->type = reply;
	icmp->checksum = checksum_after(icmp->checksum, bpf_htons(request << 8), bpf_htons(reply << 8));
}

/* Options would have to be turned round (RFC 1122 section 3.2.2.6), so such requests are left to the stack. */
static __always_inline int answer_echo4(struct ethhdr *ethernet, const void *end)
{
	struct iphdr *ip = (void *)(ethernet + 1);
	struct icmphdr *icmp = (void *)(ip + 1);
	__be32 vip;

	if ((const void *)(icmp + 1) > end || ip->ihl != 5)
		return XDP_PASS;
	vip = ip->daddr;
	ip->daddr = ip->saddr;
	ip->saddr = vip;
	ip->ttl = OUTER_HOPS;
	ip->check = 0;
	ip->check = ipv4_header_checksum(ip);
	echo_reply(icmp, ICMP4_ECHO_REQUEST, ICMP4_ECHO_REPLY);
	return XDP_TX;
}

/* Swapped addresses leave the checksum as it is. */
static __always_inline int answer_echo6(struct ethhdr *ethernet, const void *end)
{
	struct ipv6hdr *ip = (void *)(ethernet + 1);
	struct icmphdr *icmp = (void *)(ip + 1);
	struct in6_addr vip;

	if ((const void *)(icmp + 1) > end || ip->nexthdr != IPPROTO_ICMPV6)
		return XDP_PASS;
	vip = ip->daddr;
	ip->daddr = ip->saddr;
	ip->saddr = vip;
	ip->hop_limit = OUTER_HOPS;
	echo_reply(icmp, ICMP6_ECHO_REQUEST, ICMP6_ECHO_REPLY);
	return XDP_TX;
}

/* What is neither a frontend's nor an echo request to a VIP passes: the stack may serve it. */
SUBPROGRAM int answer_echo(struct xdp_md *xdp, struct packet *packet)
{
	struct ethhdr *ethernet = xdp_data(xdp);
	struct ethhdr received;
	int verdict;

	/* The tuple of an ICMP error is that of what it quotes. */
	if (!packet || packet->tuple.echo != ECHO_IS_REQUEST ||
		packet->flags & (PACKET_FIRST_FRAGMENT | PACKET_ICMP_ERROR) || !is_to_vip(packet))
		return XDP_PASS;
	if (!source_is_single(packet, packet->tuple.ipv6) || (const void *)(ethernet + 1) > xdp_end(xdp))
		return XDP_PASS;
	verdict = packet->tuple.ipv6 ? answer_echo6(ethernet, xdp_end(xdp)) : answer_echo4(ethernet, xdp_end(xdp));
	if (verdict != XDP_TX)
		return verdict;
	received = *ethernet;
	swap_macs(ethernet, &received, received.h_proto);
	count_packet(REASON_FORWARDED, DIRECTION_INGRESS, packet->length);
	return XDP_TX;
}

/* What cannot be read is dropped where it is for a VIP; else the stack may know better. */
SUBPROGRAM int refuse_unreadable(struct packet *packet, int reason)
{
	if (!packet || !is_to_vip(packet))
		return XDP_PASS;
	return drop_xdp(packet, reason);
}

#endif
