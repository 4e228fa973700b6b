/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/*
 * Parsing by direct access, for tc and XDP alike. Functions give a reason to drop, or REASON_FORWARDED. What lies
 * beyond `end` counts as missing: tc programs make enough of the packet linear first.
 */
#ifndef SLUICE_LIB_PARSE_H
#define SLUICE_LIB_PARSE_H

#include "lib/packet.h"

#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#define IPV4_OFFSET_MASK    0x1fff
#define IPV4_MORE_FRAGMENTS 0x2000

/* Longer chains of extension headers have no use outside attacks. */
#define IPV6_MAX_EXTENSIONS 6
#define IPV6_MAX_L4_OFFSET  512

/* RFC 8200 section 4.5. */
struct ipv6_fragment_header {
	__u8 next_header;
	__u8 reserved;
	__be16 offset_flags_be;
	__be32 identification;
};

static __always_inline bool ipv4_is_multicast(__be32 address)
{
	return (address & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000) || address == bpf_htonl(0xffffffff);
}

static __always_inline bool ipv6_is_multicast(const struct ip_address *address)
{
	return (address->words[0] & bpf_htonl(0xff000000)) == bpf_htonl(0xff000000);
}

static __always_inline bool ipv6_is_link_local(const struct ip_address *address)
{
	return (address->words[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

static __always_inline bool ipv6_is_mapped(const struct ip_address *address)
{
	return address->words[2] == MAPPED_WORD && !address->words[0] && !address->words[1];
}

/* Whether the source may be answered at all: it is one host's (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e)). */
static __always_inline bool source_is_single(const struct packet *packet, const bool ipv6)
{
	const struct ip_address *source = &packet->tuple.source;

	if (!ipv6)
		return source->words[3] && !ipv4_is_multicast(source->words[3]);
	return !ipv6_is_multicast(source) &&
	       (source->words[0] || source->words[1] || source->words[2] || source->words[3]);
}

/*
 * Tiny or overlapping first fragments could hide TCP's flags from us (RFC 1858, section 3): offset 1 has no honest
 * use.
 */
static __always_inline int parse_fragment(struct packet *packet, __u32 offset, bool more)
{
	if (offset == 1 && packet->tuple.protocol == IPPROTO_TCP)
		return REASON_MALFORMED;
	if (packet->flags & PACKET_FIRST_FRAGMENT) /* a second Fragment header: a fragment of a fragment */
		return REASON_MALFORMED;
	packet->fragment_offset = offset;
	if (offset)
		packet->flags |= PACKET_LATER_FRAGMENT;
	else if (more)
		packet->flags |= PACKET_FIRST_FRAGMENT;
	if (more)
		packet->flags |= PACKET_MORE_FRAGMENTS;
	return REASON_FORWARDED;
}

/* A length of 0 is that of a GSO packet beyond 64 KiB (BIG TCP); receivers drop it on any other. */
static __always_inline __u32 ip_end(__u32 offset, __u32 length)
{
	return length ? offset + length : ~0U;
}

/* Here and below `l4_offset` counts from `data`: a number of 32 bits, which the verifier can bound, and packet's cannot. */
static __always_inline int parse_ipv4(
	struct packet *packet, const void *data, const void *end, __u32 offset, __u32 *l4_offset)
{
	const struct iphdr *ip = data + offset;
	__u32 fragment;

	if ((const void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return REASON_MALFORMED;
	packet->tuple.source.words[3] = ip->saddr;
	packet->tuple.destination.words[3] = ip->daddr;
	packet->tuple.protocol = ip->protocol;
	packet->ip_end = ip_end(offset, bpf_ntohs(ip->tot_len));
	*l4_offset = offset + ip->ihl * 4;
	fragment = bpf_ntohs(ip->frag_off) & (IPV4_OFFSET_MASK | IPV4_MORE_FRAGMENTS);
	if (likely(!fragment))
		return REASON_FORWARDED;
	packet->fragment_identification = ip->id;
	return parse_fragment(packet, fragment & IPV4_OFFSET_MASK, fragment & IPV4_MORE_FRAGMENTS);
}

static __always_inline bool ipv6_is_extension(__u8 next_header)
{
	return next_header == IPPROTO_HOPOPTS || next_header == IPPROTO_ROUTING || next_header == IPPROTO_DSTOPTS ||
	       next_header == IPPROTO_FRAGMENT;
}

struct ipv6_extension {
	__u8 next_header;
	__u8 length; /* of 8 bytes beyond the first 8 */
};

/* Steps over one extension header. `offset` stays below IPV6_MAX_L4_OFFSET, which the verifier needs to see. */
static __always_inline int parse_ipv6_extension(
	struct packet *packet, const void *data, const void *end, __u32 *l4_offset)
{
	__u32 offset = *l4_offset;
	const struct ipv6_fragment_header *fragment;
	const struct ipv6_extension *extension;
	__u32 position;

	if (offset > IPV6_MAX_L4_OFFSET)
		return REASON_MALFORMED;
	fragment = data + offset;
	if ((const void *)(fragment + 1) > end)
		return REASON_MALFORMED;
	if (packet->tuple.protocol != IPPROTO_FRAGMENT) {
		extension = data + offset;
		packet->tuple.protocol = extension->next_header;
		*l4_offset = offset + (extension->length + 1) * 8;
		if (packet->flags & PACKET_FIRST_FRAGMENT)
			packet->fragment_extensions += extension->length + 1;
		return REASON_FORWARDED;
	}
	position = bpf_ntohs(fragment->offset_flags_be);
	packet->tuple.protocol = fragment->next_header;
	packet->fragment_identification = fragment->identification;
	*l4_offset = offset + sizeof(*fragment);
	return parse_fragment(packet, position >> 3, position & 1);
}

static __always_inline int parse_ipv6_extensions(
	struct packet *packet, const void *data, const void *end, __u32 *l4_offset)
{
	for (int i = 0; i < IPV6_MAX_EXTENSIONS; i++) {
		int reason;

		if (!ipv6_is_extension(packet->tuple.protocol) || packet->flags & PACKET_LATER_FRAGMENT)
			return REASON_FORWARDED;
		reason = parse_ipv6_extension(packet, data, end, l4_offset);
		if (reason)
			return reason;
	}
	return REASON_MALFORMED;
}

/* Only the fixed header: the caller asks for the extensions, where there are any. */
static __always_inline int parse_ipv6(
	struct packet *packet, const void *data, const void *end, __u32 offset, __u32 *l4_offset)
{
	const struct ipv6hdr *ip = data + offset;

	if ((const void *)(ip + 1) > end || ip->version != 6)
		return REASON_MALFORMED;
	__builtin_memcpy(&packet->tuple.source, &ip->saddr, sizeof(struct ip_address));
	__builtin_memcpy(&packet->tuple.destination, &ip->daddr, sizeof(struct ip_address));
	packet->tuple.ipv6 = 1;
	packet->tuple.protocol = ip->nexthdr;
	packet->ip_end = ip_end(offset + sizeof(*ip), bpf_ntohs(ip->payload_len));
	*l4_offset = offset + sizeof(*ip);
	if (unlikely(ipv6_is_mapped(&packet->tuple.source) || ipv6_is_mapped(&packet->tuple.destination)))
		return REASON_MAPPED_ADDRESS;
	return REASON_FORWARDED;
}

/* Whether a message of this type quotes the packet that caused it. */
static __always_inline bool icmp_is_error(__u8 type, const bool ipv6)
{
	if (ipv6)
		return type >= ICMP6_UNREACHABLE && type <= ICMP6_PARAMETER_PROBLEM;
	return type == ICMP4_UNREACHABLE || type == ICMP4_TIME_EXCEEDED || type == ICMP4_PARAMETER_PROBLEM;
}

/* Ports of an ICMP message as struct flow4_key wants them. */
static __always_inline void parse_icmp(struct packet *packet, const struct icmphdr *icmp, const bool ipv6)
{
	const __u8 request = ipv6 ? ICMP6_ECHO_REQUEST : ICMP4_ECHO_REQUEST;
	const __u8 reply = ipv6 ? ICMP6_ECHO_REPLY : ICMP4_ECHO_REPLY;
	__be16 port_be = bpf_htons((__u16)icmp->type << 8 | icmp->code);

	if (icmp->type == reply && !icmp->code) {
		packet->tuple.echo = ECHO_IS_REPLY;
		packet->tuple.source_port_be = bpf_htons((__u16)request << 8);
		packet->tuple.destination_port_be = icmp->un.echo.id;
		return;
	}
	packet->tuple.destination_port_be = port_be;
	if (icmp->type == request) {
		packet->tuple.echo = ECHO_IS_REQUEST;
		packet->tuple.source_port_be = icmp->un.echo.id;
	}
	if (icmp_is_error(icmp->type, ipv6))
		packet->flags |= PACKET_ICMP_ERROR;
}

static __always_inline bool protocol_has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_UDPLITE;
}

/* Whether the IP packet holds a header of so many bytes: what stands behind its end, its receiver never sees. */
static __always_inline bool l4_header_is_inside(const struct packet *packet, __u32 bytes)
{
	return likely(packet->l4_offset + bytes <= packet->ip_end);
}

/* `header`: the L4 header. Protocols without ports have zero ones. */
static __always_inline int parse_l4(struct packet *packet, const void *header, const void *end, const bool ipv6)
{
	const struct tcphdr *tcp = header;
	const struct udphdr *udp = header;
	__u8 protocol = packet->tuple.protocol;

	if (likely(protocol == IPPROTO_TCP)) {
		if ((const void *)(tcp + 1) > end || !l4_header_is_inside(packet, sizeof(*tcp)))
			return REASON_MALFORMED;
		packet->tuple.source_port_be = tcp->source;
		packet->tuple.destination_port_be = tcp->dest;
		packet->tcp_flags = ((const __u8 *)header)[13];
		return REASON_FORWARDED;
	}
	if (protocol != (ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) && !protocol_has_ports(protocol))
		return REASON_FORWARDED;
	if ((const void *)(udp + 1) > end || !l4_header_is_inside(packet, sizeof(*udp)))
		return REASON_MALFORMED;
	if (protocol_has_ports(protocol)) {
		packet->tuple.source_port_be = udp->source;
		packet->tuple.destination_port_be = udp->dest;
		return REASON_FORWARDED;
	}
	parse_icmp(packet, header, ipv6);
	return REASON_FORWARDED;
}

#define SCTP_COMMON_HEADER 12

/* Whether a first fragment has all of what may tell its flow, TCP's options included (RFC 8200 section 4.5). */
static __always_inline bool l4_header_is_whole(const struct packet *packet, const void *data, const void *end)
{
	__u32 offset = packet->l4_offset;
	const __u8 *header;
	__u32 bytes;

	if (offset > ETHERNET_HEADER + IPV6_MAX_L4_OFFSET)
		return false;
	header = data + offset;
	if (packet->tuple.protocol == IPPROTO_SCTP)
		bytes = SCTP_COMMON_HEADER;
	else if (packet->tuple.protocol != IPPROTO_TCP)
		return true;
	else if ((const void *)(header + sizeof(struct tcphdr)) > end)
		return false;
	else
		bytes = (header[12] >> 4) * 4;
	return (const void *)(header + bytes) <= end && l4_header_is_inside(packet, bytes);
}

static __always_inline int parse_quoted_l4(
	struct packet *quoted, const void *header, const void *end, const bool ipv6)
{
	const struct icmphdr *icmp = header;
	const struct udphdr *udp = header;

	if ((const void *)(icmp + 1) > end || quoted->flags & PACKET_LATER_FRAGMENT)
		return REASON_MALFORMED;
	if (protocol_has_ports(quoted->tuple.protocol)) {
		quoted->tuple.source_port_be = udp->source;
		quoted->tuple.destination_port_be = udp->dest;
	} else if (quoted->tuple.protocol == (ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) {
		parse_icmp(quoted, icmp, ipv6);
	}
	return REASON_FORWARDED;
}

/* What an ICMP error quotes at `offset`: 8 bytes of L4 header at least; extension headers are not followed. */
static __always_inline int parse_quoted(
	struct packet *quoted, const void *data, const void *end, __u32 offset, const bool ipv6)
{
	__u32 l4_offset = 0;
	int reason;

	if (ipv6)
		reason = parse_ipv6(quoted, data, end, offset, &l4_offset);
	else
		reason = parse_ipv4(quoted, data, end, offset, &l4_offset);
	if (reason)
		return reason;
	quoted->l4_offset = l4_offset;
	return parse_quoted_l4(quoted, data + l4_offset, end, ipv6);
}

#endif
