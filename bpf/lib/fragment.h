/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* The first fragment of a datagram has its ports; the later ones find them here. */
#ifndef SLUICE_LIB_FRAGMENT_H
#define SLUICE_LIB_FRAGMENT_H

#include "maps.h"
#include "lib/clock.h"
#include "lib/packet.h"

/* RFC 8200 section 4.5 gives a datagram 60 s; receivers in practice give 15-30 s. */
#define FRAGMENT_LIFETIME SECONDS(15)

SUBPROGRAM int fragment_ports(struct packet *packet, __u32 identification)
{
	struct fragment_key key = {};
	struct fragment_ports ports = {};
	struct fragment_ports *known;
	__u32 now = clock_ticks();

	if (!packet)
		return REASON_MALFORMED;
	tuple_map(&packet->tuple);
	key.source = packet->tuple.source;
	key.destination = packet->tuple.destination;
	key.identification = identification;
	key.protocol = packet->tuple.protocol;
	if (packet->flags & PACKET_FIRST_FRAGMENT) {
		ports.source_port_be = packet->tuple.source_port_be;
		ports.destination_port_be = packet->tuple.destination_port_be;
		ports.seen = now;
		bpf_map_update_elem(&fragments, &key, &ports, BPF_ANY);
		return REASON_FORWARDED;
	}
	known = bpf_map_lookup_elem(&fragments, &key);
	if (!known || clock_since(now, known->seen) > FRAGMENT_LIFETIME)
		return REASON_FRAGMENT_WITHOUT_FIRST;
	packet->tuple.source_port_be = known->source_port_be;
	packet->tuple.destination_port_be = known->destination_port_be;
	return REASON_FORWARDED;
}

#endif
