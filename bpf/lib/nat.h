/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* Service translation of a tracked flow's packets: the frontend becomes the backend, and back. */
#ifndef SLUICE_LIB_NAT_H
#define SLUICE_LIB_NAT_H

#include "lib/rewrite.h"

/* What a packet of the flow becomes. Ends that do not change stand in it as they are. */
static __always_inline int translation_of(
	struct tuple *next, const struct tuple *tuple, const struct flow_state *flow, bool from_origin)
{
	*next = *tuple;
	if (from_origin && flow->flags & FLOW_TRANSLATE_DESTINATION) {
		next->destination = flow->translated;
		next->destination_port_be = flow->translated_port_be;
		if (flow->flags & FLOW_HAIRPIN)
			next->source = tuple->destination;
		return REASON_FORWARDED;
	}
	if (!from_origin && flow->flags & FLOW_TRANSLATE_SOURCE) {
		next->source = flow->translated;
		next->source_port_be = flow->translated_port_be;
		if (flow->flags & FLOW_HAIRPIN)
			next->destination = tuple->source;
		return REASON_FORWARDED;
	}
	/* The client speaks to the backend directly, from the port of a flow that goes through the service. */
	return REASON_REWRITE_FAILED;
}

static __always_inline int translate_ports(struct __sk_buff *skb, const struct packet *packet,
	const struct tuple *next, const struct checksum *checksum)
{
	const struct tuple *tuple = &packet->tuple;
	int reason;

	if (packet->flags & PACKET_LATER_FRAGMENT)
		return REASON_FORWARDED;
	reason = rewrite_port(skb, checksum, packet->l4_offset, tuple->source_port_be, next->source_port_be);
	if (reason)
		return reason;
	return rewrite_port(
		skb, checksum, packet->l4_offset + 2, tuple->destination_port_be, next->destination_port_be);
}

SUBPROGRAM int translate(
	struct __sk_buff *skb, struct packet *packet, const struct flow_state *flow, bool from_origin)
{
	struct checksum checksum;
	struct tuple next;
	int reason;

	if (!packet || !flow)
		return REASON_REWRITE_FAILED;
	checksum = l4_checksum(packet, packet->tuple.protocol);
	tuple_map(&packet->tuple);
	reason = translation_of(&next, &packet->tuple, flow, from_origin);
	if (!reason)
		reason = rewrite_address(skb, packet, true, &packet->tuple.source, &next.source, &checksum);
	if (!reason)
		reason = rewrite_address(
			skb, packet, false, &packet->tuple.destination, &next.destination, &checksum);
	if (!reason)
		reason = translate_ports(skb, packet, &next, &checksum);
	packet->tuple = next;
	return reason;
}

#endif
