/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* From a frontend to the backend that a flow is given. */
#ifndef SLUICE_LIB_SERVICE_H
#define SLUICE_LIB_SERVICE_H

#include "maps.h"
#include "lib/packet.h"

/* Multipliers of splitmix64 (Steele, Lea, Flood, OOPSLA 2014). */
static __always_inline __u64 hash_mix(__u64 value)
{
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
	value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
	return value ^ (value >> 31);
}

static __always_inline __u64 address_pair(const struct ip_address *address, int half)
{
	return (__u64)address->words[half * 2] << 32 | address->words[half * 2 + 1];
}

/* The same on every node: balancers that share a service give a flow the same slot, by the upper half. */
static __always_inline __u64 flow_hash_whole(const struct tuple *tuple, const bool ipv6)
{
	__u64 ports = (__u64)tuple->source_port_be << 24 | (__u64)tuple->destination_port_be << 8 | tuple->protocol;
	__u64 hash;

	if (ipv6) {
		hash = hash_mix(address_pair(&tuple->source, 0) ^ ports << 16);
		hash = hash_mix(hash ^ address_pair(&tuple->source, 1));
		hash = hash_mix(hash ^ address_pair(&tuple->destination, 1));
	} else {
		hash = (__u64)tuple->source.words[3] << 32 | tuple->destination.words[3];
		hash = hash_mix(hash ^ ports * 0x9e3779b97f4a7c15ULL);
	}
	return hash;
}

static __always_inline __u32 flow_hash(const struct tuple *tuple, const bool ipv6)
{
	return flow_hash_whole(tuple, ipv6) >> 32;
}

static __always_inline const struct service *service_find(const struct tuple *tuple, const bool ipv6)
{
	struct frontend_key key = {
		.address = tuple->destination,
		.port_be = tuple->destination_port_be,
		.protocol = tuple->protocol,
	};

	if (!ipv6) {
		key.address.words[0] = key.address.words[1] = 0;
		key.address.words[2] = MAPPED_WORD;
	}
	return bpf_map_lookup_elem(&frontends, &key);
}

static __always_inline __u32 slot_index(__u32 slot_base, __u32 slot_count, __u32 hash)
{
	return slot_base + (__u32)((__u64)hash * slot_count >> 32);
}

/* 0: the service has no backend. */
static __always_inline __u32 service_backend_id(const struct service *service, __u32 hash)
{
	__u32 index = slot_index(service->slot_base, service->slot_count, hash);
	const struct slot *slot = bpf_map_lookup_elem(&slots, &index);

	return slot && service->slot_count ? slot->backend : 0;
}

/* NULL: there is no such backend. */
static __always_inline const struct backend *service_backend(__u32 id)
{
	return id ? bpf_map_lookup_elem(&backends, &id) : NULL;
}

#endif
