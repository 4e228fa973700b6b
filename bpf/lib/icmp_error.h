/* SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0) */
/* ICMP errors of either family: what they have in common. */
#ifndef SLUICE_LIB_ICMP_ERROR_H
#define SLUICE_LIB_ICMP_ERROR_H

#include "lib/header.h"

/* With the 8 bytes before it just what bpf_csum_diff takes, and below the 576 bytes of RFC 1812 section 4.3.2.3. */
#define QUOTATION           504
#define ICMP_ERROR_HEADER   8
#define TYPE_AND_CODE(t, c) bpf_htonl((__u32)(t) << 24 | (__u32)(c) << 16)

struct icmp_error {
	__be32 type_code_checksum;
	__be32 mtu;
	__u8 quotation[QUOTATION];
};

/* The error's first word; `sum`: of all that its checksum covers beside this word. */
static __always_inline __be32 icmp_error_word(__be32 type_and_code, __u64 sum)
{
	return type_and_code | (__be32)fold(sum + type_and_code) << 16;
}

#endif
