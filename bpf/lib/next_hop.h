/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* The way from the balancer to a backend, asked of the FIB once a second on each CPU. */
#ifndef SLUICE_LIB_NEXT_HOP_H
#define SLUICE_LIB_NEXT_HOP_H

#include "maps.h"
#include "lib/endpoint.h"
#include "lib/parse.h"

#include <sys/socket.h>

/*
 * In jiffies, of which the kernel makes 100 to 1,000 a second: 0.3 to 2.6 s. The verifier turns their helper into one
 * load, while the coarse clock costs 14 ns of every packet.
 */
#define NEXT_HOP_LIFETIME 256
#define MTU_MAX           65535

static __always_inline __u32 next_hop_clock(void)
{
	return bpf_jiffies64();
}

static __always_inline void next_hop_question(
	struct bpf_fib_lookup *fib, const struct xdp_md *xdp, const struct ip_address *backend)
{
	fib->ifindex = xdp->ingress_ifindex;
	if (ipv6_is_mapped(backend)) {
		fib->family = AF_INET;
		fib->ipv4_dst = backend->words[3];
	} else {
		fib->family = AF_INET6;
		__builtin_memcpy(fib->ipv6_dst, backend, sizeof(*backend));
	}
	/* Any length asks for the MTU of the route, and not the interface's. */
	fib->tot_len = IPV6_HEADER;
}

/* The answer names the gateway in the destination's place, where there is one. */
static __always_inline bool next_hop_is_backend(const struct bpf_fib_lookup *fib, const struct ip_address *backend)
{
	if (ipv6_is_mapped(backend))
		return fib->family == AF_INET && fib->ipv4_dst == backend->words[3];
	return fib->family == AF_INET6 && !__builtin_memcmp(fib->ipv6_dst, backend, sizeof(*backend));
}

static __always_inline void next_hop_set_device(struct next_hop *hop, __u32 ifindex)
{
	const struct vlan_device *vlan = bpf_map_lookup_elem(&vlan_devices, &ifindex);

	hop->ifindex = vlan ? vlan->parent : ifindex;
	hop->outer_tag_be = vlan ? vlan->outer_tag_be : 0;
	hop->inner_tag_be = vlan ? vlan->inner_tag_be : 0;
}

static __always_inline bool next_hop_same_device(const struct next_hop *a, const struct next_hop *b)
{
	return a->ifindex == b->ifindex && a->outer_tag_be == b->outer_tag_be && a->inner_tag_be == b->inner_tag_be;
}

/*
 * XDP cannot ask for a neighbour: the agent keeps the backends' next hops resolved (`ip neighbour ... managed`). While
 * one is being resolved again, its last known address stays in use.
 */
SUBPROGRAM int next_hop_refresh(
	struct xdp_md *xdp, struct next_hop *hop, const struct ip_address *backend, __u32 now)
{
	struct bpf_fib_lookup fib = {};
	struct next_hop known;
	long result;

	if (!hop || !backend)
		return REASON_NO_ROUTE;
	next_hop_question(&fib, xdp, backend);
	result = bpf_fib_lookup(xdp, &fib, sizeof(fib), 0);
	/* Past a workload's node side no hook would ask its ingress policy: redirected frames leave by no tc program. */
	if (endpoint_find(fib.ifindex)) {
		hop->ifindex = 0;
		return REASON_NO_ROUTE;
	}
	known = *hop;
	next_hop_set_device(hop, fib.ifindex);
	if (result == BPF_FIB_LKUP_RET_NO_NEIGH && next_hop_same_device(hop, &known))
		return REASON_FORWARDED;
	if (result != BPF_FIB_LKUP_RET_SUCCESS) {
		hop->ifindex = 0;
		return REASON_NO_ROUTE;
	}
	hop->mtu = fib.mtu_result < MTU_MAX ? fib.mtu_result : MTU_MAX;
	hop->on_segment = next_hop_is_backend(&fib, backend);
	__builtin_memcpy(hop->destination_mac, fib.dmac, ETH_ALEN);
	__builtin_memcpy(hop->source_mac, fib.smac, ETH_ALEN);
	hop->seen = now;
	return REASON_FORWARDED;
}

static __always_inline bool next_hop_is_fresh(const struct next_hop *hop, __u32 now)
{
	return hop->ifindex && now - hop->seen < NEXT_HOP_LIFETIME;
}

#endif
