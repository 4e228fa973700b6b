/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* Coarse time in ticks of 16.8 ms: reading it costs a few nanoseconds, against 15-20 for the exact clock. */
#ifndef SLUICE_LIB_CLOCK_H
#define SLUICE_LIB_CLOCK_H

#include "lib/compiler.h"

#define SECONDS(n) ((__s32)((n) * 1000000000ULL >> TICK_SHIFT))

static __always_inline __u32 clock_ticks(void)
{
	return bpf_ktime_get_coarse_ns() >> TICK_SHIFT;
}

/* Ticks since `then`; a little below zero when another CPU wrote `then` after this one read `now`. */
static __always_inline __s32 clock_since(__u32 now, __u32 then)
{
	return (__s32)(now - then);
}

#endif
