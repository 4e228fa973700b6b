/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* Connections of the node's own stack: TCP's, and those of connected UDP sockets. */
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

static __always_inline __u32 socket_tuple_size(const struct tuple *tuple)
{
	const struct bpf_sock_tuple *socket;

	return tuple->ipv6 ? sizeof(socket->ipv6) : sizeof(socket->ipv4);
}

/* Gives the reference back. */
static __always_inline int socket_state(struct bpf_sock *socket)
{
	int state;

	if (!socket)
		return -1;
	state = socket->state;
	bpf_sk_release(socket);
	return state;
}

/* States of sockets that the node's stack finds, -1 for none. Two calls, since the verifier tells the helpers' pointers apart. */
static __noinline int tcp_state(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 size)
{
	return socket_state(bpf_skc_lookup_tcp(skb, tuple, size, BPF_F_CURRENT_NETNS, 0));
}

static __noinline int udp_state(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 size)
{
	return socket_state(bpf_sk_lookup_udp(skb, tuple, size, BPF_F_CURRENT_NETNS, 0));
}

static __always_inline int state_of(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 size, bool udp)
{
	return udp ? udp_state(skb, tuple, size) : tcp_state(skb, tuple, size);
}

/* UDP's connected sockets are in the state of TCP's established ones, all others in that of closed ones. */
static __always_inline bool state_is_connected(int state, bool udp)
{
	if (udp)
		return state == BPF_TCP_ESTABLISHED;
	return state > 0 && state != BPF_TCP_LISTEN && state != BPF_TCP_NEW_SYN_RECV && state != BPF_TCP_SYN_SENT;
}

static __always_inline bool state_takes_anybody(int state, bool udp)
{
	return state == (udp ? BPF_TCP_CLOSE : BPF_TCP_LISTEN);
}

/* Port 0 is nobody's: what is found for it is no connection. */
static __always_inline void socket_tuple_forget_remote(struct bpf_sock_tuple *socket, bool ipv6)
{
	if (ipv6)
		socket->ipv6.sport = 0;
	else
		socket->ipv4.sport = 0;
}

/*
 * Whether a packet of a connection that the node's stack has goes to the end which opened it. The port of one that was
 * opened from elsewhere has a socket that takes anybody's; the others' have none.
 */
static __noinline bool connection_is_of_receiver(struct __sk_buff *skb, const struct packet *packet, bool inbound)
{
	bool udp = packet->tuple.protocol == IPPROTO_UDP;
	__u32 size = socket_tuple_size(&packet->tuple);
	struct bpf_sock_tuple tuple = {};

	if ((!udp && packet->tuple.protocol != IPPROTO_TCP) || packet->tcp_flags & TCP_SYN)
		return false;
	socket_tuple_fill(&tuple, &packet->tuple, inbound);
	if (!state_is_connected(state_of(skb, &tuple, size, udp), udp))
		return false;
	socket_tuple_forget_remote(&tuple, packet->tuple.ipv6);
	return state_takes_anybody(state_of(skb, &tuple, size, udp), udp) != inbound;
}

#endif
