// SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0)
/*
 * Passes every packet. A veth delivers what its peer sends back with XDP_TX only while it has an XDP program: with GRO
 * alone the packets enter its ring and nobody wakes the reader (veth_xdp_flush of drivers/net/veth.c asks for the
 * program, unlike veth_xdp_xmit), until the full ring drops all other packets too.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int xdp_pass(struct xdp_md *xdp)
{
	(void)xdp;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
