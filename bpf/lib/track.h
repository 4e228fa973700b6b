/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/*
 * Just enough tracking: which backend a flow has. A packet on a settled slot goes to the slot's owner and touches no
 * flow table. On a slot that changes hands the flow table is asked. A flow that is not in it is the current owner's if
 * this packet opens it; else it is the oldest previous owner's until the slot's history is learned, since all flows of
 * later owners were remembered, and the current owner's from then on. Cf. JET (CoNEXT 2020), Beamer (NSDI 2018).
 */
#ifndef SLUICE_LIB_TRACK_H
#define SLUICE_LIB_TRACK_H

#include "lib/clock.h"
#include "lib/service.h"
#include "lib/xdp.h"

/* `last_seen` may lag by this much, so that busy flows seldom write to a line that all CPUs share. */
#define BALANCED_GRANULARITY (SECONDS(1) / 2)

#define SCTP_HEADER 12
#define SCTP_INIT   1

/* What is asked about one packet. */
struct question {
	const struct service *service;
	__u32 hash;
	__u32 now; /* ticks */
	bool opens; /* the packet is its flow's first */
	__u32 current; /* owner of the flow's slot */
	__u32 former; /* owner of the flow if nobody knows it and this packet does not open it */
};

static __always_inline const struct slot *slot_at(__u32 index)
{
	return bpf_map_lookup_elem(&slots, &index);
}

/* Nobody, where it is down: then it has no previous role. */
static __always_inline __u32 owner_unless_down(__u32 backend_id)
{
	const struct backend *backend = service_backend(backend_id);

	return backend && backend->state != BACKEND_DOWN ? backend_id : 0;
}

/* The slot's previous owner while it is being learned; 0: nobody that counts. */
static __always_inline __u32 slot_previous(const struct slot *slot, __u32 index, __u32 now)
{
	const struct slot_history *history;

	if (!slot->previous)
		return 0;
	history = bpf_map_lookup_elem(&slot_histories, &index);
	if (!history || clock_since(now, history->learned) >= 0)
		return 0;
	return owner_unless_down(slot->previous);
}

/* While the size changes: what nobody knew in the former table is older than whatever happened in this one. */
static __always_inline void find_former_owner(struct question *question)
{
	const struct service *service = question->service;
	__u32 index = slot_index(service->former_base, service->former_count, question->hash);
	const struct slot *slot = slot_at(index);

	if (!slot)
		return;
	question->former = slot_previous(slot, index, question->now);
	if (!question->former && clock_since(question->now, service->learned) < 0)
		question->former = owner_unless_down(slot->backend);
}

static __always_inline void find_owners(struct question *question)
{
	const struct service *service = question->service;
	__u32 index = slot_index(service->slot_base, service->slot_count, question->hash);
	const struct slot *slot = slot_at(index);

	if (!slot)
		return;
	question->current = slot->backend;
	if (service->former_count)
		find_former_owner(question);
	if (!question->former)
		question->former = slot_previous(slot, index, question->now);
	if (!question->former)
		question->former = slot->backend;
}

/* While the size changes: whether the flow's slots in both tables have had one owner only, and the same. */
static __always_inline bool tables_agree(const struct service *service, __u32 hash)
{
	const struct slot *slot = slot_at(slot_index(service->slot_base, service->slot_count, hash));
	const struct slot *former = slot_at(slot_index(service->former_base, service->former_count, hash));

	return slot && former && !slot->previous && !former->previous && slot->backend == former->backend;
}

static __always_inline void balanced4_key_fill(struct balanced4_key *key, const struct tuple *tuple)
{
	key->source = tuple->source.words[3];
	key->destination = tuple->destination.words[3];
	key->source_port_be = tuple->source_port_be;
	key->destination_port_be = tuple->destination_port_be;
	key->protocol = tuple->protocol;
	key->pad[0] = key->pad[1] = key->pad[2] = 0;
}

static __always_inline void balanced6_key_fill(struct balanced6_key *key, const struct tuple *tuple)
{
	key->source = tuple->source;
	key->destination = tuple->destination;
	key->source_port_be = tuple->source_port_be;
	key->destination_port_be = tuple->destination_port_be;
	key->protocol = tuple->protocol;
	key->pad[0] = key->pad[1] = key->pad[2] = 0;
}

static __always_inline struct balanced_flow *balanced_find(const struct tuple *tuple, const bool ipv6)
{
	struct balanced4_key key4;
	struct balanced6_key key6;

	if (ipv6) {
		balanced6_key_fill(&key6, tuple);
		return bpf_map_lookup_elem(&balanced6, &key6);
	}
	balanced4_key_fill(&key4, tuple);
	return bpf_map_lookup_elem(&balanced4, &key4);
}

