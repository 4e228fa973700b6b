/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* Events and counters. Every drop of every program goes through drop_packet. */
#ifndef SLUICE_LIB_EVENT_H
#define SLUICE_LIB_EVENT_H

#include "maps.h"
#include "lib/packet.h"

static __always_inline void count_packet(__u32 reason, __u32 direction, __u32 length)
{
	__u32 index = reason << 1 | (direction & 1);
	struct counter *counter = bpf_map_lookup_elem(&counters, &index);

	if (!counter)
		return;
	counter->packets++;
	counter->bytes += length;
}

static __always_inline void event_lost(void)
{
	__u32 index = 0;
	__u64 *lost = bpf_map_lookup_elem(&events_lost, &index);

	if (lost)
		++*lost;
}

/* `packet`: addresses that a parse has not reached yet are zero. */
SUBPROGRAM int send_event(const struct packet *packet, __u32 kind, __u32 reason)
{
	struct event *event;
	bool icmp;

	if (!packet)
		return 0;
	icmp = packet->tuple.protocol == IPPROTO_ICMP || packet->tuple.protocol == IPPROTO_ICMPV6;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		event_lost();
		return 0;
	}
	event->time_ns = bpf_ktime_get_ns();
	event->source = packet->tuple.source;
	event->destination = packet->tuple.destination;
	event->source_port_be = icmp ? 0 : packet->tuple.source_port_be;
	event->destination_port_be = packet->tuple.destination_port_be;
	event->protocol = packet->tuple.protocol;
	event->kind = kind;
	event->direction = packet->decision.direction;
	event->reason = reason;
	event->source_identity = packet->decision.source_identity;
	event->destination_identity = packet->decision.destination_identity;
	event->rule = packet->decision.rule;
	event->ifindex = packet->decision.ifindex;
	event->service = packet->decision.service;
	event->length = packet->length;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SUBPROGRAM int drop_packet(struct packet *packet, __u32 reason)
{
	__u32 kind;

	if (!packet)
		return 0;
	kind = packet->flags & PACKET_REVOKED ? EVENT_REVOKED : EVENT_DROP;
	if (packet->tuple.protocol)
		tuple_map(&packet->tuple);
	count_packet(reason, packet->decision.direction, packet->length);
	send_event(packet, kind, reason);
	return 0;
}

#endif
