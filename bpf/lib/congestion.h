/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* What routers marked on the outer header belongs to the inner one (RFC 6040 section 4.2). */
#ifndef SLUICE_LIB_CONGESTION_H
#define SLUICE_LIB_CONGESTION_H

#include "lib/parse.h"

enum ecn {
	ECN_NOT_CAPABLE = 0,
	ECN_CONGESTION_EXPERIENCED = 3,
	ECN_MASK = 3,
};

static __always_inline __u8 ipv6_traffic_class(const struct ipv6hdr *ip)
{
	return bpf_ntohs(*(const __be16 *)ip) >> 4;
}

/* Only bits of one 16-bit word are set, so the checksum falls by what the word grows (RFC 1624). */
static __always_inline void ipv4_mark_congestion(struct iphdr *ip)
{
	__u32 sum = (__u16)~ip->check + bpf_htons(ECN_CONGESTION_EXPERIENCED - (ip->tos & ECN_MASK));

	ip->tos |= ECN_CONGESTION_EXPERIENCED;
	ip->check = ~((sum & 0xffff) + (sum >> 16));
}

/* A sender that does not know ECN learns of congestion by loss alone: its packet cannot take the mark. */
static __always_inline int mark_congestion(void *header, void *end, const bool ipv6)
{
	struct ipv6hdr *ip6 = header;
	struct iphdr *ip4 = header;

	if (ipv6) {
		if ((void *)(ip6 + 1) > end || !(ipv6_traffic_class(ip6) & ECN_MASK))
			return REASON_REWRITE_FAILED;
		*(__be16 *)ip6 |= bpf_htons(ECN_CONGESTION_EXPERIENCED << 4);
		return REASON_FORWARDED;
	}
	if ((void *)(ip4 + 1) > end || !(ip4->tos & ECN_MASK))
		return REASON_REWRITE_FAILED;
	ipv4_mark_congestion(ip4);
	return REASON_FORWARDED;
}

#endif
