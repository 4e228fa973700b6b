/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* Asking policy, for a new flow or again for one whose policy moved: both sides, by the flow's own direction. */
#ifndef SLUICE_LIB_ADMIT_H
#define SLUICE_LIB_ADMIT_H

#include "config/features.h"
#include "lib/address.h"
#include "lib/endpoint.h"
#include "lib/event.h"
#include "lib/host.h"
#include "lib/policy.h"

/* What the flow's two ends are, in its original direction and after service translation. */
struct admission {
	struct known_peer source;
	struct known_peer destination;
};

/*
 * Rows are read without a lock. They may go, and their place be used again, only after the endpoint has another
 * subject, and a class's only after its generation moved: what was read counts if neither has happened since.
 */
#define ADMIT_ATTEMPTS 3

/* An address in the node's workload range that no workload has. */
static __always_inline bool peer_is_nobody(const struct peer *peer)
{
	return (peer->flags & PEER_LOCAL_RANGE) && !(peer->flags & PEER_HOST) && !peer->ifindex;
}

/* Answers the query for the endpoint's present subject; `exempt`: allowed without rows. */
SUBPROGRAM int admit_query(struct policy_query *query, __u32 ifindex, bool exempt)
{
	if (!query)
		return REASON_NO_SUBJECT;
	for (int i = 0; i < ADMIT_ATTEMPTS; i++) {
		const struct endpoint *endpoint = endpoint_find(ifindex);
		int error;

		if (!endpoint)
			return REASON_UNKNOWN_INTERFACE;
		query->subject = READ_ONCE(endpoint->subject);
		if (!query->subject)
			return REASON_NO_SUBJECT;
		if (exempt)
			return REASON_FORWARDED;
		error = policy_decide(query);
		endpoint = endpoint_find(ifindex);
		if (error || !endpoint || READ_ONCE(endpoint->subject) != query->subject)
			continue;
		if (query->action == POLICY_DENY && endpoint->flags & ENDPOINT_AUDIT)
			query->action = POLICY_AUDIT;
		return REASON_FORWARDED;
	}
	return REASON_NO_SUBJECT;
}

/*
 * Asks the policy of the flow's source about what it sends (egress), or of its destination about what it is sent (ingress),
 * and writes that side of the flow.
 */
static __noinline int admit_side(struct packet *packet, struct flow_state *state, const struct admission *admission,
	enum direction direction, bool exempt)
{
	const bool egress = direction == DIRECTION_EGRESS;
	const struct known_peer *peer = egress ? &admission->destination : &admission->source;
	struct flow_side *side = egress ? &state->source : &state->destination;
	struct policy_query query = {
		.peer_class = peer->peer.peer_class,
		.direction = direction,
		.port = policy_port(&packet->tuple),
		.action = POLICY_ALLOW,
	};
	int reason;

	packet->decision.direction = direction;
	packet->decision.ifindex = egress ? state->source_ifindex : state->destination_ifindex;
	if (!query.peer_class)
		return REASON_UNKNOWN_PEER;
	reason = admit_query(&query, packet->decision.ifindex, exempt);
	if (reason)
		return reason;
	packet->decision.rule = query.rule;
	if (query.action == POLICY_DENY)
		return REASON_POLICY_DENIED;
	if (query.action == POLICY_AUDIT) {
		packet->flags |= PACKET_AUDITED;
		send_event(packet, EVENT_AUDIT, REASON_POLICY_DENIED);
	}
	side->subject = query.subject;
	side->peer_class = query.peer_class;
	side->class_generation = peer->generation;
	side->rule = query.rule;
	return REASON_FORWARDED;
}

/* Looks both ends up. An ifindex that the hook knows already is not overwritten. */
static __noinline int admit_resolve(struct packet *packet, struct flow_state *state, struct admission *admission)
{
	peer_resolve(&packet->tuple.source, &admission->source);
	peer_resolve(&packet->tuple.destination, &admission->destination);
	packet->decision.source_identity = admission->source.peer.identity;
	packet->decision.destination_identity = admission->destination.peer.identity;
	if (!state->source_ifindex)
		state->source_ifindex = peer_ifindex(&admission->source.peer);
	if (!state->destination_ifindex)
		state->destination_ifindex = peer_ifindex(&admission->destination.peer);
	if (!state->destination_ifindex && peer_is_nobody(&admission->destination.peer))
		return REASON_UNKNOWN_DESTINATION;
	if (!state->source_ifindex && peer_is_nobody(&admission->source.peer))
		return REASON_UNKNOWN_PEER;
	return REASON_FORWARDED;
}

