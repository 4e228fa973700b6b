/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/*
 * Constants of the tc programs. The loader sets them before loading, and the verifier then removes what they
 * switch off. The defaults switch everything on.
 */
#ifndef SLUICE_CONFIG_FEATURES_H
#define SLUICE_CONFIG_FEATURES_H

#include "types.h"

#include <stdbool.h>

/* IPv6 for workloads; off: such packets are dropped as unsupported. */
const volatile bool feature_ipv6 = true;

/* Services inside the node: `frontends` is looked up for each new flow of a workload. */
const volatile bool feature_services = true;

/* This node's own processes reach its workloads whatever policy says, as health probes need. */
const volatile bool allow_host = true;

/* Where from_world is: nobody comes in there with an address of the node. 0: there is none. */
const volatile __u32 uplink_ifindex = 0;

/* EVENT_FLOW for each new flow; drops, audits and revocations are always reported. */
const volatile bool report_flows = true;

#endif
