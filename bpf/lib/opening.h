/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* Room for a flow that is being opened, renewed or written again under its other key. */
#ifndef SLUICE_LIB_OPENING_H
#define SLUICE_LIB_OPENING_H

#include "lib/admit.h"

/* What opening or renewing a flow needs beside the stack's 512 bytes: these paths nest deep. */
struct opening {
	struct flow_state state;
	struct flow_state twin;
	struct admission admission;
	struct tuple original;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct opening);
} openings SEC(".maps");

/* Zeroed. tc programs of one CPU never interrupt one another, so one is enough. */
static __always_inline struct opening *opening_take(void)
{
	__u32 index = 0;
	struct opening *opening = bpf_map_lookup_elem(&openings, &index);

	if (opening)
		__builtin_memset(opening, 0, sizeof(*opening));
	return opening;
}

#endif