/* Health probes are the node's own: whom the stack has given its address goes by policy. */
static __always_inline bool host_may_pass(const struct flow_state *state)
{
	return allow_host && !(state->flags & FLOW_FORWARDED);
}

/* A workload reaches itself whatever policy says, as it would without leaving its namespace. */
static __always_inline int admit_sides(
	struct packet *packet, struct flow_state *state, const struct admission *admission)
{
	bool source_is_host = end_is_host(&admission->source.peer, state->source_ifindex);
	bool destination_is_host = end_is_host(&admission->destination.peer, state->destination_ifindex);
	bool self = state->source_ifindex == state->destination_ifindex;
	bool exempt;
	int reason = REASON_FORWARDED;

	if (state->source_ifindex) {
		exempt = self || (source_is_host && host_is_exempt(&packet->tuple, true));
		reason = admit_side(packet, state, admission, DIRECTION_EGRESS, exempt);
	}
	if (!reason && state->destination_ifindex) {
		exempt = self || (destination_is_host ? host_is_exempt(&packet->tuple, false) :
							source_is_host && host_may_pass(state));
		reason = admit_side(packet, state, admission, DIRECTION_INGRESS, exempt);
	}
	if (source_is_host || destination_is_host)
		state->flags |= FLOW_HOST;
	if (packet->flags & PACKET_AUDITED)
		state->flags |= FLOW_AUDITED;
	return reason;
}

/*
 * Whether the packet's sender, who is the flow's originator or not, can have sent it this way: from elsewhere comes nothing
 * of the node or of its workloads, and from the node's stack nothing of a workload but errors about its packets. What the
 * stack forwards bears the node's address where it was masqueraded, or is the answer of somebody whom the stack has put in
 * the node's place; but whoever forges it gets into no flow of the node's own.
 */
static __always_inline int admit_sender(const struct packet *packet, const struct flow_state *state,
	const struct admission *admission, bool from_origin)
{
	const struct peer *sender = from_origin ? &admission->source.peer : &admission->destination.peer;
	__u32 ifindex = from_origin ? state->source_ifindex : state->destination_ifindex;
	bool is_host = sender->flags & PEER_HOST, spoofed = false;

	if (packet->origin == ORIGIN_WORLD)
		spoofed = ifindex || is_host;
	else if (packet->origin == ORIGIN_FORWARDED)
		spoofed = is_host ? from_origin && !(state->flags & FLOW_FORWARDED) : ifindex;
	else if (packet->origin == ORIGIN_STACK)
		spoofed = ifindex && ifindex != HOST_IFINDEX && !(packet->flags & PACKET_RELATED);
	return spoofed ? REASON_SPOOFED_ADDRESS : REASON_FORWARDED;
}

static __always_inline bool admission_has_host(const struct admission *admission)
{
	return (admission->source.peer.flags | admission->destination.peer.flags) & PEER_HOST;
}

static __always_inline int admit_once(
	struct packet *packet, struct flow_state *state, struct admission *admission, bool from_origin)
{
	int reason = admit_resolve(packet, state, admission);

	if (!reason)
		reason = admit_sender(packet, state, admission, from_origin);
	if (!reason && !state->source_ifindex && !state->destination_ifindex)
		reason = NO_END_HERE;
	return reason ? reason : admit_sides(packet, state, admission);
}

static __always_inline bool peer_is_current(const struct known_peer *known)
{
	return class_generation(known->peer.peer_class) == known->generation;
}

/*
 * Decides about the flow packet->tuple, in its own direction, and fills `state`. Its ifindexes say which ends the hook
 * knows already, and FLOW_FORWARDED how its originator's packets come; the other ends are those of the address table.
 * `from_origin`: the flow's originator sent the packet.
 */
SUBPROGRAM int admit(
	struct packet *packet, struct flow_state *state, struct admission *admission, bool from_origin)
{
	__u32 source_ifindex, destination_ifindex;
	int reason;

	if (!packet || !state || !admission)
		return REASON_NO_SUBJECT;
	source_ifindex = state->source_ifindex;
	destination_ifindex = state->destination_ifindex;
	for (int i = 0; i < ADMIT_ATTEMPTS; i++) {
		state->source_ifindex = source_ifindex;
		state->destination_ifindex = destination_ifindex;
		state->flags &= ~(FLOW_HOST | FLOW_AUDITED);
		reason = admit_once(packet, state, admission, from_origin);
		if (peer_is_current(&admission->source) && peer_is_current(&admission->destination))
			return reason;
	}
	return REASON_NO_SUBJECT; /* classes move faster than they can be read: nothing was decided */
}

#endif
