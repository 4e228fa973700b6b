/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* The life of a flow: opened by its first packet, renewed when policy moves, cut when policy says so. */
#ifndef SLUICE_LIB_FLOW_H
#define SLUICE_LIB_FLOW_H

#include "config/features.h"
#include "lib/admit.h"
#include "lib/connection.h"
#include "lib/conntrack.h"
#include "lib/parse.h"
#include "lib/service.h"
#include "lib/twin.h"

/* Where the packet is looked at, and so which of its ends is known; where packets come in stands before where they go. */
enum hook {
	HOOK_FROM_ENDPOINT, /* its sender is the interface's workload */
	HOOK_FROM_WORLD, /* its sender is no workload of this node */
	HOOK_TO_ENDPOINT, /* its receiver is */
	HOOK_TO_WORLD, /* its sender is the node itself */
};

static __always_inline bool hook_knows_sender(const enum hook hook)
{
	return hook == HOOK_FROM_ENDPOINT || hook == HOOK_TO_WORLD;
}

/* Whether the stack sends the packet. One comparison: of two, clang keeps code that cannot be reached, and its stack. */
static __always_inline bool hook_is_of_stack(const enum hook hook)
{
	return hook >= HOOK_TO_ENDPOINT;
}

/* Where the node's own packets pass beside those of workloads. */
static __always_inline bool hook_is_at_uplink(const enum hook hook)
{
	return hook == HOOK_FROM_WORLD || hook == HOOK_TO_WORLD;
}

/* A flow's reply key may belong to another live flow of the same client; then another backend is tried. */
#define SERVICE_ATTEMPTS 4

static __always_inline bool side_is_current(const struct flow_side *side, const struct endpoint *endpoint)
{
	return side->subject == endpoint->subject && side->class_generation == class_generation(side->peer_class);
}

/* Writes only what changed: the line is shared by both directions' CPUs. */
static __always_inline void flow_touch(
	const struct packet *packet, struct flow_state *flow, __u32 now, bool from_origin)
{
	__u32 added = flow_progress(flow->flags, packet, from_origin) & ~flow->flags;
	bool stale = clock_since(now, flow->last_seen) >= SEEN_GRANULARITY;

	if (unlikely(added))
		__sync_fetch_and_or(&flow->flags, added);
	if (unlikely(stale))
		WRITE_ONCE(flow->last_seen, now);
	if (unlikely(stale || added) && flow->flags & FLOW_TRANSLATED)
		flow_touch_twin(packet, flow, from_origin);
}

/* Whether the reply key of a flow to this backend is free, or a remainder of this very flow. */
static __always_inline bool service_key_is_free(const struct tuple *tuple, const struct tuple *original, __u32 now)
{
	const struct flow_state *flow = conntrack_find_any(tuple);

	if (!flow || clock_since(now, flow->last_seen) > flow_lifetime(flow->flags, tuple->protocol))
		return true;
	return flow->flags & FLOW_TRANSLATE_SOURCE && flow->translated_port_be == original->destination_port_be &&
	       address_equal(&flow->translated, &original->destination);
}

/*
 * Turns packet->tuple into the flow to the backend. state->translated is set when the destination is a service.
 * The policy that counts is the one for the backend.
 */
static __noinline int flow_translate(struct packet *packet, struct flow_state *state)
{
	const struct tuple original = packet->tuple;
	const struct service *service = service_find(&original, true);
	__u32 hash;

	if (!service || service->forwarding != FORWARDING_NAT)
		return REASON_FORWARDED;
	packet->decision.service = state->service = service->id;
	hash = original.ipv6 ? flow_hash(&original, true) : flow_hash(&original, false);
	for (int i = 0; i < SERVICE_ATTEMPTS && service->slot_count; i++) {
		const struct backend *backend = service_backend(service_backend_id(service, hash));

		hash = hash_mix(hash);
		if (!backend)
			continue;
		if (original.protocol == IPPROTO_SCTP && backend->port_be != original.destination_port_be)
			return REASON_UNSUPPORTED_PROTOCOL;
		if (ipv6_is_mapped(&backend->address) == original.ipv6)
			continue;
		state->translated = backend->address;
		state->translated_port_be = backend->port_be;
		state->flags = FLOW_TRANSLATE_DESTINATION;
		if (address_equal(&backend->address, &original.source))
			state->flags |= FLOW_HAIRPIN;
		packet->tuple = original;
		tuple_translate(&packet->tuple, state);
		if (service_key_is_free(&packet->tuple, &original, state->last_seen))
			return REASON_FORWARDED;
	}
	return REASON_NO_BACKEND;
}

