/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* Constants of xdp_lb, which the loader sets before loading. */
#ifndef SLUICE_CONFIG_BALANCER_H
#define SLUICE_CONFIG_BALANCER_H

#include "types.h"

/*
 * Source of encapsulated packets, in network byte order: an address of this balancer, which the agent takes from its
 * uplink. All zero: the frontend's own address where it is of the backend's family, else the packet is dropped for want
 * of a source.
 */
const volatile __be32 encapsulation_source4 = 0;
const volatile struct ip_address encapsulation_source6 = {};

/*
 * MAC address of the interface. Frames to another are not balanced: an interface in promiscuous mode sees those of
 * others, and those that a bridge floods. In the first 48 bits; all zero: every frame is.
 */
const volatile __be64 station_mac = 0;

#endif
