/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* Connections of the node's own stack. */
#ifndef SLUICE_LIB_CONNECTION_H
#define SLUICE_LIB_CONNECTION_H

#include "lib/packet.h"

/* The socket table names the local end last, whichever way the packet goes. */
static __always_inline void socket_tuple_fill(struct bpf_sock_tuple *socket, const struct tuple *tuple, bool inbound)
{
	const struct ip_address *remote = inbound ? &tuple->source : &tuple->destination;
	const struct ip_address *local = inbound ? &tuple->destination : &tuple->source;
	__be16 remote_port_be = inbound ? tuple->source_port_be : tuple->destination_port_be;
	__be16 local_port_be = inbound ? tuple->destination_port_be : tuple->source_port_be;

	if (tuple->ipv6) {
		__builtin_memcpy(socket->ipv6.saddr, remote, sizeof(*remote));
		__builtin_memcpy(socket->ipv6.daddr, local, sizeof(*local));
		socket->ipv6.sport = remote_port_be;
		socket->ipv6.dport = local_port_be;
		return;
	}
	socket->ipv4.saddr = remote->words[3];
	socket->ipv4.daddr = local->words[3];
	socket->ipv4.sport = remote_port_be;
	socket->ipv4.dport = local_port_be;
}

static __always_inline bool state_is_open(__u32 state)
{
	return state != BPF_TCP_LISTEN && state != BPF_TCP_NEW_SYN_RECV && state != BPF_TCP_SYN_SENT;
}

/* Whether the segment belongs to a connection that the node's stack has. */
static __noinline bool connection_stands(struct __sk_buff *skb, const struct packet *packet, bool inbound)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *socket;
	bool stands;

	if (packet->tuple.protocol != IPPROTO_TCP || packet->tcp_flags & TCP_SYN)
		return false;
	socket_tuple_fill(&tuple, &packet->tuple, inbound);
	if (packet->tuple.ipv6)
		socket = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	else
		socket = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return false;
	stands = state_is_open(socket->state);
	bpf_sk_release(socket);
	return stands;
}

#endif
