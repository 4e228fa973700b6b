/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/*
 * The one way of an IP packet through every tc hook: find or open its flow, see that both sides' verdicts still
 * hold, deliver. `hook` and `ipv6` are constants at each caller, so that neither family pays for the other.
 */
#ifndef SLUICE_LIB_FORWARD_H
#define SLUICE_LIB_FORWARD_H

#include "lib/deliver.h"
#include "lib/flow.h"
#include "lib/reject.h"
#include "lib/related.h"

static __always_inline int drop_skb(struct packet *packet, int reason)
{
	drop_packet(packet, reason);
	return TC_ACT_SHOT;
}

/* A flow and how this packet stands to it. */
struct passage {
	struct flow_state *flow;
	const struct endpoint *near; /* the hook's own endpoint; NULL from the world */
	const struct endpoint *receiver; /* NULL: not a local workload */
	__u32 receiver_ifindex;
	__u32 now; /* ticks: reading the clock costs 13 ns, so once a packet */
	bool from_origin;
};

/* Of the hook's own endpoint; the uplink from the world, which is nobody's. */
static __always_inline __u32 near_ifindex(const struct __sk_buff *skb, const enum hook hook)
{
	return hook == HOOK_TO_WORLD ? HOST_IFINDEX : skb->ifindex;
}

static __always_inline __u32 sender_ifindex_of(const struct passage *passage)
{
	const struct flow_state *flow = passage->flow;

	return passage->from_origin ? flow->source_ifindex : flow->destination_ifindex;
}

static __always_inline __u32 receiver_ifindex_of(const struct passage *passage)
{
	const struct flow_state *flow = passage->flow;

	return passage->from_origin ? flow->destination_ifindex : flow->source_ifindex;
}

static __always_inline void find_receiver(struct passage *passage, const enum hook hook)
{
	passage->receiver_ifindex = receiver_ifindex_of(passage);
	if (hook == HOOK_TO_ENDPOINT)
		passage->receiver = passage->near;
	else
		passage->receiver = passage->receiver_ifindex ? endpoint_find(passage->receiver_ifindex) : NULL;
}

/*
 * Whether the receiver has the address that the packet is for. A translated flow's packet does not carry it yet; the
 * hairpin's replier is its receiver too, whose address was checked as the source.
 */
static __always_inline bool receiver_owns(
	const struct passage *passage, const struct packet *packet, const bool ipv6)
{
	const struct flow_state *flow = passage->flow;

	if (unlikely(flow->flags & FLOW_TRANSLATE_DESTINATION && passage->from_origin))
		return endpoint_owns(passage->receiver, &flow->translated, ipv6);
	if (unlikely(flow->flags & FLOW_HAIRPIN))
		return true;
	return endpoint_owns(passage->receiver, &packet->tuple.destination, ipv6);
}

/* Whether the node has got policies since the flow was decided, which only workloads had then. */
static __always_inline bool host_was_ignored(const struct passage *passage)
{
	return unlikely(passage->flow->flags & FLOW_HOST) && host_has_policy();
}

/* Whether the recorded sender is the node, which had no policy when the flow was decided. */
static __always_inline bool sender_is_host(const struct passage *passage)
{
	return passage->flow->flags & FLOW_HOST && passage->receiver_ifindex != HOST_IFINDEX;
}

/* False also where the recorded sender cannot have sent the packet this way: renewing finds out whether it is forged. */
static __always_inline bool sender_is_current(
	const struct passage *passage, const struct packet *packet, __u32 ifindex, const enum hook hook)
{
	const struct flow_side *side = passage->from_origin ? &passage->flow->source : &passage->flow->destination;
	__u32 sender_ifindex = sender_ifindex_of(passage);
	const struct endpoint *sender = passage->near;

	if (hook_knows_sender(hook))
		return sender_ifindex == ifindex && side_is_current(side, sender);
	if (likely(!sender_ifindex && !sender_is_host(passage)))
		return true;
	if (hook == HOOK_FROM_WORLD || packet->origin == ORIGIN_WORLD)
		return false;
	if (packet->origin == ORIGIN_FORWARDED && passage->from_origin && !(passage->flow->flags & FLOW_FORWARDED))
		return false;
	if (!sender_ifindex)
		return !host_has_policy();
	if (sender_ifindex != HOST_IFINDEX && !(packet->origin == ORIGIN_STACK && packet->flags & PACKET_RELATED))
		return false;
	sender = endpoint_find(sender_ifindex);
	return sender && side_is_current(side, sender);
}

static __always_inline bool receiver_is_current(const struct passage *passage, const struct packet *packet,
	__u32 ifindex, const enum hook hook, const bool ipv6)
{
	const struct flow_side *side = passage->from_origin ? &passage->flow->destination : &passage->flow->source;

	if (hook == HOOK_TO_ENDPOINT && passage->receiver_ifindex != ifindex)
		return false;
	if (!passage->receiver_ifindex)
		return hook == HOOK_TO_WORLD || (hook == HOOK_FROM_ENDPOINT && !host_was_ignored(passage));
	return passage->receiver && side_is_current(side, passage->receiver) &&
	       (hook == HOOK_TO_ENDPOINT || passage->receiver_ifindex == HOST_IFINDEX ||
		       receiver_owns(passage, packet, ipv6));
}

static __always_inline int passage_renew(
	struct __sk_buff *skb, struct packet *packet, struct passage *passage, const enum hook hook)
{
	int reason = flow_renew(packet, passage->flow, hook, near_ifindex(skb, hook), passage->from_origin);

	find_receiver(passage, hook);
	return reason;
}

static __always_inline struct flow_state *find_alive(const struct packet *packet, __u32 now, const bool ipv6)
{
	struct flow_state *flow = conntrack_find(&packet->tuple, ipv6);

	return likely(flow) && likely(flow_is_alive(flow, packet, now, ipv6)) ? flow : NULL;
}

