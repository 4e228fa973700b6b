/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* How many packets, and how many new connections, a service takes a second; see struct rate_limit. */
#ifndef SLUICE_LIB_RATE_LIMIT_H
#define SLUICE_LIB_RATE_LIMIT_H

#include "maps.h"
#include "lib/packet.h"

/* Other CPUs may come first as often; then the packet's cost is added without another look. */
#define RATE_LIMIT_ATTEMPTS 4

static __always_inline bool rate_limit_admits(struct rate_limit *limit, __u64 now)
{
	__u64 cost = limit->cost;

	if (!cost)
		return true;
	for (int attempt = 0; attempt < RATE_LIMIT_ATTEMPTS; attempt++) {
		__u64 due = READ_ONCE(limit->next);
		__u64 after = ((__s64)(due - now) > 0 ? due : now) + cost;

		if ((__s64)(due - now) > (__s64)limit->burst)
			return false;
		if (__sync_val_compare_and_swap(&limit->next, due, after) == due)
			return true;
	}
	__sync_fetch_and_add(&limit->next, cost);
	return true;
}

/* Of a service with limits; a packet that opens a connection counts for both. */
SUBPROGRAM int rate_limit_check(__u32 service, bool opens)
{
	struct service_limits *limits = bpf_map_lookup_elem(&rate_limits, &service);
	__u64 now = bpf_ktime_get_ns() << RATE_LIMIT_SHIFT;

	if (!limits)
		return 0;
	if (opens && !rate_limit_admits(&limits->opening, now))
		return REASON_SYN_LIMITED;
	return rate_limit_admits(&limits->packets, now) ? 0 : REASON_RATE_LIMITED;
}

#endif
