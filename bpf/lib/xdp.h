/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* Parsing an XDP packet. */
#ifndef SLUICE_LIB_XDP_H
#define SLUICE_LIB_XDP_H

#include "lib/event.h"
#include "lib/fragment.h"
#include "lib/parse.h"

static __always_inline void *xdp_data(const struct xdp_md *xdp)
{
	return (void *)(long)xdp->data;
}

static __always_inline void *xdp_end(const struct xdp_md *xdp)
{
	return (void *)(long)xdp->data_end;
}

static __always_inline int drop_xdp(struct packet *packet, int reason)
{
	drop_packet(packet, reason);
	return XDP_DROP;
}

/* Of drops that come in masses one in so many is an event; the counters have all. */
#define FLOOD_SAMPLE 256

static __always_inline int drop_flood(struct packet *packet, int reason)
{
	if (bpf_get_prandom_u32() % FLOOD_SAMPLE == 0)
		return drop_xdp(packet, reason);
	count_packet(reason, packet->decision.direction, packet->length);
	return XDP_DROP;
}

SUBPROGRAM int xdp_parse_extensions(struct xdp_md *xdp, struct packet *packet, __u32 *l4_offset)
{
	if (!packet || !l4_offset)
		return REASON_MALFORMED;
	return parse_ipv6_extensions(packet, xdp_data(xdp), xdp_end(xdp), l4_offset);
}

/* Fills packet->tuple of a zeroed packet. */
static __always_inline int xdp_parse(struct xdp_md *xdp, struct packet *packet, const bool ipv6)
{
	__u32 l4_offset = 0;
	int reason;

	if (ipv6)
		reason = parse_ipv6(packet, xdp_data(xdp), xdp_end(xdp), ETHERNET_HEADER, &l4_offset);
	else
		reason = parse_ipv4(packet, xdp_data(xdp), xdp_end(xdp), ETHERNET_HEADER, &l4_offset);
	if (!reason && ipv6 && unlikely(ipv6_is_extension(packet->tuple.protocol)))
		reason = xdp_parse_extensions(xdp, packet, &l4_offset);
	if (unlikely(reason || l4_offset > ETHERNET_HEADER + IPV6_MAX_L4_OFFSET))
		return REASON_MALFORMED;
	packet->l4_offset = l4_offset;
	if (!(packet->flags & PACKET_LATER_FRAGMENT))
		reason = parse_l4(packet, xdp_data(xdp) + l4_offset, xdp_end(xdp), ipv6);
	else
		reason = fragment_find(packet);
	return reason;
}

#endif
