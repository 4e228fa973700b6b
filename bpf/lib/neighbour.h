/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/*
 * Answering for every neighbour that a workload asks for (RFC 826, RFC 4861): whatever it sends comes to us and is
 * decided here, so that it needs no other MAC address than the node side's.
 */
#ifndef SLUICE_LIB_NEIGHBOUR_H
#define SLUICE_LIB_NEIGHBOUR_H

#include "lib/deliver.h"

#define ARP_REQUEST 1
#define ARP_REPLY   2

#define ND_HOP_LIMIT             255
#define ND_OPTION_SOURCE_ADDRESS 1
#define ND_OPTION_TARGET_ADDRESS 2
#define ND_SOLICITED_OVERRIDE    bpf_htonl(0x60000000)

/* ARP for IPv4 over Ethernet. Packed: addresses follow MACs without alignment. */
struct arp {
	__be16 hardware_be;
	__be16 protocol_be;
	__u8 hardware_length;
	__u8 protocol_length;
	__be16 operation_be;
	__u8 sender_mac[ETH_ALEN];
	__be32 sender;
	__u8 target_mac[ETH_ALEN];
	__be32 target;
} __attribute__((packed));

struct arp_frame {
	struct ethhdr ethernet;
	struct arp arp;
} __attribute__((packed));

/* A solicitation or advertisement with one link-layer address option. */
struct nd_frame {
	struct ethhdr ethernet;
	struct ipv6hdr ip;
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 flags;
	struct in6_addr target;
	__u8 option_type;
	__u8 option_length;
	__u8 option_mac[ETH_ALEN];
} __attribute__((packed));

/* Out of the interface it came in by; to_endpoint lets it pass by its mark. */
static __always_inline int answer(struct __sk_buff *skb, const struct packet *packet)
{
	count_packet(REASON_FORWARDED, packet->decision.direction, packet->length);
	mark_decided(skb, MARK_TO_ENDPOINT);
	return bpf_redirect(skb->ifindex, 0);
}

static __always_inline void arp_write_answer(struct arp_frame *frame, const struct endpoint *endpoint)
{
	__be32 target = frame->arp.target;

	__builtin_memcpy(frame->ethernet.h_dest, endpoint->mac, ETH_ALEN);
	__builtin_memcpy(frame->ethernet.h_source, endpoint->node_mac, ETH_ALEN);
	frame->arp.operation_be = bpf_htons(ARP_REPLY);
	frame->arp.target = frame->arp.sender;
	__builtin_memcpy(frame->arp.target_mac, endpoint->mac, ETH_ALEN);
	frame->arp.sender = target;
	__builtin_memcpy(frame->arp.sender_mac, endpoint->node_mac, ETH_ALEN);
}

/* A reason to drop, FOR_STACK for an answer to the node's own question, or REASON_FORWARDED for a question to answer. */
static __always_inline int arp_check(const struct arp *arp, const struct endpoint *endpoint)
{
	if (arp->hardware_be != bpf_htons(1) || arp->protocol_be != bpf_htons(ETH_P_IP) ||
		arp->hardware_length != ETH_ALEN || arp->protocol_length != 4)
		return REASON_MALFORMED;
	if (!mac_equal(arp->sender_mac, endpoint->mac))
		return REASON_SPOOFED_MAC;
	/* A probe (RFC 5227) has no sender address; answering it would claim the address that it asks about. */
	if (!arp->sender)
		return REASON_MULTICAST;
	if (arp->sender != endpoint->ipv4.words[3])
		return REASON_SPOOFED_ADDRESS;
	if (arp->operation_be == bpf_htons(ARP_REPLY))
		return FOR_STACK;
	if (arp->operation_be != bpf_htons(ARP_REQUEST))
		return REASON_MALFORMED;
	return arp->target == endpoint->ipv4.words[3] ? REASON_MULTICAST : REASON_FORWARDED;
}

SUBPROGRAM int arp_respond(struct __sk_buff *skb, struct packet *packet, const struct endpoint *endpoint)
{
	struct arp_frame *frame;
	int reason = REASON_MALFORMED;

	if (!packet || !endpoint)
		return TC_ACT_SHOT;
	skb_make_linear(skb, sizeof(*frame));
	frame = skb_data(skb);
	if ((void *)(frame + 1) <= skb_end(skb)) {
		reason = arp_check(&frame->arp, endpoint);
		if (reason == FOR_STACK)
			return TC_ACT_OK;
		if (!reason) {
			arp_write_answer(frame, endpoint);
			return answer(skb, packet);
		}
	}
	drop_packet(packet, reason);
	return TC_ACT_SHOT;
}

static __always_inline bool nd_is(const struct packet *packet)
{
	__u32 type = bpf_ntohs(packet->tuple.destination_port_be) >> 8;

	/* An echo reply has its identifier there, of any value, and a source port that is not zero. */
	return packet->tuple.protocol == IPPROTO_ICMPV6 && !(packet->flags & PACKET_LATER_FRAGMENT) &&
	       !packet->tuple.source_port_be &&
	       (type == ICMP6_NEIGHBOUR_SOLICITATION || type == ICMP6_NEIGHBOUR_ADVERTISEMENT);
}