static __always_inline void balanced_forget(const struct tuple *tuple, const bool ipv6)
{
	struct balanced4_key key4;
	struct balanced6_key key6;

	if (ipv6) {
		balanced6_key_fill(&key6, tuple);
		bpf_map_delete_elem(&balanced6, &key6);
	} else {
		balanced4_key_fill(&key4, tuple);
		bpf_map_delete_elem(&balanced4, &key4);
	}
}

static __always_inline void count_refusal(void)
{
	__u64 *refused;
	__u32 zero = 0;

	refused = bpf_map_lookup_elem(&flows_refused, &zero);
	if (refused)
		++*refused;
}

/* False: there is no room. */
static __always_inline bool balanced_write(
	const struct tuple *tuple, const struct balanced_flow *flow, const bool ipv6)
{
	struct balanced4_key key4;
	struct balanced6_key key6;
	long error;

	if (ipv6) {
		balanced6_key_fill(&key6, tuple);
		error = bpf_map_update_elem(&balanced6, &key6, flow, BPF_ANY);
	} else {
		balanced4_key_fill(&key4, tuple);
		error = bpf_map_update_elem(&balanced4, &key4, flow, BPF_ANY);
	}
	if (error)
		count_refusal();
	return !error;
}

/* A packet that opens a flow leaves one that is closing, and a backend that drains. */
static __always_inline bool flow_stands(const struct question *question, const struct balanced_flow *flow)
{
	const struct backend *backend = service_backend(flow->backend);
	__s32 lifetime = question->service->idle;

	if (flow->flags & BALANCED_CLOSING && lifetime > SECONDS(BALANCED_LIFETIME_CLOSING_S))
		lifetime = SECONDS(BALANCED_LIFETIME_CLOSING_S);
	if (clock_since(question->now, flow->last_seen) > lifetime || !backend || backend->state == BACKEND_DOWN)
		return false;
	return !question->opens || (!(flow->flags & BALANCED_CLOSING) && backend->state == BACKEND_ACTIVE);
}

static __always_inline void flow_touch(struct balanced_flow *flow, const struct packet *packet, __u32 now)
{
	if (clock_since(now, flow->last_seen) > BALANCED_GRANULARITY)
		WRITE_ONCE(flow->last_seen, now);
	if (unlikely(packet->tcp_flags & (TCP_FIN | TCP_RST)))
		WRITE_ONCE(flow->flags, flow->flags | BALANCED_CLOSING);
}

static __always_inline struct half_open_bucket *half_open_bucket_of(const struct packet *packet, const bool ipv6)
{
	__u32 index = (__u32)flow_hash_whole(&packet->tuple, ipv6) % HALF_OPEN_BUCKETS;

	return bpf_map_lookup_elem(&half_open, &index);
}

/* The flow's place in its bucket, or NULL; `*oldest` becomes the place that it may take. */
static __always_inline struct half_open_flow *half_open_find(
	const struct question *question, struct half_open_bucket *bucket, struct half_open_flow **oldest)
{
	*oldest = &bucket->flows[0];
	for (int i = 0; i < HALF_OPEN_WAYS; i++) {
		struct half_open_flow *flow = &bucket->flows[i];

		if (flow->hash_backend >> 32 == question->hash && flow->service == question->service->id)
			return flow;
		if (clock_since(flow->last_seen, (*oldest)->last_seen) < 0)
			*oldest = flow;
	}
	return NULL;
}

/* 0: nobody, or not any more. */
static __always_inline __u32 half_open_backend(const struct question *question, const struct half_open_flow *flow)
{
	__u32 backend_id = READ_ONCE(flow->hash_backend);
	const struct backend *backend = service_backend(backend_id);

	if (!backend || backend->state == BACKEND_DOWN || (question->opens && backend->state != BACKEND_ACTIVE))
		return 0;
	return clock_since(question->now, flow->last_seen) > SECONDS(BALANCED_LIFETIME_HALF_OPEN_S) ? 0 :
												      backend_id;
}

