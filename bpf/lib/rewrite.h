/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/*
 * Changing addresses and ports together with the checksums that cover them. Helpers do it, and not direct access:
 * only they know whether a checksum is partial (its offload still to come) and keep skb->csum right.
 */
#ifndef SLUICE_LIB_REWRITE_H
#define SLUICE_LIB_REWRITE_H

#include "lib/skb.h"

#include <linux/if_packet.h>

/* A checksum inside the packet; offset 0: there is none to change. */
struct checksum {
	__u32 offset;
	__u32 flags; /* BPF_F_MARK_MANGLED_0: zero means absent and stays so (RFC 768) */
};

#define IPV4_CHECKSUM    offsetof(struct iphdr, check)
#define IPV4_SOURCE      offsetof(struct iphdr, saddr)
#define IPV4_DESTINATION offsetof(struct iphdr, daddr)
#define IPV6_SOURCE      offsetof(struct ipv6hdr, saddr)
#define IPV6_DESTINATION offsetof(struct ipv6hdr, daddr)
#define ICMP_CHECKSUM    2
#define ICMP_HEADER      8

static __always_inline __u32 ip_address_offset(__u32 header, bool source, bool ipv6)
{
	if (ipv6)
		return header + (source ? IPV6_SOURCE : IPV6_DESTINATION);
	return header + (source ? IPV4_SOURCE : IPV4_DESTINATION);
}

/* Distance of the checksum from the L4 header: 0 for protocols whose checksum covers no pseudo header. */
static __always_inline __u32 l4_checksum_distance(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return offsetof(struct tcphdr, check);
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return offsetof(struct udphdr, check);
	case IPPROTO_ICMPV6:
		return ICMP_CHECKSUM;
	}
	return 0;
}

static __always_inline struct checksum l4_checksum(const struct packet *packet, __u8 protocol)
{
	__u32 distance = packet->flags & PACKET_LATER_FRAGMENT ? 0 : l4_checksum_distance(protocol);
	struct checksum checksum = {
		.offset = distance ? packet->l4_offset + distance : 0,
		.flags = protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0,
	};

	return checksum;
}

static __always_inline __u32 address_difference(const struct ip_address *old, const struct ip_address *new)
{
	return bpf_csum_diff((__be32 *)old, sizeof(*old), (__be32 *)new, sizeof(*new), 0);
}

static __noinline int rewrite_ipv4_address(
	struct __sk_buff *skb, const struct checksum *checksum, __u32 offset, __be32 old, __be32 new)
{
	const __u32 ip_checksum = ETHERNET_HEADER + IPV4_CHECKSUM;

	if (checksum->offset && bpf_l4_csum_replace(skb, checksum->offset, old, new,
					checksum->flags | BPF_F_PSEUDO_HDR | sizeof(new)))
		return REASON_REWRITE_FAILED;
	if (bpf_l3_csum_replace(skb, ip_checksum, old, new, sizeof(new)) ||
		bpf_skb_store_bytes(skb, offset, &new, sizeof(new), 0))
		return REASON_REWRITE_FAILED;
	return REASON_FORWARDED;
}

/*
 * No IP checksum: address and L4 checksum cancel out in skb->csum, which bpf_l4_csum_replace does not know before
 * its flag BPF_F_IPV6 of Linux 6.16; adding the difference back is right on every kernel.
 */
static __noinline int rewrite_ipv6_address(struct __sk_buff *skb, const struct checksum *checksum, __u32 offset,
	const struct ip_address *old, const struct ip_address *new)
{
	__u32 difference = address_difference(old, new);

	if (checksum->offset) {
		if (bpf_l4_csum_replace(skb, checksum->offset, 0, difference, checksum->flags | BPF_F_PSEUDO_HDR))
			return REASON_REWRITE_FAILED;
		bpf_csum_update(skb, difference);
	}
	return bpf_skb_store_bytes(skb, offset, new, sizeof(*new), 0) ? REASON_REWRITE_FAILED : REASON_FORWARDED;
}

/* Of the outer header; `old` is what it holds. */
static __always_inline int rewrite_address(struct __sk_buff *skb, const struct packet *packet, bool source,
	const struct ip_address *old, const struct ip_address *new, const struct checksum *checksum)
{
	bool ipv6 = packet->tuple.ipv6;
	__u32 offset = ip_address_offset(ETHERNET_HEADER, source, ipv6);

	if (address_same(old, new, ipv6))
		return REASON_FORWARDED;
	if (ipv6)
		return rewrite_ipv6_address(skb, checksum, offset, old, new);
	return rewrite_ipv4_address(skb, checksum, offset, old->words[3], new->words[3]);
}

static __noinline int rewrite_port(
	struct __sk_buff *skb, const struct checksum *checksum, __u32 offset, __be16 old_be, __be16 new_be)
{
	if (old_be == new_be)
		return REASON_FORWARDED;
	if (checksum->offset &&
		bpf_l4_csum_replace(skb, checksum->offset, old_be, new_be, checksum->flags | sizeof(new_be)))
		return REASON_REWRITE_FAILED;
	return bpf_skb_store_bytes(skb, offset, &new_be, sizeof(new_be), 0) ? REASON_REWRITE_FAILED :
									      REASON_FORWARDED;
}

#endif
