/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* The two keys of a translated flow: the client's, with the service, and the backend's. Each holds the flow's state. */
#ifndef SLUICE_LIB_TWIN_H
#define SLUICE_LIB_TWIN_H

#include "lib/conntrack.h"
#include "lib/opening.h"

/* The tuple, in the flow's own direction, that the flow's other key is made of. */
static __always_inline void tuple_translate(struct tuple *tuple, const struct flow_state *flow)
{
	struct ip_address address = tuple->destination;

	tuple->destination = flow->translated;
	tuple->destination_port_be = flow->translated_port_be;
	if (!(flow->flags & FLOW_HAIRPIN))
		return;
	/* The service's address takes the client's place on one key, and the client its own on the other. */
	tuple->source = address;
}

/*
 * The state of the flow's other key. `tuple`, in the flow's own direction, becomes that key: each key translates to the
 * other's destination.
 */
static __always_inline void twin_state(struct flow_state *twin, struct tuple *tuple, const struct flow_state *flow)
{
	*twin = *flow;
	twin->flags ^= FLOW_TRANSLATED;
	twin->translated = tuple->destination;
	twin->translated_port_be = tuple->destination_port_be;
	tuple_translate(tuple, flow);
}

/* Whether what stands under the other key belongs to the same flow, and not to a later one with a port used again. */
static __always_inline bool is_twin(const struct flow_state *found, const struct flow_state *twin)
{
	return !((found->flags ^ twin->flags) & FLOW_TRANSLATED) &&
	       found->translated_port_be == twin->translated_port_be &&
	       address_equal(&found->translated, &twin->translated);
}

/*
 * Marks the flow's other key as seen, so that both live equally long. One that the LRU took is written again, also over
 * the flow that the replier's packets have opened there meanwhile.
 */
SUBPROGRAM int flow_touch_twin(const struct packet *packet, const struct flow_state *flow, bool from_origin)
{
	struct opening *opening = opening_take();
	struct flow_state *found;

	if (!packet || !flow || !opening)
		return 0;
	opening->original = packet->tuple;
	if (!from_origin)
		tuple_reverse(&opening->original);
	tuple_map(&opening->original);
	twin_state(&opening->twin, &opening->original, flow);
	found = conntrack_find_any(&opening->original);
	if (!found || !(found->flags & FLOW_TRANSLATED))
		return conntrack_write(&opening->original, &opening->twin);
	if (!is_twin(found, &opening->twin))
		return 0;
	WRITE_ONCE(found->last_seen, flow->last_seen);
	__sync_fetch_and_or(
		&found->flags, flow->flags & (FLOW_REPLIED | FLOW_CLOSING | FLOW_FIN_ORIGIN | FLOW_FIN_REPLY));
	return 0;
}

/* Both keys of a translated flow, the reply's first: a packet that finds the key of its service finds the other too. */
static __noinline int flow_write_translated(struct opening *opening)
{
	struct tuple reply = opening->original;

	twin_state(&opening->twin, &reply, &opening->state);
	if (conntrack_write(&reply, &opening->twin))
		return REASON_CONNTRACK_FULL;
	return conntrack_write(&opening->original, &opening->state) ? REASON_CONNTRACK_FULL : REASON_FORWARDED;
}

static __always_inline void flow_mark_revoked(struct flow_state *flow, __u32 now)
{
	/* Refused packets do not keep it: later the replier may open a flow of its own, if policy lets it. */
	if (!(__sync_fetch_and_or(&flow->flags, FLOW_REVOKED) & FLOW_REVOKED))
		WRITE_ONCE(flow->last_seen, now);
}

/*
 * The flow stays, under all its keys, and each of the replier's packets asks policy again: without it the next one
 * would open a flow of the other direction, which policy may allow. opening->original is in the flow's own direction.
 */
static __always_inline void flow_revoke(struct opening *opening, struct flow_state *flow)
{
	__u32 now = clock_ticks();
	struct flow_state *found;

	flow_mark_revoked(flow, now);
	if (!(flow->flags & FLOW_TRANSLATED))
		return;
	twin_state(&opening->twin, &opening->original, flow);
	found = conntrack_find_any(&opening->original);
	if (found && is_twin(found, &opening->twin))
		flow_mark_revoked(found, now);
}

#endif
