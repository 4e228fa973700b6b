/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/*
 * Telling the sender that policy refused its packet: TCP hears what a closed port says, all others that communication is
 * administratively prohibited. The answer is made of the packet itself, goes back by the interface that it came in by,
 * and comes from the address that the sender spoke to: nothing has been translated yet.
 */
#ifndef SLUICE_LIB_REJECT_H
#define SLUICE_LIB_REJECT_H

#include "lib/deliver.h"
#include "lib/flow.h"
#include "lib/icmp_error.h"
#include "lib/rewrite.h"

#define ANSWER_HOPS 64

#define ICMP4_PROHIBITED 13 /* RFC 1812 section 5.2.7.1 */
#define ICMP6_PROHIBITED 1 /* RFC 4443 section 3.1 */

/* ICMP errors for each CPU (RFC 4443 section 2.4 (f)): 1,000 a second, 50 at once. */
#define REJECTION_INTERVAL_NS 1000000ULL
#define REJECTION_BURST_NS    (50 * REJECTION_INTERVAL_NS)

struct rejection {
	__u64 due_ns; /* from when on the next error may be sent, if none were saved up */
	__u8 quotation[QUOTATION]; /* what the error's checksum covers of it, then zeros */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct rejection);
} rejections SEC(".maps");

static __always_inline bool rejection_is_due(struct rejection *rejection)
{
	__u64 now = bpf_ktime_get_ns();

	if (rejection->due_ns + REJECTION_BURST_NS < now)
		rejection->due_ns = now - REJECTION_BURST_NS;
	if (rejection->due_ns > now)
		return false;
	rejection->due_ns += REJECTION_INTERVAL_NS;
	return true;
}

/* Errors and redirects are never answered (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e)). */
static __always_inline bool icmp_is_answerable(const struct __sk_buff *skb, const struct packet *packet)
{
	__u8 type = 0;

	if (packet->tuple.protocol == IPPROTO_ICMP) {
		bpf_skb_load_bytes(skb, packet->l4_offset, &type, sizeof(type));
		return type != ICMP4_REDIRECT && type != ICMP4_SOURCE_QUENCH;
	}
	if (packet->tuple.protocol == IPPROTO_ICMPV6) {
		bpf_skb_load_bytes(skb, packet->l4_offset, &type, sizeof(type));
		return type >= ICMP6_ECHO_REQUEST && type != ICMP6_REDIRECT;
	}
	return true;
}

static __always_inline bool is_answerable(const struct __sk_buff *skb, const struct packet *packet)
{
	if (packet->flags & (PACKET_LATER_FRAGMENT | PACKET_ICMP_ERROR | PACKET_RELATED))
		return false;
	return !(packet->tcp_flags & TCP_RST) && icmp_is_answerable(skb, packet);
}

/* Whether it is everybody's or a group's, as which nobody speaks. */
static __always_inline bool mac_is_group(const __u8 *mac)
{
	return mac[0] & 1;
}

/* Whether the address can be one host's, elsewhere than here. */
static __always_inline bool ipv4_is_answerable(__be32 address)
{
	__u8 first = bpf_ntohl(address) >> 24;

	return first && first != 127 && first < 224;
}

/* What an answer's Ethernet and IP headers are made of, and the sum of the pseudo header that its checksum covers. */
struct heading {
	__u32 room; /* bytes of new header between Ethernet and the IP header that the packet came with */
	__u16 length; /* after the IP header */
	__u8 protocol;
	__u8 pad;
	__u32 pseudo_sum;
};

/* Ethernet and IP headers as they stand in a frame, where IP's fields have to be aligned. */
struct headers4 {
	__u16 align;
	struct ethhdr ethernet;
	struct iphdr ip;
};

struct headers6 {
	__u16 align;
	struct ethhdr ethernet;
	struct ipv6hdr ip;
};

