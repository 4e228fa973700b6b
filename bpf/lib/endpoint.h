/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* Local workloads by interface, and whether a packet can come from one. */
#ifndef SLUICE_LIB_ENDPOINT_H
#define SLUICE_LIB_ENDPOINT_H

#include "maps.h"
#include "lib/packet.h"

static __always_inline const struct endpoint *endpoint_find(__u32 ifindex)
{
	const struct endpoint *endpoint = bpf_map_lookup_elem(&endpoints, &ifindex);

	if (likely(endpoint))
		return READ_ONCE(endpoint->id) ? endpoint : NULL;
	return bpf_map_lookup_elem(&endpoints_beyond, &ifindex);
}

/* Whether the endpoint has the address; an all-zero address of a record is none. */
static __always_inline bool endpoint_owns(
	const struct endpoint *endpoint, const struct ip_address *address, const bool ipv6)
{
	if (ipv6)
		return address_equal(&endpoint->ipv6, address) && endpoint->ipv6.words[0];
	return endpoint->ipv4.words[3] == address->words[3] && endpoint->ipv4.words[2];
}

static __always_inline bool mac_equal(const __u8 *a, const __u8 *b)
{
	return *(const __u16 *)a == *(const __u16 *)b && *(const __u16 *)(a + 2) == *(const __u16 *)(b + 2) &&
	       *(const __u16 *)(a + 4) == *(const __u16 *)(b + 4);
}

#endif
