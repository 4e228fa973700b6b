/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* From the balancer to the backend that was chosen, the way that the service wants. */
#ifndef SLUICE_LIB_SEND_H
#define SLUICE_LIB_SEND_H

#include "lib/encapsulate.h"
#include "lib/service.h"
#include "lib/too_big.h"
#include "lib/vlan.h"

/* Fragmentable packets are not answered, nor later fragments (RFC 1122 section 3.2.2). */
static __always_inline bool may_be_answered4(const struct packet *packet, const struct iphdr *ip, const void *end)
{
	if ((const void *)(ip + 1) > end || packet->flags & PACKET_LATER_FRAGMENT)
		return false;
	return ip->frag_off & bpf_htons(IPV4_DONT_FRAGMENT) && source_is_single(packet, false);
}

/* Answers in the name of the frontend; ICMP errors never cause others. */
static __always_inline int too_big(struct xdp_md *xdp, struct packet *packet, __u32 mtu, const bool ipv6)
{
	drop_packet(packet, REASON_TOO_BIG);
	if (packet->flags & PACKET_ICMP_ERROR)
		return XDP_DROP;
	if (ipv6)
		return source_is_single(packet, true) ? too_big_answer6(xdp, packet, mtu) : XDP_DROP;
	if (!may_be_answered4(packet, xdp_data(xdp) + ETHERNET_HEADER, xdp_end(xdp)))
		return XDP_DROP;
	return too_big_answer4(xdp, packet, mtu);
}

static __always_inline int transmit(struct xdp_md *xdp, struct packet *packet, const struct next_hop *hop)
{
	if (unlikely(hop->outer_tag_be) && vlan_push(xdp, hop->outer_tag_be, hop->inner_tag_be))
		return drop_xdp(packet, REASON_REWRITE_FAILED);
	packet->flags |= PACKET_SENT;
	count_packet(REASON_FORWARDED, DIRECTION_INGRESS, packet->length);
	return hop->ifindex == xdp->ingress_ifindex ? XDP_TX : bpf_redirect(hop->ifindex, 0);
}

/* A router on the way would bring the packet back: its destination is still the frontend. */
static __always_inline int send_on_segment(struct xdp_md *xdp, struct packet *packet, const struct inner *inner,
	const struct next_hop *hop, const bool ipv6)
{
	struct ethhdr *ethernet = xdp_data(xdp);

	if (!hop->on_segment)
		return drop_xdp(packet, REASON_NO_ROUTE);
	if (unlikely(inner->length > hop->mtu))
		return too_big(xdp, packet, hop->mtu, ipv6);
	if ((void *)(ethernet + 1) > xdp_end(xdp))
		return drop_xdp(packet, REASON_REWRITE_FAILED);
	write_ethernet(ethernet, hop, ethernet->h_proto);
	return transmit(xdp, packet, hop);
}

static __always_inline int send_in_tunnel(struct xdp_md *xdp, struct packet *packet, struct inner *inner,
	const struct service *service, const struct ip_address *backend, const struct next_hop *hop, const bool ipv6)
{
	bool outer_is_ipv4 = ipv6_is_mapped(backend);
	__u32 overhead = (outer_is_ipv4 ? IPV4_HEADER : IPV6_HEADER) + tunnel_header_length(service->forwarding);
	int reason;

	if (unlikely(inner->length + overhead > hop->mtu))
		return too_big(xdp, packet, hop->mtu - overhead, ipv6);
	reason = outer_is_ipv4 ? encapsulate4(xdp, packet, inner, service, backend, hop) :
				 encapsulate6(xdp, packet, inner, service, backend, hop);
	if (unlikely(reason))
		return drop_xdp(packet, reason);
	return transmit(xdp, packet, hop);
}

/* `hash` is the flow's. */
static __always_inline int send_to_backend(struct xdp_md *xdp, struct packet *packet, const struct service *service,
	__u32 backend_id, __u32 hash, const bool ipv6)
{
	const struct backend *backend = service_backend(backend_id);
	struct next_hop *hop = bpf_map_lookup_elem(&next_hops, &backend_id);
	struct inner inner = {.hash = hash};
	__u32 now = next_hop_clock();
	int reason;

	if (unlikely(!backend || !hop))
		return drop_xdp(packet, REASON_NO_BACKEND);
	reason = inner_read(&inner, xdp_data(xdp), xdp_end(xdp), ipv6);
	if (!reason && unlikely(!next_hop_is_fresh(hop, now)))
		reason = next_hop_refresh(xdp, hop, &backend->address, now);
	if (unlikely(reason))
		return drop_xdp(packet, reason);
	if (unlikely(service->forwarding == FORWARDING_L2))
		return send_on_segment(xdp, packet, &inner, hop, ipv6);
	return send_in_tunnel(xdp, packet, &inner, service, &backend->address, hop, ipv6);
}

#endif