static __noinline int heading_write4(struct __sk_buff *skb, struct heading *heading)
{
	struct headers4 headers = {};
	struct ethhdr ethernet;
	struct iphdr came;

	if (bpf_skb_load_bytes(skb, 0, &ethernet, sizeof(ethernet)) ||
		bpf_skb_load_bytes(skb, ETHERNET_HEADER + heading->room, &came, sizeof(came)))
		return REASON_MALFORMED;
	if (mac_is_group(ethernet.h_dest) || !ipv4_is_answerable(came.saddr))
		return REASON_MULTICAST;
	swap_macs(&headers.ethernet, &ethernet, ethernet.h_proto);
	headers.ip.version = 4;
	headers.ip.ihl = IPV4_HEADER / 4;
	headers.ip.tot_len = bpf_htons(IPV4_HEADER + heading->length);
	headers.ip.frag_off = bpf_htons(IPV4_DONT_FRAGMENT);
	headers.ip.ttl = ANSWER_HOPS;
	headers.ip.protocol = heading->protocol;
	headers.ip.saddr = came.daddr;
	headers.ip.daddr = came.saddr;
	headers.ip.check = ipv4_header_checksum(&headers.ip);
	heading->pseudo_sum = bpf_csum_diff(NULL, 0, &headers.ip.saddr, 2 * sizeof(__be32),
		bpf_htonl((__u32)heading->protocol << 16 | heading->length));
	return bpf_skb_store_bytes(skb, 0, &headers.ethernet, ETHERNET_HEADER + IPV4_HEADER, 0);
}

static __noinline int heading_write6(struct __sk_buff *skb, struct heading *heading)
{
	struct headers6 headers = {};
	struct ethhdr ethernet;
	struct ipv6hdr came;

	if (bpf_skb_load_bytes(skb, 0, &ethernet, sizeof(ethernet)) ||
		bpf_skb_load_bytes(skb, ETHERNET_HEADER + heading->room, &came, sizeof(came)))
		return REASON_MALFORMED;
	/* ::/32 holds the addresses that are nobody's: unspecified, loopback. */
	if (mac_is_group(ethernet.h_dest) || came.saddr.s6_addr[0] == 0xff || !came.saddr.s6_addr32[0])
		return REASON_MULTICAST;
	swap_macs(&headers.ethernet, &ethernet, ethernet.h_proto);
	headers.ip.version = 6;
	headers.ip.payload_len = bpf_htons(heading->length);
	headers.ip.nexthdr = heading->protocol;
	headers.ip.hop_limit = ANSWER_HOPS;
	headers.ip.saddr = came.daddr;
	headers.ip.daddr = came.saddr;
	heading->pseudo_sum = bpf_csum_diff(NULL, 0, headers.ip.saddr.s6_addr32, 2 * sizeof(struct ip_address),
		bpf_htonl((__u32)heading->protocol << 16 | heading->length));
	return bpf_skb_store_bytes(skb, 0, &headers.ethernet, ETHERNET_HEADER + IPV6_HEADER, 0);
}

/*
 * What the checksum field holds if its completion is left to a device, else -1. A change of what is no part of the
 * pseudo header is the device's to add up, so the helper leaves the field alone then; else it differs for certain.
 */
static __noinline __s32 partial_checksum(struct __sk_buff *skb, __u32 offset)
{
	__u16 before, after;

	if (bpf_skb_load_bytes(skb, offset, &before, sizeof(before)) ||
		bpf_l4_csum_replace(skb, offset, 0, 1, sizeof(before)) ||
		bpf_skb_load_bytes(skb, offset, &after, sizeof(after)))
		return -1;
	if (before == after)
		return before;
	bpf_skb_store_bytes(skb, offset, &before, sizeof(before), 0);
	return -1;
}

