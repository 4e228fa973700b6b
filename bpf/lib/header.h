/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* Headers that the programs write: checksums (RFC 1071), the MAC addresses of an answer. */
#ifndef SLUICE_LIB_HEADER_H
#define SLUICE_LIB_HEADER_H

#include "lib/packet.h"

#include <linux/ip.h>

#define IPV4_DONT_FRAGMENT 0x4000

/* The checksum that a sum of 16-bit or 32-bit words makes. */
static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline __u16 ipv4_header_checksum(const struct iphdr *ip)
{
	const __u16 *words = (const __u16 *)ip;
	__u32 sum = 0;

	for (int i = 0; i < IPV4_HEADER / 2; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline void swap_macs(struct ethhdr *to, const struct ethhdr *from, __be16 protocol)
{
	__builtin_memcpy(to->h_dest, from->h_source, ETH_ALEN);
	__builtin_memcpy(to->h_source, from->h_dest, ETH_ALEN);
	to->h_proto = protocol;
}

#endif
