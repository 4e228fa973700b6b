/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
#ifndef SLUICE_LIB_NAT_H
#define SLUICE_LIB_NAT_H

#include "lib/skb.h"

static __noinline int translate(
	struct __sk_buff *skb, struct packet *packet, const struct flow_state *flow, bool from_origin)
{
	(void)skb, (void)packet, (void)flow, (void)from_origin;
	return REASON_UNSUPPORTED_PROTOCOL;
}

#endif
