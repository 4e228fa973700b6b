/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/*
 * Outer headers: IP in IP, in all four mixtures of families (RFC 2003, RFC 2473, RFC 4213), alone or with UDP and a
 * tunnel header of lib/tunnel.h between them.
 */
#ifndef SLUICE_LIB_ENCAPSULATE_H
#define SLUICE_LIB_ENCAPSULATE_H

#include "config/balancer.h"
#include "lib/header.h"
#include "lib/next_hop.h"
#include "lib/tunnel.h"
#include "lib/xdp.h"

#define OUTER_HOPS 64

/* What the outer header needs of the packet, read before the head moves. */
struct inner {
	__u32 length; /* of the IP packet, without Ethernet padding; with what stands between it and the outer IP header */
	__u32 hash;
	__u8 traffic_class; /* DSCP and ECN are copied (RFC 6040 section 4.1) */
	__u8 protocol; /* what follows the outer IP header */
};

/* A length of 0 is a jumbogram's (RFC 2675), which no link here carries, or a lie. */
static __always_inline int inner_read(struct inner *inner, const void *data, const void *end, const bool ipv6)
{
	const struct iphdr *ip4 = data + ETHERNET_HEADER;
	const struct ipv6hdr *ip6 = data + ETHERNET_HEADER;

	if (ipv6) {
		if ((const void *)(ip6 + 1) > end || !ip6->payload_len)
			return REASON_MALFORMED;
		inner->length = IPV6_HEADER + bpf_ntohs(ip6->payload_len);
		inner->traffic_class = bpf_ntohs(*(const __be16 *)ip6) >> 4;
		inner->protocol = IPPROTO_IPV6;
	} else {
		if ((const void *)(ip4 + 1) > end || !ip4->tot_len)
			return REASON_MALFORMED;
		inner->length = bpf_ntohs(ip4->tot_len);
		inner->traffic_class = ip4->tos;
		inner->protocol = IPPROTO_IPIP;
	}
	return inner->length > (__u64)(end - data) - ETHERNET_HEADER ? REASON_MALFORMED : REASON_FORWARDED;
}

static __always_inline void write_outer4(
	struct iphdr *ip, const struct inner *inner, __be32 source, const struct ip_address *backend)
{
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = inner->traffic_class;
	ip->tot_len = bpf_htons(inner->length + IPV4_HEADER);
	ip->id = 0; /* RFC 6864: has no meaning with DF */
	ip->frag_off = bpf_htons(IPV4_DONT_FRAGMENT);
	ip->ttl = OUTER_HOPS;
	ip->protocol = inner->protocol;
	ip->check = 0;
	ip->saddr = source;
	ip->daddr = backend->words[3];
	ip->check = ipv4_header_checksum(ip);
}

/* The flow label spreads flows over paths and receive queues (RFC 6438). */
static __always_inline void write_outer6(struct ipv6hdr *ip, const struct inner *inner,
	const struct ip_address *source, const struct ip_address *backend)
{
	*(__be32 *)ip = bpf_htonl(6u << 28 | (__u32)inner->traffic_class << 20 | (inner->hash & 0xfffff));
	ip->payload_len = bpf_htons(inner->length);
	ip->nexthdr = inner->protocol;
	ip->hop_limit = OUTER_HOPS;
	__builtin_memcpy(&ip->saddr, source, sizeof(*source));
	__builtin_memcpy(&ip->daddr, backend, sizeof(*backend));
}

static __always_inline void write_ethernet(struct ethhdr *ethernet, const struct next_hop *hop, __be16 protocol)
{
	__builtin_memcpy(ethernet->h_dest, hop->destination_mac, ETH_ALEN);
	__builtin_memcpy(ethernet->h_source, hop->source_mac, ETH_ALEN);
	ethernet->h_proto = protocol;
}

/* Puts an IP header of `ip_header` bytes and the service's tunnel header before the packet; NULL: there is no room. */
static __always_inline void *push_headers(
	struct xdp_md *xdp, struct inner *inner, const struct service *service, const __u32 ip_header)
{
	__u32 tunnel = tunnel_header_length(service->forwarding);
	__u8 protocol = inner->protocol;
	void *data;

	if (bpf_xdp_adjust_head(xdp, -(int)(ip_header + tunnel)))
		return NULL;
	data = xdp_data(xdp);
	/* The longest: the inner IP header, longer than what a shorter one lacks, follows. */
	if (data + ETHERNET_HEADER + ip_header + TUNNEL_HEADER_MAX > xdp_end(xdp))
		return NULL;
	if (!tunnel)
		return data;
	inner->length += tunnel;
	inner->protocol = IPPROTO_UDP;
	write_tunnel_header(data + ETHERNET_HEADER + ip_header, service, inner->length, inner->hash, protocol);
	return data;
}

static __always_inline int encapsulate4(struct xdp_md *xdp, const struct packet *packet, struct inner *inner,
	const struct service *service, const struct ip_address *backend, const struct next_hop *hop)
{
	__be32 source = encapsulation_source4;
	void *data;

	if (!source && !packet->tuple.ipv6)
		source = packet->tuple.destination.words[3];
	if (!source)
		return REASON_NO_ROUTE;
	data = push_headers(xdp, inner, service, IPV4_HEADER);
	if (!data)
		return REASON_REWRITE_FAILED;
	write_ethernet(data, hop, bpf_htons(ETH_P_IP));
	write_outer4(data + ETHERNET_HEADER, inner, source, backend);
	return REASON_FORWARDED;
}

static __always_inline int encapsulate6(struct xdp_md *xdp, const struct packet *packet, struct inner *inner,
	const struct service *service, const struct ip_address *backend, const struct next_hop *hop)
{
	struct ip_address source = encapsulation_source6;
	void *data;

	if (!source.words[0] && packet->tuple.ipv6)
		source = packet->tuple.destination;
	if (!source.words[0])
		return REASON_NO_ROUTE;
	data = push_headers(xdp, inner, service, IPV6_HEADER);
	if (!data)
		return REASON_REWRITE_FAILED;
	write_ethernet(data, hop, bpf_htons(ETH_P_IPV6));
	write_outer6(data + ETHERNET_HEADER, inner, &source, backend);
	return REASON_FORWARDED;
}

#endif
