/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
#ifndef SLUICE_LIB_COMPILER_H
#define SLUICE_LIB_COMPILER_H

#include "types.h"

#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define likely(condition)   __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

/*
 * A global function. The verifier checks it once, by its arguments' types, and not again at each call in each state:
 * without them from_endpoint exceeds a million instructions. A pointer may be NULL as far as the verifier knows.
 */
#define SUBPROGRAM __noinline

#define READ_ONCE(value)        (*(const volatile __typeof__(value) *)&(value))
#define WRITE_ONCE(value, next) (*(volatile __typeof__(value) *)&(value) = (next))

#endif
