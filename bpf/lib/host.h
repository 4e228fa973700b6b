/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* The node as an endpoint: whether it is one, which ends of flows are it, and what no policy takes from it. */
#ifndef SLUICE_LIB_HOST_H
#define SLUICE_LIB_HOST_H

#include "lib/endpoint.h"
#include "lib/parse.h"

/* Whether the node has a policy of its own; a call, since the way of a packet has no stack to spare. */
SUBPROGRAM int host_has_policy(void)
{
	return endpoint_find(HOST_IFINDEX) != NULL;
}

/* Of the local endpoint that the address is; the node is one only while it has policies. */
static __always_inline __u32 peer_ifindex(const struct peer *peer)
{
	if (unlikely(peer->flags & PEER_HOST))
		return host_has_policy() ? HOST_IFINDEX : 0;
	return peer->ifindex;
}

/* Whether this end of a flow is the node, and no workload that has an address of it. */
static __always_inline bool end_is_host(const struct peer *peer, __u32 ifindex)
{
	return peer->flags & PEER_HOST && (!ifindex || ifindex == HOST_IFINDEX);
}

static __always_inline bool icmp6_is_vital(__u8 type)
{
	return icmp_is_error(type, true) || (type >= ICMP6_MULTICAST_QUERY && type <= ICMP6_REDIRECT) ||
	       type == ICMP6_MULTICAST_REPORT;
}

/* ICMP as policy sees it, of both families: what a node cannot do without, asked for by nobody. */
static __always_inline bool icmp_is_vital(const struct tuple *tuple)
{
	__u32 type = bpf_ntohs(tuple->destination_port_be) >> 8;

	if (tuple->echo == ECHO_IS_REPLY)
		return false; /* the destination's port is an identifier, and no type */
	if (tuple->protocol == IPPROTO_ICMPV6)
		return icmp6_is_vital(type);
	return tuple->protocol == IPPROTO_ICMP && icmp_is_error(type, false);
}

/* A DHCP client's ports (RFC 2131 section 4.1, RFC 8415 section 7.2); `own` and `server` are those of the two ends. */
static __always_inline bool dhcp_is_client(__u16 own, __u16 server)
{
	return (own == 68 && server == 67) || (own == 546 && server == 547);
}

/* What no policy takes from the node: its addresses, its neighbours, the groups it is in, and errors about what it sent. */
static __always_inline bool host_is_exempt(const struct tuple *tuple, bool is_source)
{
	__u16 source = bpf_ntohs(tuple->source_port_be), destination = bpf_ntohs(tuple->destination_port_be);

	if (tuple->protocol == IPPROTO_UDP)
		return is_source ? dhcp_is_client(source, destination) : dhcp_is_client(destination, source);
	return tuple->protocol == IPPROTO_IGMP || icmp_is_vital(tuple);
}

#endif