static __noinline int flow_write(struct packet *packet, struct opening *opening)
{
	if (opening->state.flags & FLOW_TRANSLATE_DESTINATION)
		return flow_write_translated(opening);
	return conntrack_write(&packet->tuple, &opening->state) ? REASON_CONNTRACK_FULL : REASON_FORWARDED;
}

/* Destinations that no workload's flow goes to. */
static __always_inline int flow_check_destination(const struct tuple *tuple)
{
	if (!tuple->ipv6)
		return ipv4_is_multicast(tuple->destination.words[3]) ? REASON_MULTICAST : REASON_FORWARDED;
	if (ipv6_is_multicast(&tuple->destination))
		return REASON_MULTICAST;
	return ipv6_is_link_local(&tuple->destination) ? REASON_UNKNOWN_DESTINATION : REASON_FORWARDED;
}

static __noinline int flow_open_with(struct packet *packet, struct opening *opening, bool from_origin)
{
	int reason = admit(packet, &opening->state, &opening->admission, from_origin);

	if (!reason)
		reason = flow_write(packet, opening);
	if (!reason && report_flows)
		send_event(packet, EVENT_FLOW, REASON_FORWARDED);
	return reason == NO_END_HERE ? NOT_OURS : reason;
}

/*
 * Ends that no flow has. The node sends to groups as to anybody (Cilium's host firewall, too, goes by the node's own address
 * alone); what it says and hears by link-local addresses, and what it hears as one of a group, is no matter of policy.
 */
static __always_inline int flow_check_ends(const struct tuple *tuple, const enum hook hook)
{
	int reason;

	if (hook == HOOK_TO_WORLD)
		return tuple->ipv6 && ipv6_is_link_local(&tuple->source) ? NOT_OURS : REASON_FORWARDED;
	reason = flow_check_destination(tuple);
	return reason && hook == HOOK_FROM_WORLD ? NOT_OURS : reason;
}

/* Back to what the packet carries and where it was seen, after events told of what policy compared. */
static __always_inline void packet_restore(struct packet *packet, const struct tuple *tuple, enum hook hook)
{
	packet->tuple = *tuple;
	packet->decision.direction = hook_knows_sender(hook) ? DIRECTION_EGRESS : DIRECTION_INGRESS;
}

/* The first packet of a flow. packet->tuple stays what the packet carries, except in a drop, for its event. */
SUBPROGRAM int flow_open(struct packet *packet, enum hook hook, __u32 ifindex, __u32 now)
{
	struct opening *opening = opening_take();
	int reason;

	if (!opening || !packet)
		return REASON_CONNTRACK_FULL;
	opening->state.last_seen = now;
	if (hook_knows_sender(hook))
		opening->state.source_ifindex = ifindex;
	if (hook == HOOK_TO_ENDPOINT)
		opening->state.destination_ifindex = ifindex;
	if (hook == HOOK_TO_ENDPOINT && packet->origin != ORIGIN_STACK)
		opening->state.flags = FLOW_FORWARDED;
	tuple_map(&packet->tuple);
	reason = flow_check_ends(&packet->tuple, hook);
	if (reason)
		return reason;
	opening->original = packet->tuple;
	if (feature_services && hook == HOOK_FROM_ENDPOINT)
		reason = flow_translate(packet, &opening->state);
	if (!reason)
		reason = flow_open_with(packet, opening, true);
	if (!reason)
		packet_restore(packet, &opening->original, hook);
	return reason;
}

/*
 * Whether an unknown flow's first packet at the uplink is a reply: the connection may be older than the node's policies or
 * outlive its conntrack entry. Who opened one that policy has cut is not asked again: conntrack knows it.
 */