/* Bytes that the fixed IP header says to follow it: the frame may be padded. */
static __always_inline __u32 ip_payload(const struct __sk_buff *skb, const bool ipv6)
{
	const __u32 field = ipv6 ? offsetof(struct ipv6hdr, payload_len) : offsetof(struct iphdr, tot_len);
	__be16 length_be = 0;

	bpf_skb_load_bytes(skb, ETHERNET_HEADER + field, &length_be, sizeof(length_be));
	return bpf_ntohs(length_be) - (ipv6 ? 0 : IPV4_HEADER);
}

/* As a closed port answers (RFC 9293 section 3.10.7.1). `length`: of TCP header and data. */
static __always_inline void reset_fill(struct tcphdr *reset, const struct tcphdr *tcp, __u32 length)
{
	reset->source = tcp->dest;
	reset->dest = tcp->source;
	reset->doff = sizeof(*reset) / 4;
	reset->rst = 1;
	if (tcp->ack) {
		reset->seq = tcp->ack_seq;
		return;
	}
	reset->ack = 1;
	reset->ack_seq = bpf_htonl(bpf_ntohl(tcp->seq) + tcp->syn + tcp->fin + length - tcp->doff * 4);
}

static __noinline int answer_reset(struct __sk_buff *skb, const struct packet *packet)
{
	struct heading heading = {.length = sizeof(struct tcphdr), .protocol = IPPROTO_TCP};
	__u32 offset = packet->l4_offset;
	struct tcphdr tcp, reset = {};
	bool partial;
	__u64 sum;
	int reason;

	if (bpf_skb_load_bytes(skb, offset, &tcp, sizeof(tcp)))
		return REASON_MALFORMED;
	reset_fill(&reset, &tcp, ip_payload(skb, packet->tuple.ipv6));
	partial = partial_checksum(skb, offset + offsetof(struct tcphdr, check)) >= 0;
	if (bpf_skb_change_tail(skb, offset + sizeof(reset), 0))
		return REASON_REWRITE_FAILED;
	reason = packet->tuple.ipv6 ? heading_write6(skb, &heading) : heading_write4(skb, &heading);
	if (reason)
		return reason;
	sum = (__u32)bpf_csum_diff(NULL, 0, (__be32 *)&reset, sizeof(reset), 0);
	/* What was partial stays so, with the same start and place of the checksum. */
	reset.check = partial ? ~fold(heading.pseudo_sum) : fold(sum + heading.pseudo_sum);
	return bpf_skb_store_bytes(skb, offset, &reset, sizeof(reset), 0);
}

/* What of the packet is quoted, from its IP header on. */
struct quote {
	__u32 length;
	__u32 summed; /* bytes that the error's checksum takes as they are */
	__u32 sum; /* of all others */
};

static __always_inline void quote_measure(struct __sk_buff *skb, const struct packet *packet, struct quote *quote)
{
	__u32 headers = packet->l4_offset - ETHERNET_HEADER;
	__u32 whole = ip_payload(skb, packet->tuple.ipv6) + (packet->tuple.ipv6 ? IPV6_HEADER : IPV4_HEADER);
	struct checksum checksum = l4_checksum(packet, packet->tuple.protocol);
	__s32 partial = checksum.offset ? partial_checksum(skb, checksum.offset) : -1;

	quote->length = skb->len - ETHERNET_HEADER;
	if (whole > headers && whole < quote->length)
		quote->length = whole;
	if (quote->length > QUOTATION)
		quote->length = QUOTATION;
	quote->summed = quote->length;
	if (partial < 0)
		return;
	/* Once completed, all from the quoted L4 header on sums up to the complement of what its checksum field holds now. */
	quote->summed = headers;
	quote->sum = (__u16)~partial;
}

