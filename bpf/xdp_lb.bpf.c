// SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0)
/* The edge load balancer: packets to a frontend go to one of its backends inside an outer IP header. */
#include "lib/encapsulate.h"
#include "lib/service.h"
#include "lib/too_big.h"
#include "lib/track.h"

/* An ICMP error goes where the flow goes that it quotes; a reply of ours is quoted, hence reversed. */
SUBPROGRAM int follow_quotation(struct xdp_md *xdp, struct packet *packet)
{
	struct packet quoted = {};
	__u32 offset;
	int reason;

	if (!packet)
		return 0;
	offset = packet->l4_offset + 8;
	if (offset > ETHERNET_HEADER + IPV6_MAX_L4_OFFSET)
		return 0;
	if (packet->tuple.ipv6)
		reason = parse_quoted(&quoted, xdp_data(xdp), xdp_end(xdp), offset, true);
	else
		reason = parse_quoted(&quoted, xdp_data(xdp), xdp_end(xdp), offset, false);
	if (reason || !address_same(&quoted.tuple.source, &packet->tuple.destination, quoted.tuple.ipv6))
		return 0;
	tuple_reverse(&quoted.tuple);
	packet->tuple = quoted.tuple;
	return 0;
}

/* Answers in the name of the frontend, unless that is forbidden: about fragmentable packets and ICMP errors. */
static __always_inline int too_big(struct xdp_md *xdp, struct packet *packet, __u32 mtu, const bool ipv6)
{
	const struct iphdr *ip = xdp_data(xdp) + ETHERNET_HEADER;

	drop_packet(packet, REASON_TOO_BIG);
	if (packet->flags & PACKET_ICMP_ERROR)
		return XDP_DROP;
	if (ipv6)
		return too_big_answer6(xdp, packet, mtu);
	if ((const void *)(ip + 1) > xdp_end(xdp) || !(ip->frag_off & bpf_htons(IPV4_DONT_FRAGMENT)))
		return XDP_DROP;
	return too_big_answer4(xdp, packet, mtu);
}

static __always_inline int transmit(struct xdp_md *xdp, const struct next_hop *hop)
{
	return hop->ifindex == xdp->ingress_ifindex ? XDP_TX : bpf_redirect(hop->ifindex, 0);
}

static __always_inline int encapsulate(struct xdp_md *xdp, struct packet *packet, struct inner *inner,
	const struct ip_address *backend, const struct next_hop *hop, const bool ipv6)
{
	bool outer_is_ipv4 = ipv6_is_mapped(backend);
	__u32 overhead = outer_is_ipv4 ? IPV4_HEADER : IPV6_HEADER;
	int reason = inner_read(inner, xdp_data(xdp), xdp_end(xdp), ipv6);

	if (!reason && unlikely(inner->length + overhead > hop->mtu))
		return too_big(xdp, packet, hop->mtu - overhead, ipv6);
	if (!reason)
		reason = outer_is_ipv4 ? encapsulate4(xdp, packet, inner, backend, hop) :
					 encapsulate6(xdp, packet, inner, backend, hop);
	if (unlikely(reason))
		return drop_xdp(packet, reason);
	count_packet(REASON_FORWARDED, DIRECTION_INGRESS, packet->length);
	return transmit(xdp, hop);
}

static __always_inline int to_backend(
	struct xdp_md *xdp, struct packet *packet, __u32 backend_id, struct inner *inner, const bool ipv6)
{
	const struct backend *backend = service_backend(backend_id);
	struct next_hop *hop = bpf_map_lookup_elem(&next_hops, &backend_id);
	__u32 now = clock_ticks();
	int reason;

	if (unlikely(!backend || !hop))
		return drop_xdp(packet, REASON_NO_BACKEND);
	if (unlikely(!next_hop_is_fresh(hop, now))) {
		reason = next_hop_refresh(xdp, hop, &backend->address, now);
		if (reason)
			return drop_xdp(packet, reason);
	}
	return encapsulate(xdp, packet, inner, &backend->address, hop, ipv6);
}

static __always_inline int balance(struct xdp_md *xdp, struct packet *packet, const bool ipv6)
{
	struct inner inner = {};
	const struct service *service;

	/* What we cannot read is no frontend's; the stack may know better. */
	if (xdp_parse(xdp, packet, ipv6))
		return XDP_PASS;
	if (unlikely(packet->flags & PACKET_ICMP_ERROR) && !(packet->flags & PACKET_FIRST_FRAGMENT))
		follow_quotation(xdp, packet);
	service = service_find(&packet->tuple, ipv6);
	if (!service || service->forwarding != FORWARDING_IPIP)
		return XDP_PASS;
	if (unlikely(packet->flags & PACKET_FIRST_FRAGMENT))
		fragment_remember(packet);
	packet->decision.service = service->id;
	inner.hash = flow_hash(&packet->tuple, ipv6);
	return to_backend(xdp, packet, choose_backend(xdp, packet, service, inner.hash), &inner, ipv6);
}

SEC("xdp")
int xdp_lb(struct xdp_md *xdp)
{
	const struct ethhdr *ethernet = xdp_data(xdp);
	struct packet packet = {
		.length = xdp->data_end - xdp->data,
		.decision = {.ifindex = xdp->ingress_ifindex, .direction = DIRECTION_INGRESS},
	};

	if ((const void *)(ethernet + 1) > xdp_end(xdp))
		return XDP_PASS;
	if (ethernet->h_proto == bpf_htons(ETH_P_IP))
		return balance(xdp, &packet, false);
	if (ethernet->h_proto == bpf_htons(ETH_P_IPV6))
		return balance(xdp, &packet, true);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
