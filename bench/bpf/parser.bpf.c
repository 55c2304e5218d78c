/*
 * Much to verify: IPv6 extension headers, TCP options one after another, counters by option. Measured by the time that its
 * verification takes.
 */
#include "common.h"
#include <linux/tcp.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

static __always_inline void count(__u32 kind)
{
	__u64 *counter = bpf_map_lookup_elem(&seen, &kind);

	if (counter)
		*counter += 1;
}

SEC("xdp")
int parser(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct tcphdr *tcp;
	__u32 at, stop, mss = 0, scale = 0, stamps = 0, l4 = 0;

	if ((void *)(eth + 1) > end)
		return XDP_DROP;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) > end)
			return XDP_DROP;
		l4 = ip->protocol;
		at = sizeof(*eth) + ip->ihl * 4;
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) > end)
			return XDP_DROP;
		l4 = ip->nexthdr;
		at = sizeof(*eth) + sizeof(*ip);
		for (int i = 0; i < 8; i++) {
			__u8 *ext = data + at;

			if ((void *)(ext + 8) > end)
				return XDP_DROP;
			if (l4 == 44) {
				l4 = ext[0];
				at += 8;
			} else if (l4 == 0 || l4 == 43 || l4 == 60) {
				l4 = ext[0];
				at += 8 + (ext[1] & 7) * 8;
			} else
				break;
			count(l4 & 255);
		}
	} else
		return XDP_PASS;
	if (l4 != IPPROTO_TCP)
		return XDP_PASS;
	at &= 0x3ff;
	tcp = data + at;
	if ((void *)(tcp + 1) > end)
		return XDP_DROP;
	stop = at + tcp->doff * 4;
	at += sizeof(*tcp);
	for (int i = 0; i < 40 && at < stop; i++) {
		__u8 *option;

		at &= 0x7ff;
		option = data + at;
		if ((void *)(option + 2) > end)
			break;
		count(option[0]);
		if (option[0] == 0)
			break;
		if (option[0] == 1) {
			at++;
			continue;
		}
		if ((void *)(option + 12) > end)
			break;
		if (option[0] == 2)
			mss = option[2] << 8 | option[3];
		else if (option[0] == 3)
			scale = option[2];
		else if (option[0] == 8)
			stamps = *(__u32 *)(option + 2);
		if (option[1] < 2)
			return XDP_DROP;
		at += option[1];
	}
	return mss < 536 || scale > 14 || stamps == 1 ? XDP_DROP : XDP_PASS;
}
