/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* Who may send: to anybody at all, which the prefilter says, and to a service. */
#ifndef SLUICE_LIB_SOURCE_RANGE_H
#define SLUICE_LIB_SOURCE_RANGE_H

#include "maps.h"
#include "lib/packet.h"

#define SOURCE_RANGE_WHOLE (32 + 128)

/* What the longest prefix says that covers the packet's source; `otherwise` where there is none. */
static __always_inline __u32 source_verdict(const struct packet *packet, __u32 service, __u32 otherwise)
{
	struct source_range_key key = {
		.prefix_length = SOURCE_RANGE_WHOLE,
		.service = service,
		.address = packet->tuple.source,
	};
	const __u32 *verdict;

	if (!packet->tuple.ipv6) {
		key.address.words[0] = key.address.words[1] = 0;
		key.address.words[2] = MAPPED_WORD;
	}
	verdict = bpf_map_lookup_elem(&source_ranges, &key);
	return verdict ? *verdict : otherwise;
}

SUBPROGRAM bool prefilter_denies(const struct packet *packet)
{
	return packet && source_verdict(packet, PREFILTER_SERVICE, SOURCE_ALLOWED) == SOURCE_DENIED;
}

static __always_inline bool is_prefiltered(const struct packet *packet)
{
	__u32 zero = 0;
	const __u32 *size = bpf_map_lookup_elem(&prefilter_size, &zero);

	return unlikely(size && *size) && prefilter_denies(packet);
}

static __always_inline bool service_refuses_source(const struct packet *packet, const struct service *service)
{
	__u32 otherwise = service->flags & SERVICE_ALLOWED_SOURCES ? SOURCE_DENIED : SOURCE_ALLOWED;

	return service->flags & SERVICE_SOURCES && source_verdict(packet, service->id, otherwise) == SOURCE_DENIED;
}

#endif
