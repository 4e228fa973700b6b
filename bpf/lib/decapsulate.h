/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/*
 * A backend's receiving side, for XDP and tc alike: which packets are a trusted balancer's to this backend whose inner
 * destination is one of its VIPs, and how much stands before the inner IP header. Checksums of the outer UDP header are
 * not compared: the stack compares those of what is inside.
 */
#ifndef SLUICE_LIB_DECAPSULATE_H
#define SLUICE_LIB_DECAPSULATE_H

#include "maps.h"
#include "lib/congestion.h"
#include "lib/parse.h"
#include "lib/tunnel.h"

#define GENEVE_OPTIONS_MAX (63 * 4)
#define OUTER_MAX          (IPV6_HEADER + GENEVE_HEADER + GENEVE_OPTIONS_MAX + ETHERNET_HEADER)

enum geneve_bits {
	GENEVE_VERSION = 0xc0,
	GENEVE_OPTIONS_LENGTH = 0x3f,
	GENEVE_CONTROL_OR_CRITICAL = 0xc0,
};

struct outer {
	struct ip_address source;
	struct ip_address destination;
	__u32 length; /* from the Ethernet header's end to the inner IP header */
	__u8 protocol; /* of what is inside; 0: nothing that a balancer sends */
	__u8 traffic_class;
	__u8 ipv6;
};

static __always_inline bool is_ip_in_ip(__u8 protocol)
{
	return protocol == IPPROTO_IPIP || protocol == IPPROTO_IPV6;
}

static __always_inline __u8 protocol_of_ethertype(__be16 type)
{
	if (type == bpf_htons(ETH_P_IP))
		return IPPROTO_IPIP;
	return type == bpf_htons(ETH_P_IPV6) ? IPPROTO_IPV6 : 0;
}

/* A data message without optional fields; a set flag that the receiver does not know forbids it to go on. */
static __always_inline void read_gue(struct outer *outer, const struct gue_header *gue, const void *end)
{
	outer->protocol = 0;
	if ((const void *)(gue + 1) > end || gue->version_control_length || gue->flags)
		return;
	outer->protocol = gue->protocol;
	outer->length += GUE_HEADER;
}

static __always_inline void read_inner_ethernet(struct outer *outer, const struct ethhdr *ethernet, const void *end)
{
	outer->protocol = 0;
	if ((const void *)(ethernet + 1) > end)
		return;
	outer->protocol = protocol_of_ethertype(ethernet->h_proto);
	outer->length += ETHERNET_HEADER;
}

/* Inside is IP, or Ethernet with IP. Options are skipped, unless the receiver would have to know them. */
static __always_inline void read_geneve(struct outer *outer, const struct geneve_header *geneve, const void *end)
{
	__u32 options;

	outer->protocol = 0;
	if ((const void *)(geneve + 1) > end || geneve->version_length & GENEVE_VERSION ||
		geneve->control_critical & GENEVE_CONTROL_OR_CRITICAL)
		return;
	options = (geneve->version_length & GENEVE_OPTIONS_LENGTH) * 4;
	outer->length += GENEVE_HEADER + options;
	if (geneve->protocol == bpf_htons(ETH_P_TEB))
		read_inner_ethernet(outer, (const void *)(geneve + 1) + options, end);
	else
		outer->protocol = protocol_of_ethertype(geneve->protocol);
}

static __always_inline void read_tunnel(struct outer *outer, const struct udphdr *udp, const void *end)
{
	outer->protocol = 0;
	if ((const void *)(udp + 1) > end)
		return;
	if (udp->dest == bpf_htons(GUE_PORT))
		read_gue(outer, (const void *)(udp + 1), end);
	else if (udp->dest == bpf_htons(GENEVE_PORT))
		read_geneve(outer, (const void *)(udp + 1), end);
}

/* Unfragmented and without options, as balancers send it; else outer->protocol is 0. */
static __always_inline void read_outer4(struct outer *outer, const void *data, const void *end)
{
	const struct iphdr *ip = data + ETHERNET_HEADER;

	if ((const void *)(ip + 1) > end || ip->ihl != 5 ||
		ip->frag_off & bpf_htons(IPV4_OFFSET_MASK | IPV4_MORE_FRAGMENTS))
		return;
	outer->length = IPV4_HEADER;
	outer->protocol = ip->protocol;
	outer->traffic_class = ip->tos;
	outer->source.words[2] = outer->destination.words[2] = MAPPED_WORD;
	outer->source.words[3] = ip->saddr;
	outer->destination.words[3] = ip->daddr;
}

static __always_inline void read_outer6(struct outer *outer, const void *data, const void *end)
{
	const struct ipv6hdr *ip = data + ETHERNET_HEADER;

	if ((const void *)(ip + 1) > end)
		return;
	outer->length = IPV6_HEADER;
	outer->ipv6 = 1;
	outer->traffic_class = ipv6_traffic_class(ip);
	__builtin_memcpy(&outer->source, &ip->saddr, sizeof(outer->source));
	__builtin_memcpy(&outer->destination, &ip->daddr, sizeof(outer->destination));
	/* No IPv6 packet is to look like one of a trusted IPv4 source. */
	if (!ipv6_is_mapped(&outer->source) && !ipv6_is_mapped(&outer->destination))
		outer->protocol = ip->nexthdr;
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

/* Fills `outer` and packet->tuple, with what is inside. False: the packet stays as it is. */
static __always_inline bool is_for_decapsulation(
	struct outer *outer, struct packet *packet, const void *data, const void *end)
{
	const struct ethhdr *ethernet = data;
	__u32 offset;

	if ((const void *)(ethernet + 1) > end)
		return false;
	if (ethernet->h_proto == bpf_htons(ETH_P_IP))
		read_outer4(outer, data, end);
	else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6))
		read_outer6(outer, data, end);
	if (outer->protocol == IPPROTO_UDP)
		read_tunnel(outer, data + ETHERNET_HEADER + outer->length, end);
	offset = outer->length;
	if (!is_ip_in_ip(outer->protocol) || offset > OUTER_MAX || !outer_is_trusted(outer))
		return false;
	return inner_is_ours(packet, data, end, ETHERNET_HEADER + offset, outer->protocol);
}

static __always_inline __be16 inner_ethertype(const struct outer *outer)
{
	return outer->protocol == IPPROTO_IPIP ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
}

#endif
