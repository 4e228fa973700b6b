/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/*
 * Fragments that overlap have no honest use (RFC 5722, RFC 8200 section 4.5): a receiver may read another packet out of
 * them than the balancer did. What has come of a datagram is kept as a few parts without order; a fragment that would
 * leave more holes than these can hold is dropped too.
 */
#ifndef SLUICE_LIB_OVERLAP_H
#define SLUICE_LIB_OVERLAP_H

#include "lib/fragment.h"

#define FRAGMENT_PARTS 4
/* In 8 bytes: a datagram has 65,535 at most. */
#define DATAGRAM_MAX 8192

/* In 8 bytes, from the datagram's beginning; past == 0: unused. */
struct fragment_part {
	__u16 first;
	__u16 past;
};

struct fragment_parts {
	__u32 seen; /* ticks */
	__u32 total; /* in 8 bytes, once the last one has come; else 0 */
	struct fragment_part parts[FRAGMENT_PARTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct fragment_key);
	__type(value, struct fragment_parts);
} fragment_parts SEC(".maps");

/* Only the last one may end anywhere, and none beyond what a datagram can be. */
static __always_inline int fragment_part_read(const struct packet *packet, struct fragment_part *part)
{
	__u32 start = packet->l4_offset - packet->fragment_extensions * 8;
	__u32 length = packet->ip_end - start;
	__u32 past = packet->fragment_offset + (length + 7) / 8;

	if (packet->ip_end <= start || past > DATAGRAM_MAX)
		return REASON_MALFORMED;
	if (packet->flags & PACKET_MORE_FRAGMENTS && length % 8)
		return REASON_MALFORMED;
	part->first = packet->fragment_offset;
	part->past = past;
	return REASON_FORWARDED;
}

/* Also what lies beyond the datagram's end, or ends it before something that has come. */
static __always_inline bool fragment_overlaps(
	const struct fragment_parts *known, const struct fragment_part *part, bool is_last)
{
	if (known->total && part->past > known->total)
		return true;
	for (int i = 0; i < FRAGMENT_PARTS; i++) {
		const struct fragment_part *other = &known->parts[i];

		if (part->first < other->past && (is_last || part->past > other->first))
			return true;
	}
	return false;
}

/* Takes parts that the new one continues, or that continue it, into it; then puts it where there is room. */
static __always_inline bool fragment_part_add(struct fragment_parts *known, struct fragment_part part)
{
	for (int i = 0; i < FRAGMENT_PARTS; i++) {
		struct fragment_part *other = &known->parts[i];

		if (other->past && other->past == part.first) {
			part.first = other->first;
			other->past = 0;
		} else if (other->past && other->first == part.past) {
			part.past = other->past;
			other->past = 0;
		}
	}
	for (int i = 0; i < FRAGMENT_PARTS; i++) {
		if (known->parts[i].past)
			continue;
		known->parts[i] = part;
		return true;
	}
	return false;
}

static __always_inline bool datagram_is_whole(const struct fragment_parts *known)
{
	for (int i = 0; i < FRAGMENT_PARTS; i++)
		if (known->total && !known->parts[i].first && known->parts[i].past == known->total)
			return true;
	return false;
}

static __always_inline int fragment_add(
	struct fragment_parts *known, const struct fragment_key *key, const struct fragment_part *part, bool is_last)
{
	if (fragment_overlaps(known, part, is_last) || !fragment_part_add(known, *part))
		return REASON_OVERLAPPING_FRAGMENT;
	known->seen = clock_ticks();
	if (is_last)
		known->total = part->past;
	/* Its identification may be used again at once. */
	if (datagram_is_whole(known))
		bpf_map_delete_elem(&fragment_parts, key);
	return REASON_FORWARDED;
}

/* Whether a fragment that is about to be forwarded brings only what no other has brought. */
SUBPROGRAM int fragment_check_overlap(struct packet *packet)
{
	struct fragment_parts fresh = {.seen = clock_ticks()};
	struct fragment_part part = {};
	struct fragment_parts *known;
	struct fragment_key key;
	bool is_last;
	int reason;

	if (!packet)
		return REASON_MALFORMED;
	reason = fragment_part_read(packet, &part);
	if (reason)
		return reason;
	is_last = !(packet->flags & PACKET_MORE_FRAGMENTS);
	fragment_key_fill(&key, packet);
	known = bpf_map_lookup_elem(&fragment_parts, &key);
	if (known && clock_since(fresh.seen, known->seen) <= FRAGMENT_LIFETIME)
		return fragment_add(known, &key, &part, is_last);
	fresh.parts[0] = part;
	fresh.total = is_last ? part.past : 0;
	bpf_map_update_elem(&fragment_parts, &key, &fresh, BPF_ANY);
	return REASON_FORWARDED;
}

#endif