/* Sum of all 16-bit words in one's complement (RFC 1071), of 4-byte aligned length. */
static __always_inline __u16 checksum_of(const void *data, __u32 length, __u32 sum)
{
	sum = bpf_csum_diff(NULL, 0, (__be32 *)data, length, sum);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* What the advertisement's checksum covers, in the order of RFC 8200 section 8.1. */
struct nd_checksum {
	struct in6_addr source;
	struct in6_addr destination;
	__be32 length;
	__be32 next_header;
	__u8 message[32];
};

static __always_inline __u16 nd_checksum(const struct nd_frame *frame)
{
	struct nd_checksum sum = {
		.source = frame->ip.saddr,
		.destination = frame->ip.daddr,
		.length = bpf_htonl(sizeof(sum.message)),
		.next_header = bpf_htonl(IPPROTO_ICMPV6),
	};

	__builtin_memcpy(sum.message, &frame->type, sizeof(sum.message));
	return checksum_of(&sum, sizeof(sum), 0);
}

static __always_inline void nd_write_answer(struct nd_frame *frame, const struct endpoint *endpoint)
{
	__builtin_memcpy(frame->ethernet.h_dest, endpoint->mac, ETH_ALEN);
	__builtin_memcpy(frame->ethernet.h_source, endpoint->node_mac, ETH_ALEN);
	frame->ip.daddr = frame->ip.saddr;
	frame->ip.saddr = frame->target;
	frame->ip.hop_limit = ND_HOP_LIMIT;
	frame->type = ICMP6_NEIGHBOUR_ADVERTISEMENT;
	frame->checksum = 0;
	frame->flags = ND_SOLICITED_OVERRIDE;
	frame->option_type = ND_OPTION_TARGET_ADDRESS;
	__builtin_memcpy(frame->option_mac, endpoint->node_mac, ETH_ALEN);
	frame->checksum = nd_checksum(frame);
}

/* Whether the node itself may be meant: an advertisement to anybody else would leave the link by the node's routes. */
static __always_inline bool nd_is_for_node(const struct ip_address *destination)
{
	const struct peer *peer;

	if (ipv6_is_link_local(destination) || ipv6_is_multicast(destination))
		return true;
	peer = address_find(destination);
	return peer && peer->flags & PEER_HOST;
}

/* Neighbour discovery never crosses a router: what did has a smaller hop limit (RFC 4861, section 7.1). */
static __always_inline bool nd_is_of_link(struct __sk_buff *skb)
{
	const struct ipv6hdr *ip = skb_data(skb) + ETHERNET_HEADER;

	return (const void *)(ip + 1) <= skb_end(skb) && ip->hop_limit == ND_HOP_LIMIT;
}

/* As arp_check. The frame's IPv6 payload is exactly a solicitation with its source's link-layer address. */
static __always_inline int nd_check(
	const struct nd_frame *frame, const struct packet *packet, const struct endpoint *endpoint)
{
	const struct ip_address *source = &packet->tuple.source;
	struct ip_address target;

	__builtin_memcpy(&target, &frame->target, sizeof(target));
	if (frame->ip.hop_limit != ND_HOP_LIMIT || frame->code)
		return REASON_MALFORMED;
	/* Duplicate address detection: an answer would take the address from the workload. */
	if (!source->words[0])
		return REASON_MULTICAST;
	if (!ipv6_is_link_local(source) && !endpoint_owns(endpoint, source, true))
		return REASON_SPOOFED_ADDRESS;
	if (frame->type == ICMP6_NEIGHBOUR_ADVERTISEMENT) {
		bool own = ipv6_is_link_local(&target) || endpoint_owns(endpoint, &target, true);

		return own && nd_is_for_node(&packet->tuple.destination) ? FOR_STACK : REASON_SPOOFED_ADDRESS;
	}
	if (address_equal(&target, source) || endpoint_owns(endpoint, &target, true))
		return REASON_MULTICAST;
	return REASON_FORWARDED;
}

/* The checks need all but the option, which an answer does. */
#define ND_FRAME_MINIMUM offsetof(struct nd_frame, option_type)

SUBPROGRAM int nd_respond(struct __sk_buff *skb, struct packet *packet, const struct endpoint *endpoint)
{
	struct nd_frame *frame;
	int reason = REASON_MALFORMED;

	if (!packet || !endpoint)
		return TC_ACT_SHOT;
	skb_make_linear(skb, sizeof(*frame));
	frame = skb_data(skb);
	if (skb_data(skb) + ND_FRAME_MINIMUM <= skb_end(skb) &&
		packet->l4_offset == ETHERNET_HEADER + IPV6_HEADER) {
		reason = nd_check(frame, packet, endpoint);
		if (reason == FOR_STACK)
			return TC_ACT_OK;
		if (!reason && (void *)(frame + 1) <= skb_end(skb) && frame->ip.payload_len == bpf_htons(32)) {
			nd_write_answer(frame, endpoint);
			return answer(skb, packet);
		}
	}
	drop_packet(packet, reason ? reason : REASON_MALFORMED);
	return TC_ACT_SHOT;
}

#endif
