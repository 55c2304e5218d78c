/* A tight loop of arithmetic: xorshift, 1000 rounds. */
#include "common.h"

SEC("xdp")
int alu(struct xdp_md *ctx)
{
	__u64 x = ctx->rx_queue_index + 88172645463325252ULL;

	for (int i = 0; i < 1000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	return x & 1 ? XDP_PASS : XDP_DROP;
}