SUBPROGRAM int flow_is_of_receiver(struct __sk_buff *skb, const struct packet *packet, enum hook hook)
{
	const struct flow_state *known;

	if (!packet || !host_has_policy())
		return false;
	known = conntrack_find_any(&packet->tuple);
	if (known && known->flags & FLOW_REVOKED)
		return false;
	return connection_is_of_receiver(skb, packet, hook == HOOK_FROM_WORLD);
}

/* The same as flow_open, where the packet's receiver has opened the flow. */
SUBPROGRAM int flow_open_reversed(struct packet *packet, enum hook hook, __u32 now)
{
	struct opening *opening = opening_take();
	int reason;

	if (!opening || !packet)
		return REASON_CONNTRACK_FULL;
	tuple_map(&packet->tuple);
	opening->original = packet->tuple;
	opening->state.last_seen = now;
	tuple_reverse(&packet->tuple);
	reason = flow_open_with(packet, opening, false);
	if (!reason)
		packet_restore(packet, &opening->original, hook);
	return reason;
}

/* A mix of old and new fields, which another CPU may read, holds nothing that policy refuses now. */
static __always_inline void flow_update(struct flow_state *flow, const struct flow_state *state)
{
	__u32 changed;

	flow->source = state->source;
	flow->destination = state->destination;
	flow->source_ifindex = state->source_ifindex;
	flow->destination_ifindex = state->destination_ifindex;
	flow->route_seen = 0;
	flow->route_ifindex = 0;
	changed = (flow->flags ^ state->flags) & (FLOW_HOST | FLOW_AUDITED);
	if (changed)
		__sync_fetch_and_xor(&flow->flags, changed);
	if (flow->flags & FLOW_REVOKED)
		__sync_fetch_and_and(&flow->flags, ~FLOW_REVOKED);
}

/*
 * Asks policy again, by the flow's own direction whoever sent this packet: a flow lives by its originator's
 * permission. Changes packet->tuple to that direction's for the event when it cuts the flow.
 */
static __noinline int flow_renew_with(
	struct packet *packet, struct flow_state *flow, bool from_origin, struct opening *opening)
{
	struct tuple *key = &opening->original;
	int reason;

	*key = packet->tuple;
	if (!from_origin)
		tuple_reverse(key);
	packet->tuple = *key;
	if (flow->flags & FLOW_TRANSLATE_DESTINATION)
		tuple_translate(&packet->tuple, flow);
	reason = admit(packet, &opening->state, &opening->admission, from_origin);
	if (!reason) {
		flow_update(flow, &opening->state);
		return REASON_FORWARDED;
	}
	/* Whoever forges a packet must not cut the flow by it. */
	if (reason == REASON_SPOOFED_ADDRESS)
		return reason;
	/* The flow was ours until its end left, or until the node had no policy any more. */
	if (reason == NO_END_HERE)
		reason = admission_has_host(&opening->admission) ? NOT_OURS : REASON_UNKNOWN_DESTINATION;
	if (!(flow->flags & FLOW_REVOKED))
		packet->flags |= PACKET_REVOKED;
	flow_revoke(opening, flow);
	return reason;
}

SUBPROGRAM int flow_renew(
	struct packet *packet, struct flow_state *flow, enum hook hook, __u32 ifindex, bool from_origin)
{
	struct opening *opening = opening_take();
	struct tuple tuple;
	int reason;

	if (!opening || !packet || !flow)
		return REASON_CONNTRACK_FULL;
	tuple_map(&packet->tuple);
	tuple = packet->tuple;
	packet->decision.service = flow->service;
	opening->state.flags = flow->flags & FLOW_FORWARDED;
	if (hook != HOOK_FROM_WORLD) {
		bool known_is_source = hook_knows_sender(hook) == from_origin;

		if (known_is_source || flow->flags & FLOW_HAIRPIN)
			opening->state.source_ifindex = ifindex;
		if (!known_is_source || flow->flags & FLOW_HAIRPIN)
			opening->state.destination_ifindex = ifindex;
	}
	reason = flow_renew_with(packet, flow, from_origin, opening);
	if (!reason)
		packet_restore(packet, &tuple, hook);
	return reason;
}

#endif
