/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/*
 * Tunnel headers over UDP: GUE (draft-ietf-intarea-gue-09, variant 0) and Geneve (RFC 8926). The UDP checksum is zero,
 * over IPv6 as RFC 6935 and RFC 6936 let tunnels have it: the receiver compares the addresses that it would protect,
 * takes the packet apart for nobody but its own VIPs, and the packet inside has checksums of its own.
 */
#ifndef SLUICE_LIB_TUNNEL_H
#define SLUICE_LIB_TUNNEL_H

#include "lib/parse.h"

#define GUE_PORT    6080
#define GENEVE_PORT 6081

/* Version 0, no control message, no options. */
struct gue_header {
	__u8 version_control_length; /* 2 bits, 1 bit, 5 bits: of 4 bytes of optional fields */
	__u8 protocol; /* IANA's number of what is inside */
	__be16 flags;
};

struct geneve_header {
	__u8 version_length; /* 2 bits, 6 bits: of 4 bytes of options */
	__u8 control_critical;
	__be16 protocol; /* EtherType of what is inside */
	__be32 vni_reserved; /* 24 bits, 8 bits */
};

#define GUE_HEADER        (sizeof(struct udphdr) + sizeof(struct gue_header))
#define GENEVE_HEADER     (sizeof(struct udphdr) + sizeof(struct geneve_header))
#define TUNNEL_HEADER_MAX GENEVE_HEADER

/* UDP's included. */
static __always_inline __u32 tunnel_header_length(__u8 forwarding)
{
	if (likely(forwarding == FORWARDING_IPIP))
		return 0;
	return forwarding == FORWARDING_GUE ? GUE_HEADER : GENEVE_HEADER;
}

/* The source port, one of the dynamic ones, spreads flows over paths and receive queues. */
static __always_inline void write_tunnel_udp(struct udphdr *udp, __u16 port, __u32 length, __u32 hash)
{
	udp->source = bpf_htons(0xc000 | (hash & 0x3fff));
	udp->dest = bpf_htons(port);
	udp->len = bpf_htons(length);
	udp->check = 0;
}

static __always_inline void write_geneve(struct geneve_header *geneve, const struct service *service, __u8 protocol)
{
	geneve->version_length = 0;
	geneve->control_critical = 0;
	geneve->protocol = protocol == IPPROTO_IPIP ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
	geneve->vni_reserved = bpf_htonl(service->vni << 8);
}

/* `length` counts from `header`; `protocol` is of what is inside: IPPROTO_IPIP or IPPROTO_IPV6. */
static __always_inline void write_tunnel_header(
	void *header, const struct service *service, __u32 length, __u32 hash, __u8 protocol)
{
	struct gue_header *gue = header + sizeof(struct udphdr);

	if (service->forwarding != FORWARDING_GUE) {
		write_tunnel_udp(header, GENEVE_PORT, length, hash);
		write_geneve(header + sizeof(struct udphdr), service, protocol);
		return;
	}
	write_tunnel_udp(header, GUE_PORT, length, hash);
	gue->version_control_length = 0;
	gue->protocol = protocol;
	gue->flags = 0;
}

#endif
