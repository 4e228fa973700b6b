/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/*
 * VLAN tags (IEEE 802.1Q, two of them as in 802.1ad) at an XDP hook, where no device has taken them off: the programs work
 * on untagged frames, so tags are taken out first and put in last.
 */
#ifndef SLUICE_LIB_VLAN_H
#define SLUICE_LIB_VLAN_H

#include "lib/xdp.h"

#define MAC_ADDRESSES 12 /* bytes before the tags */
#define VLAN_TAG      4

struct vlan_tags {
	__be32 outer_be;
	__be32 inner_be; /* 0: one tag only */
};

static __always_inline bool is_vlan(__be16 ethertype)
{
	return ethertype == bpf_htons(ETH_P_8021Q) || ethertype == bpf_htons(ETH_P_8021AD);
}

static __always_inline int vlan_bytes(const struct vlan_tags *tags)
{
	return tags->inner_be ? 2 * VLAN_TAG : VLAN_TAG;
}

/* Of a tagged frame; the EtherType behind the tags, 0 where there is none. */
static __always_inline __be16 vlan_read(struct vlan_tags *tags, const void *data, const void *end)
{
	const __be32 *tag = data + MAC_ADDRESSES;

	if ((const void *)(tag + 3) > end)
		return 0;
	tags->outer_be = tag[0];
	if (!is_vlan(*(const __be16 *)(tag + 1)))
		return *(const __be16 *)(tag + 1);
	tags->inner_be = tag[1];
	return *(const __be16 *)(tag + 2);
}

/* Moves the frame's beginning by so many bytes, the MAC addresses with it. */
static __always_inline int move_head(struct xdp_md *xdp, int bytes)
{
	__u8 addresses[MAC_ADDRESSES];

	if (xdp_data(xdp) + MAC_ADDRESSES > xdp_end(xdp))
		return REASON_REWRITE_FAILED;
	__builtin_memcpy(addresses, xdp_data(xdp), MAC_ADDRESSES);
	if (bpf_xdp_adjust_head(xdp, bytes) || xdp_data(xdp) + MAC_ADDRESSES > xdp_end(xdp))
		return REASON_REWRITE_FAILED;
	__builtin_memcpy(xdp_data(xdp), addresses, MAC_ADDRESSES);
	return REASON_FORWARDED;
}

static __always_inline int vlan_pop(struct xdp_md *xdp, const struct vlan_tags *tags)
{
	return move_head(xdp, vlan_bytes(tags));
}

SUBPROGRAM int vlan_push(struct xdp_md *xdp, __be32 outer_be, __be32 inner_be)
{
	const struct vlan_tags tags = {outer_be, inner_be};
	__be32 *tag;

	if (move_head(xdp, -vlan_bytes(&tags)))
		return REASON_REWRITE_FAILED;
	tag = xdp_data(xdp) + MAC_ADDRESSES;
	if ((void *)(tag + 2) > xdp_end(xdp))
		return REASON_REWRITE_FAILED;
	tag[0] = outer_be;
	if (inner_be)
		tag[1] = inner_be;
	return REASON_FORWARDED;
}

#endif
