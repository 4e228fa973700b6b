/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* Policy: at most two spans of rows, one of the peer's class and one of all classes; see struct policy_row. */
#ifndef SLUICE_LIB_POLICY_H
#define SLUICE_LIB_POLICY_H

#include "maps.h"
#include "lib/packet.h"

/* A span has at most 65,536 rows. */
#define POLICY_SEARCH_STEPS 17

struct policy_query {
	__u32 subject;
	__u32 peer_class;
	__u32 direction;
	__u32 port; /* protocol << 16 | port */
	/* the answer */
	__u32 rule;
	__u32 action; /* enum policy_action */
};

static __always_inline __u32 policy_port(const struct tuple *tuple)
{
	return (__u32)tuple->protocol << 16 | bpf_ntohs(tuple->destination_port_be);
}

static __always_inline const struct policy_row *policy_row_at(__u32 index)
{
	return bpf_map_lookup_elem(&policy_rows, &index);
}

/* The row of the span that covers the port: binary search, since rows are disjoint and sorted. */
static __always_inline const struct policy_row *policy_search(const struct policy_span *span, __u32 port)
{
	__u32 low = span->first_row;
	__u32 high = low + span->rows;

	for (int step = 0; step < POLICY_SEARCH_STEPS && low < high; step++) {
		__u32 middle = low + (high - low) / 2;
		const struct policy_row *row = policy_row_at(middle);

		if (!row)
			return NULL;
		if (port < row->first)
			high = middle;
		else if (port > row->last)
			low = middle + 1;
		else
			return row;
	}
	return NULL;
}

static __always_inline const struct policy_row *policy_row_of(const struct policy_query *query, __u32 peer_class)
{
	struct policy_key key = {
		.subject = query->subject,
		.peer_class_direction = peer_class << 1 | query->direction,
	};
	const struct policy_span *span = bpf_map_lookup_elem(&policy, &key);

	return span ? policy_search(span, query->port) : NULL;
}

/* Fills the answer. Not 0: the subject has no rows at all, since its policy is not here (any more). */
SUBPROGRAM int policy_decide(struct policy_query *query)
{
	const struct policy_row *row, *any;

	if (!query)
		return -1;
	row = policy_row_of(query, query->peer_class);
	any = policy_row_of(query, 0);
	if (!row || (any && any->precedence > row->precedence))
		row = any;
	if (!row)
		return -1;
	query->rule = row->rule;
	query->action = row->action;
	return 0;
}

#endif
