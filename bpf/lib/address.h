/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* The address table: what an address is to policy. */
#ifndef SLUICE_LIB_ADDRESS_H
#define SLUICE_LIB_ADDRESS_H

#include "maps.h"
#include "lib/packet.h"

/* A peer and its class's generation as it was while the address was in that class. */
struct known_peer {
	struct peer peer;
	__u32 generation;
};

static __always_inline const struct peer *address_find(const struct ip_address *address)
{
	struct prefix_key key;
	struct peer *peer = bpf_map_lookup_elem(&addresses, address);

	if (peer)
		return peer;
	key.prefix_length = 128;
	key.address = *address;
	return bpf_map_lookup_elem(&prefixes, &key);
}

static __always_inline __u32 class_generation(__u32 peer_class)
{
	__u32 *generation = bpf_map_lookup_elem(&class_generations, &peer_class);

	return generation ? READ_ONCE(*generation) : 0;
}

/*
 * An address leaves a class by two writes: its entry, then the class's generation. A generation read between two
 * lookups that both saw the class is therefore older than the leave, and an entry that remembers it gets noticed.
 * False: the address is in no table, or changes its class faster than it can be read.
 */
static __noinline bool peer_resolve(const struct ip_address *address, struct known_peer *known)
{
	const struct peer *peer = address_find(address);

	for (int i = 0; i < 4 && peer; i++) {
		known->peer = *peer;
		known->generation = class_generation(known->peer.peer_class);
		peer = address_find(address);
		if (peer && peer->peer_class == known->peer.peer_class)
			return true;
	}
	__builtin_memset(known, 0, sizeof(*known));
	return false;
}

#endif
