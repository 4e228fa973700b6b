// SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0)
/*
 * Measures programs that rewrite their packet. BPF_PROG_TEST_RUN repeats a program on the packet as the last run left
 * it, so this one builds the packet anew, for another flow each time, and tail-calls the program under test. The
 * same around a program that returns at once is what to subtract.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* A packet is a multiple of 8 bytes here, so that it is written by few stores. */
#define PACKET_WORDS 16

const volatile __u64 packet[PACKET_WORDS];
const volatile __u32 packet_words = 8;

/* Packets belong to flows first_flow .. first_flow + flows - 1, in this order or at random. */
const volatile __u32 first_flow = 0;
const volatile __u32 flows = 1;
const volatile bool in_order = true;

/* A flow's number in the packet: what is left of it by `low_values` in one 16-bit field, the rest in a second one. */
const volatile __u32 low_values = 16384;
const volatile __u32 low_offset = 34;
const volatile __u32 high_offset = 28;
const volatile __u16 low_base = 1024;
const volatile __u16 high_base = 0;

/* Packets built since the object was loaded. */
__u64 built;

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tc_target SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} xdp_target SEC(".maps");

/* splitmix64's finaliser: neighbouring numbers become unrelated ones. */
static __always_inline __u64 scatter(__u64 value)
{
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
	value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
	return value ^ (value >> 31);
}

static __always_inline __u32 next_flow(void)
{
	__u64 number = built++;

	return first_flow + (in_order ? number % flows : (scatter(number) >> 32) * flows >> 32);
}

static __always_inline int write_field(void *data, void *end, __u32 offset, __u16 value)
{
	__be16 *field = data + (offset & 0x7f);

	if ((void *)(field + 1) > end)
		return -1;
	*field = bpf_htons(value);
	return 0;
}

/* Not 0: the packet given to the run is shorter than `packet_words` says. */
static __always_inline int build_packet(void *data, void *end)
{
	__u32 flow = next_flow();

	for (__u32 i = 0; i < PACKET_WORDS && i < packet_words; i++) {
		__u64 *word = data + i * 8;

		if ((void *)(word + 1) > end)
			return -1;
		*word = packet[i];
	}
	return write_field(data, end, low_offset, low_base + flow % low_values) |
	       write_field(data, end, high_offset, high_base + flow / low_values);
}

SEC("tc")
int wrap_tc(struct __sk_buff *skb)
{
	skb->mark = 0;
	if (build_packet((void *)(long)skb->data, (void *)(long)skb->data_end))
		return -1;
	bpf_tail_call(skb, &tc_target, 0);
	return -1;
}

SEC("tc")
int nothing_tc(struct __sk_buff *skb)
{
	(void)skb;
	return TC_ACT_OK;
}

/* An encapsulated packet is cut back first: by the same helper call, by 0 bytes, where nothing was added. */
SEC("xdp")
int wrap_xdp(struct xdp_md *context)
{
	long length = (void *)(long)context->data_end - (void *)(long)context->data;

	/* Else clang subtracts the low halves only, which the verifier forbids for pointers. */
	asm volatile("" : "+r"(length));
	if (bpf_xdp_adjust_head(context, (int)(length - packet_words * 8)))
		return -1;
	if (build_packet((void *)(long)context->data, (void *)(long)context->data_end))
		return -1;
	bpf_tail_call(context, &xdp_target, 0);
	return -1;
}

SEC("xdp")
int nothing_xdp(struct xdp_md *context)
{
	(void)context;
	return XDP_PASS;
}

#define CALIBRATION_ENTRIES 65536

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CALIBRATION_ENTRIES);
	__type(key, __u64);
	__type(value, __u64);
} calibration SEC(".maps");

/* Fixed work to compare machines and moments by: 32 rounds of arithmetic and 4 lookups at random in a hash of 5 MB. */
SEC("xdp")
int calibrate(struct xdp_md *context)
{
	__u64 value = built++;
	__u64 *found;

	(void)context;
	for (int i = 0; i < 32; i++)
		value = scatter(value);
	for (int i = 0; i < 4; i++) {
		__u64 key = (value = scatter(value)) % CALIBRATION_ENTRIES;

		found = bpf_map_lookup_elem(&calibration, &key);
		if (found)
			value ^= *found;
	}
	return value & 1 ? XDP_PASS : XDP_TX;
}

char _license[] SEC("license") = "Dual BSD/GPL";
