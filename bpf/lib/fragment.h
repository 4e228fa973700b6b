/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/*
 * The first fragment of a datagram has its ports; the later ones find them here. A first fragment is remembered only
 * once it has passed whatever may drop it: nobody says anything about the fragments of others.
 */
#ifndef SLUICE_LIB_FRAGMENT_H
#define SLUICE_LIB_FRAGMENT_H

#include "maps.h"
#include "lib/clock.h"
#include "lib/packet.h"

/* RFC 8200 section 4.5 gives a datagram 60 s; receivers in practice give 15-30 s. */
#define FRAGMENT_LIFETIME SECONDS(15)

static __always_inline void fragment_key_fill(struct fragment_key *key, struct packet *packet)
{
	tuple_map(&packet->tuple);
	key->source = packet->tuple.source;
	key->destination = packet->tuple.destination;
	key->identification = packet->fragment_identification;
	key->protocol = packet->tuple.protocol;
}

/* Gives a later fragment its datagram's ports. */
SUBPROGRAM int fragment_find(struct packet *packet)
{
	const struct fragment_ports *known;
	struct fragment_key key;

	if (!packet)
		return REASON_MALFORMED;
	fragment_key_fill(&key, packet);
	known = bpf_map_lookup_elem(&fragments, &key);
	if (!known || clock_since(clock_ticks(), known->seen) > FRAGMENT_LIFETIME)
		return REASON_FRAGMENT_WITHOUT_FIRST;
	packet->tuple.source_port_be = known->source_port_be;
	packet->tuple.destination_port_be = known->destination_port_be;
	return REASON_FORWARDED;
}

/* Keeps a first fragment's ports for the later ones. */
SUBPROGRAM int fragment_remember(struct packet *packet)
{
	struct fragment_ports ports = {.seen = clock_ticks()};
	struct fragment_key key;

	if (!packet)
		return 0;
	fragment_key_fill(&key, packet);
	ports.source_port_be = packet->tuple.source_port_be;
	ports.destination_port_be = packet->tuple.destination_port_be;
	bpf_map_update_elem(&fragments, &key, &ports, BPF_ANY);
	return 0;
}

#endif