/* A reply that nobody asked for: policy is to see its type, and not the identifier, which its sender chooses. */
static __always_inline void echo_becomes_message(struct tuple *tuple, const bool ipv6)
{
	tuple->echo = ECHO_IS_NONE;
	tuple->source_port_be = 0;
	tuple->destination_port_be = bpf_htons((ipv6 ? ICMP6_ECHO_REPLY : ICMP4_ECHO_REPLY) << 8);
}

static __always_inline int passage_open(struct __sk_buff *skb, struct packet *packet, struct passage *passage,
	const enum hook hook, const bool ipv6)
{
	int reason;

	/* An error's flow vanished between two looks. */
	if (packet->flags & PACKET_RELATED)
		return REASON_POLICY_DENIED;
	if (hook_is_at_uplink(hook) && unlikely(flow_is_of_receiver(skb, packet, hook)))
		reason = flow_open_reversed(packet, hook, passage->now);
	else
		reason = flow_open(packet, hook, near_ifindex(skb, hook), passage->now);
	if (reason)
		return reason;
	passage->flow = conntrack_find(&packet->tuple, ipv6);
	return passage->flow ? REASON_FORWARDED : REASON_CONNTRACK_FULL;
}

/* Finds the packet's flow, and opens or renews it where needed. */
static __always_inline int passage_find(struct __sk_buff *skb, struct packet *packet, struct passage *passage,
	const enum hook hook, const bool ipv6)
{
	const __u32 ifindex = near_ifindex(skb, hook);
	int reason;

	passage->flow = find_alive(packet, passage->now, ipv6);
	if (unlikely(!passage->flow && packet->tuple.echo == ECHO_IS_REPLY)) {
		echo_becomes_message(&packet->tuple, ipv6);
		passage->flow = find_alive(packet, passage->now, ipv6);
	}
	if (unlikely(!passage->flow)) {
		reason = passage_open(skb, packet, passage, hook, ipv6);
		if (reason)
			return reason;
	}
	passage->from_origin = flow_is_from_origin(passage->flow, &packet->tuple, ipv6);
	find_receiver(passage, hook);
	if (likely(sender_is_current(passage, packet, ifindex, hook) &&
		    receiver_is_current(passage, packet, ifindex, hook, ipv6)))
		return REASON_FORWARDED;
	return passage_renew(skb, packet, passage, hook);
}

static __always_inline int passage_deliver(struct __sk_buff *skb, struct packet *packet, struct passage *passage,
	const enum hook hook, const bool ipv6)
{
	if (hook_is_of_stack(hook))
		return deliver_as_it_is(packet);
	if (passage->flow->flags & FLOW_HOST)
		return deliver_as_it_is(packet);
	if (passage->receiver)
		return deliver_local(skb, packet, passage->receiver, passage->receiver_ifindex, ipv6);
	if (hook == HOOK_FROM_WORLD)
		return deliver_as_it_is(packet);
	return deliver_world(skb, packet, passage->flow, passage->now, ipv6);
}

static __always_inline int passage_translate(
	struct __sk_buff *skb, struct packet *packet, const struct passage *passage)
{
	if (packet->flags & PACKET_RELATED)
		return translate_related(skb, packet, passage->flow, passage->from_origin);
	return translate(skb, packet, passage->flow, passage->from_origin);
}

static __always_inline int refuse(struct __sk_buff *skb, struct packet *packet, int reason, const enum hook hook)
{
	drop_packet(packet, reason);
	return reason == REASON_POLICY_DENIED ? reject(skb, packet, hook) : TC_ACT_SHOT;
}

/* Whether what comes in there has passed a hook that lets nobody in with an address of the node. */
static __always_inline bool interface_is_guarded(__u32 ifindex)
{
	return ifindex == uplink_ifindex || endpoint_find(ifindex);
}

static __always_inline enum origin origin_of(const struct __sk_buff *skb, const enum hook hook)
{
	if (hook_knows_sender(hook))
		return ORIGIN_CHECKED;
	if (hook == HOOK_FROM_WORLD)
		return ORIGIN_WORLD;
	if (!skb->ingress_ifindex)
		return ORIGIN_STACK;
	return interface_is_guarded(skb->ingress_ifindex) ? ORIGIN_FORWARDED : ORIGIN_WORLD;
}

static __always_inline int forward(struct __sk_buff *skb, struct packet *packet, const struct endpoint *near,
	const enum hook hook, const bool ipv6)
{
	struct passage passage = {.near = near, .now = clock_ticks()};
	int reason;

	packet->origin = origin_of(skb, hook);
	if (unlikely(packet->flags & PACKET_ICMP_ERROR))
		related_find(skb, packet);
	reason = passage_find(skb, packet, &passage, hook, ipv6);
	if (unlikely(reason))
		return reason == NOT_OURS ? TC_ACT_OK : refuse(skb, packet, reason, hook);
	/* The verifier does not see that the reason implies it, once clang has turned branches into selects. */
	barrier_var(passage.flow);
	if (unlikely(!passage.flow))
		return drop_skb(packet, REASON_CONNTRACK_FULL);
	if (unlikely(packet->flags & PACKET_FIRST_FRAGMENT))
		fragment_remember(packet);
	if (likely(!(packet->flags & PACKET_RELATED)))
		flow_touch(packet, passage.flow, passage.now, passage.from_origin);
	if (feature_services && unlikely(passage.flow->flags & FLOW_TRANSLATED))
		reason = passage_translate(skb, packet, &passage);
	if (unlikely(reason))
		return drop_skb(packet, reason);
	return passage_deliver(skb, packet, &passage, hook, ipv6);
}

#endif
