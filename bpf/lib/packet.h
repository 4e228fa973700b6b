/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* One parse of a packet, whose result every later step is given. */
#ifndef SLUICE_LIB_PACKET_H
#define SLUICE_LIB_PACKET_H

#include "lib/compiler.h"

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>

#define ETHERNET_HEADER 14
#define IPV4_HEADER     20
#define IPV6_HEADER     40

/* ICMP types and codes that the programs speak of (RFC 792, RFC 4443, RFC 4861). */
enum icmp_type {
	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACHABLE = 3,
	ICMP4_SOURCE_QUENCH = 4,
	ICMP4_REDIRECT = 5,
	ICMP4_ECHO_REQUEST = 8,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP4_PARAMETER_PROBLEM = 12,
	ICMP6_UNREACHABLE = 1,
	ICMP6_PACKET_TOO_BIG = 2,
	ICMP6_PARAMETER_PROBLEM = 4,
	ICMP6_ECHO_REQUEST = 128,
	ICMP6_ECHO_REPLY = 129,
	ICMP6_MULTICAST_QUERY = 130, /* the first of neighbour discovery and multicast listeners: to ICMP6_REDIRECT */
	ICMP6_NEIGHBOUR_SOLICITATION = 135,
	ICMP6_NEIGHBOUR_ADVERTISEMENT = 136,
	ICMP6_REDIRECT = 137,
	ICMP6_MULTICAST_REPORT = 143, /* RFC 9777 */
};

enum tcp_flag {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
};

/*
 * The flow's ends as this packet names them. IPv4 addresses fill words[3] alone until tuple_map is called, which
 * only slow paths do. ICMP ports: see struct flow4_key.
 */
struct tuple {
	struct ip_address source;
	struct ip_address destination;
	__be16 source_port_be;
	__be16 destination_port_be;
	__u8 protocol;
	__u8 ipv6;
	__u8 echo; /* enum echo */
	__u8 pad;
};

enum echo {
	ECHO_IS_NONE = 0,
	ECHO_IS_REQUEST = 1, /* the source asks, or asked */
	ECHO_IS_REPLY = 2,
};

enum packet_flags {
	PACKET_FIRST_FRAGMENT = 1 << 0,
	PACKET_LATER_FRAGMENT = 1 << 1, /* has no L4 header; its ports came from `fragments` */
	PACKET_ICMP_ERROR = 1 << 2,
	PACKET_RELATED = 1 << 3, /* the tuple is that of the packet which an ICMP error quotes, reversed */
	PACKET_REVOKED = 1 << 4, /* its flow was established until a policy change */
	PACKET_AUDITED = 1 << 5, /* passes only because of audit */
	PACKET_MORE_FRAGMENTS = 1 << 6, /* a fragment that is not the last */
	PACKET_SENT = 1 << 7, /* by the balancer to a backend, with the way's own VLAN tags */
};

/* Who vouches for a packet's source address. */
enum origin {
	ORIGIN_CHECKED, /* from_endpoint, or the stack for the node's own */
	ORIGIN_STACK, /* this node's stack made the packet */
	ORIGIN_FORWARDED, /* the stack, where it is the node's own, which it has given the packet; else nobody */
	ORIGIN_WORLD, /* nobody: it came in from elsewhere, through the stack or not */
};

/* Who decided about the packet, for its event and its answer: the hook's own interface until a policy is asked. */
struct decision {
	__u32 rule;
	__u32 ifindex; /* of the local endpoint */
	__u32 source_identity;
	__u32 destination_identity;
	__u32 service;
	__u32 direction; /* enum direction: of that endpoint's policy, and of the counters */
};

struct packet {
	/*
	 * Names the flow that the packet is looked up by, from the packet's sender to its receiver. That is what its headers
	 * say, except for an ICMP error (PACKET_RELATED) and an echo reply that nobody asked for (echo_becomes_message). While
	 * policy is asked it is the flow in its own direction and after translation, which is what rules and events speak of:
	 * packet_restore takes that back for a packet that passes. Translation makes it what the headers say then.
	 */
	struct tuple tuple;
	__u16 l4_offset; /* from the Ethernet header */
	__u8 tcp_flags;
	__u8 flags; /* enum packet_flags */
	__u32 length; /* with the Ethernet header */
	__u8 origin; /* enum origin */
	__u8 fragment_extensions; /* of a first fragment: between its header and L4, in 8 bytes */
	__u16 fragment_offset; /* in 8 bytes */
	__u32 fragment_identification; /* of a fragment, as the packet has it */
	__u32 ip_end; /* where the IP header says that its packet ends, from the Ethernet header; what follows is not read */
	struct decision decision;
};

/* Beside enum reason, where nothing is wrong with the packet and yet no program sends it on. */
enum handover {
	NOT_OURS = -1, /* no policy of this node is about it: it goes on as if no program were there */
	FOR_STACK = -2, /* it may pass, but only the stack can answer it or knows its way */
	NO_END_HERE = -3, /* neither end of its flow is a local endpoint; whether one was, the caller knows */
};

#define MAPPED_WORD bpf_htonl(0xffff)

static __always_inline void tuple_map(struct tuple *tuple)
{
	if (tuple->ipv6)
		return;
	tuple->source.words[0] = tuple->source.words[1] = 0;
	tuple->source.words[2] = MAPPED_WORD;
	tuple->destination.words[0] = tuple->destination.words[1] = 0;
	tuple->destination.words[2] = MAPPED_WORD;
}

static __always_inline void tuple_reverse(struct tuple *tuple)
{
	struct ip_address address = tuple->source;
	__be16 port_be = tuple->source_port_be;

	tuple->source = tuple->destination;
	tuple->destination = address;
	tuple->source_port_be = tuple->destination_port_be;
	tuple->destination_port_be = port_be;
	if (tuple->echo)
		tuple->echo = tuple->echo == ECHO_IS_REQUEST ? ECHO_IS_REPLY : ECHO_IS_REQUEST;
}

static __always_inline bool address_equal(const struct ip_address *a, const struct ip_address *b)
{
	return a->words[3] == b->words[3] && a->words[2] == b->words[2] && a->words[1] == b->words[1] &&
	       a->words[0] == b->words[0];
}

/* Compares what the family uses: IPv4 addresses need not be mapped yet. */
static __always_inline bool address_same(const struct ip_address *a, const struct ip_address *b, const bool ipv6)
{
	return ipv6 ? address_equal(a, b) : a->words[3] == b->words[3];
}

#endif
