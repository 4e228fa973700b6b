// SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0)
/* The edge load balancer: packets to a frontend go to one of its backends. */
#include "lib/overlap.h"
#include "lib/rate_limit.h"
#include "lib/send.h"
#include "lib/source_range.h"
#include "lib/track.h"
#include "lib/vip.h"

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

/* A first fragment names its ports for the later ones; one that hides a part of its L4 header does not get that far. */
SUBPROGRAM int admit_fragment(struct xdp_md *xdp, struct packet *packet)
{
	int reason;

	if (!packet)
		return REASON_MALFORMED;
	if (packet->flags & PACKET_FIRST_FRAGMENT && !l4_header_is_whole(packet, xdp_data(xdp), xdp_end(xdp)))
		return REASON_MALFORMED;
	reason = fragment_check_overlap(packet);
	if (!reason && packet->flags & PACKET_FIRST_FRAGMENT)
		fragment_remember(packet);
	return reason;
}

/* Whether a service takes a packet that it is addressed by, where it does not take all. */
SUBPROGRAM int admit(struct xdp_md *xdp, struct packet *packet, const struct service *service)
{
	if (!packet || !service)
		return REASON_MALFORMED;
	if (service_refuses_source(packet, service))
		return REASON_SOURCE_REFUSED;
	return service->flags & SERVICE_LIMITED ? rate_limit_check(service->id, packet_opens(xdp, packet)) : 0;
}

static __always_inline int balance(struct xdp_md *xdp, struct packet *packet, const bool ipv6)
{
	const struct service *service;
	__u32 hash;
	int reason = xdp_parse(xdp, packet, ipv6);

	if (unlikely(is_prefiltered(packet)))
		return drop_flood(packet, REASON_PREFILTERED);
	if (unlikely(reason))
		return refuse_unreadable(packet, reason);
	if (unlikely(packet->flags & PACKET_ICMP_ERROR) && !(packet->flags & PACKET_FIRST_FRAGMENT))
		follow_quotation(xdp, packet);
	service = service_find(&packet->tuple, ipv6);
	if (!service || service->forwarding == FORWARDING_NAT)
		return answer_echo(xdp, packet);
	packet->decision.service = service->id;
	if (unlikely(service->flags & (SERVICE_SOURCES | SERVICE_LIMITED))) {
		reason = admit(xdp, packet, service);
		if (reason)
			return drop_flood(packet, reason);
	}
	if (unlikely(packet->flags & (PACKET_FIRST_FRAGMENT | PACKET_LATER_FRAGMENT))) {
		reason = admit_fragment(xdp, packet);
		if (reason)
			return drop_xdp(packet, reason);
	}
	hash = flow_hash(&packet->tuple, ipv6);
	return send_to_backend(xdp, packet, service, choose_backend(xdp, packet, service, hash), hash, ipv6);
}

static __always_inline int balance_ethernet(struct xdp_md *xdp, struct packet *packet, __be16 ethertype)
{
	if (ethertype == bpf_htons(ETH_P_IP))
		return balance(xdp, packet, false);
	if (ethertype == bpf_htons(ETH_P_IPV6))
		return balance(xdp, packet, true);
	return XDP_PASS;
}

/* What is neither sent on nor dropped keeps its tags: answers go back into the VLAN that the packet came from. */
SUBPROGRAM int balance_tagged(struct xdp_md *xdp, struct packet *packet)
{
	struct vlan_tags tags = {};
	__be16 ethertype = vlan_read(&tags, xdp_data(xdp), xdp_end(xdp));
	int verdict;

	if (!packet || (ethertype != bpf_htons(ETH_P_IP) && ethertype != bpf_htons(ETH_P_IPV6)))
		return XDP_PASS;
	if (vlan_pop(xdp, &tags))
		return drop_xdp(packet, REASON_REWRITE_FAILED);
	verdict = balance_ethernet(xdp, packet, ethertype);
	if (verdict == XDP_DROP || packet->flags & PACKET_SENT)
		return verdict;
	return vlan_push(xdp, tags.outer_be, tags.inner_be) ? drop_xdp(packet, REASON_REWRITE_FAILED) : verdict;
}

/* Frames that the interface sees, but that are not for it, are not ours to balance: somebody else does. */
static __always_inline bool is_for_station(const struct ethhdr *ethernet)
{
	const __be64 mac_bits = bpf_cpu_to_be64(0xffffffffffff0000);
	__be64 own = station_mac;

	return !own || (*(const __be64 *)ethernet & mac_bits) == own;
}

SEC("xdp")
int xdp_lb(struct xdp_md *xdp)
{
	const struct ethhdr *ethernet = xdp_data(xdp);
	struct packet packet = {
		.length = xdp->data_end - xdp->data,
		.decision = {.ifindex = xdp->ingress_ifindex, .direction = DIRECTION_INGRESS},
	};

	if ((const void *)(ethernet + 1) > xdp_end(xdp) || !is_for_station(ethernet))
		return XDP_PASS;
	if (unlikely(is_vlan(ethernet->h_proto)))
		return balance_tagged(xdp, &packet);
	return balance_ethernet(xdp, &packet, ethernet->h_proto);
}

char _license[] SEC("license") = "Dual BSD/GPL";