/* The sum of the quotation, once its checksums are complete. */
static __always_inline int quote_sum(struct __sk_buff *skb, struct rejection *rejection, struct quote *quote)
{
	__u32 summed = quote->summed;

	barrier_var(summed);
	if (!summed || summed > QUOTATION)
		return REASON_MALFORMED;
	__builtin_memset(rejection->quotation, 0, QUOTATION);
	if (bpf_skb_load_bytes(skb, ETHERNET_HEADER, rejection->quotation, summed))
		return REASON_MALFORMED;
	quote->sum = bpf_csum_diff(NULL, 0, (__be32 *)rejection->quotation, QUOTATION, quote->sum);
	return REASON_FORWARDED;
}

static __noinline int answer_prohibited(struct __sk_buff *skb, const struct packet *packet, struct rejection *rejection)
{
	const bool ipv6 = packet->tuple.ipv6;
	__be32 type_and_code = ipv6 ? TYPE_AND_CODE(ICMP6_UNREACHABLE, ICMP6_PROHIBITED) :
				      TYPE_AND_CODE(ICMP4_UNREACHABLE, ICMP4_PROHIBITED);
	struct heading heading = {.protocol = ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP};
	__u32 ip_header = ipv6 ? IPV6_HEADER : IPV4_HEADER;
	struct quote quote = {};
	__be32 header[2] = {};

	heading.room = ip_header + ICMP_ERROR_HEADER;
	quote_measure(skb, packet, &quote);
	if (quote_sum(skb, rejection, &quote) || bpf_skb_change_tail(skb, ETHERNET_HEADER + quote.length, 0) ||
		bpf_skb_adjust_room(skb, heading.room, BPF_ADJ_ROOM_MAC, 0))
		return REASON_REWRITE_FAILED;
	heading.length = ICMP_ERROR_HEADER + quote.length;
	if (ipv6 ? heading_write6(skb, &heading) : heading_write4(skb, &heading))
		return REASON_REWRITE_FAILED;
	header[0] = icmp_error_word(type_and_code, (__u64)quote.sum + (ipv6 ? heading.pseudo_sum : 0));
	return bpf_skb_store_bytes(skb, ETHERNET_HEADER + ip_header, header, sizeof(header), 0);
}

/* A packet with IP options, extension headers or more fragments to come has no room for a reset in its place. */
static __always_inline bool is_resettable(const struct packet *packet)
{
	return packet->tuple.protocol == IPPROTO_TCP && !(packet->flags & PACKET_FIRST_FRAGMENT) &&
	       packet->l4_offset == ETHERNET_HEADER + (packet->tuple.ipv6 ? IPV6_HEADER : IPV4_HEADER);
}

static __always_inline int answer_build(struct __sk_buff *skb, const struct packet *packet)
{
	__u32 index = 0;
	struct rejection *rejection = bpf_map_lookup_elem(&rejections, &index);

	if (is_resettable(packet))
		return answer_reset(skb, packet);
	if (!rejection || !rejection_is_due(rejection))
		return REASON_POLICY_DENIED;
	return answer_prohibited(skb, packet, rejection);
}

static __always_inline int answer_send(struct __sk_buff *skb, const enum hook hook)
{
	if (hook_is_of_stack(hook)) {
		mark_decided(skb, MARK_ANSWER);
		return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
	}
	mark_decided(skb, hook == HOOK_FROM_WORLD ? MARK_TO_WORLD : MARK_TO_ENDPOINT);
	return bpf_redirect(skb->ifindex, 0);
}

/* Answers a packet that the policy of endpoint packet->decision.ifindex refused, where the endpoint wants that. */
SUBPROGRAM int reject(struct __sk_buff *skb, const struct packet *packet, enum hook hook)
{
	const struct endpoint *endpoint;

	if (!packet)
		return TC_ACT_SHOT;
	endpoint = endpoint_find(packet->decision.ifindex);
	if (!endpoint || !(endpoint->flags & ENDPOINT_REJECT) || !is_answerable(skb, packet))
		return TC_ACT_SHOT;
	return answer_build(skb, packet) ? TC_ACT_SHOT : answer_send(skb, hook);
}

#endif