static __always_inline __u32 open_flow(
	const struct question *question, const struct packet *packet, const bool ipv6)
{
	struct half_open_bucket *bucket = half_open_bucket_of(packet, ipv6);
	struct half_open_flow *place, *oldest;
	__u32 backend_id = 0;

	if (!bucket)
		return question->current;
	place = half_open_find(question, bucket, &oldest);
	if (place)
		backend_id = half_open_backend(question, place);
	else
		place = oldest;
	if (!backend_id)
		backend_id = question->current;
	if (!backend_id)
		return 0;
	WRITE_ONCE(place->hash_backend, (__u64)question->hash << 32 | backend_id);
	WRITE_ONCE(place->last_seen, question->now);
	WRITE_ONCE(place->service, question->service->id);
	return backend_id;
}

/* Fragments and ICMP errors tell nothing about a flow, and a reset leaves nothing to remember. */
static __always_inline bool is_memorable(const struct packet *packet)
{
	return !(packet->flags & (PACKET_LATER_FRAGMENT | PACKET_ICMP_ERROR)) && !(packet->tcp_flags & TCP_RST);
}

static __always_inline bool has_handshake(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_SCTP;
}

/* Of a flow that the table of established ones does not know: one that is half open becomes established. */
static __always_inline __u32 join_flow(
	const struct question *question, const struct packet *packet, const bool ipv6)
{
	struct half_open_bucket *bucket =
		has_handshake(packet->tuple.protocol) ? half_open_bucket_of(packet, ipv6) : NULL;
	struct half_open_flow *known = NULL, *oldest;
	struct balanced_flow flow = {
		.hash = question->hash,
		.last_seen = question->now,
		.flags = packet->tcp_flags & TCP_FIN ? BALANCED_CLOSING : 0,
	};

	if (bucket)
		known = half_open_find(question, bucket, &oldest);
	if (known)
		flow.backend = half_open_backend(question, known);
	if (!flow.backend)
		flow.backend = question->former;
	if (!flow.backend || !is_memorable(packet))
		return flow.backend;
	if (balanced_write(&packet->tuple, &flow, ipv6) && known)
		WRITE_ONCE(known->hash_backend, 0);
	return flow.backend;
}

static __always_inline __u32 unknown_backend(
	struct question *question, const struct packet *packet, const bool ipv6)
{
	find_owners(question);
	return question->opens ? open_flow(question, packet, ipv6) : join_flow(question, packet, ipv6);
}

static __always_inline __u32 tracked_backend(
	struct question *question, const struct packet *packet, const bool ipv6)
{
	struct balanced_flow *flow = balanced_find(&packet->tuple, ipv6);

	if (!flow)
		return unknown_backend(question, packet, ipv6);
	if (likely(flow_stands(question, flow))) {
		flow_touch(flow, packet, question->now);
		return flow->backend;
	}
	if (question->opens) /* else the entry would answer the next packet of the new flow */
		balanced_forget(&packet->tuple, ipv6);
	return unknown_backend(question, packet, ipv6);
}

static __always_inline bool packet_opens(const struct xdp_md *xdp, const struct packet *packet)
{
	__u32 offset = packet->l4_offset;
	const __u8 *chunk;

	if (packet->flags & (PACKET_LATER_FRAGMENT | PACKET_ICMP_ERROR))
		return false;
	if (packet->tuple.protocol == IPPROTO_TCP)
		return (packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	if (packet->tuple.protocol != IPPROTO_SCTP || offset > ETHERNET_HEADER + IPV6_MAX_L4_OFFSET)
		return false;
	chunk = xdp_data(xdp) + offset + SCTP_HEADER;
	return (const void *)(chunk + 1) <= xdp_end(xdp) && *chunk == SCTP_INIT;
}

/* The backend of a packet whose slot changes hands, or whose service tracks all; 0: there is none. */
SUBPROGRAM __u32 track(struct xdp_md *xdp, struct packet *packet, const struct service *service, __u32 hash)
{
	struct question question = {.service = service, .hash = hash};

	if (!packet || !service)
		return 0;
	question.now = clock_ticks();
	question.opens = packet_opens(xdp, packet);
	return packet->tuple.ipv6 ? tracked_backend(&question, packet, true) :
				    tracked_backend(&question, packet, false);
}

/* Number of the packet's backend; 0: there is none. */
static __always_inline __u32 choose_backend(
	struct xdp_md *xdp, struct packet *packet, const struct service *service, __u32 hash)
{
	const struct slot *slot = slot_at(slot_index(service->slot_base, service->slot_count, hash));

	if (unlikely(!slot || !service->slot_count))
		return 0;
	if (likely(!slot->previous && !(service->flags & SERVICE_TRACKED) && !service->former_count))
		return slot->backend;
	if (service->former_count && !(service->flags & SERVICE_TRACKED) && tables_agree(service, hash))
		return slot->backend;
	return track(xdp, packet, service, hash);
}

#endif
