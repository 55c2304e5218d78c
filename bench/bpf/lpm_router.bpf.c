/* A router: longest prefix match of the destination, next hop's addresses from an array. */
#include "common.h"

struct prefix {
	__u32 length;
	__be32 address;
};

struct hop {
	__u8 to[6];
	__u8 from[6];
	__u32 packets;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u32);
} routes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct hop);
} hops SEC(".maps");

SEC("xdp")
int lpm_router(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct prefix key;
	struct hop *hop;
	__u32 *number;

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	if (ip->ttl <= 1)
		return XDP_PASS;
	key.length = 32;
	key.address = ip->daddr;
	number = bpf_map_lookup_elem(&routes, &key);
	if (!number)
		return XDP_DROP;
	hop = bpf_map_lookup_elem(&hops, number);
	if (!hop)
		return XDP_DROP;
	hop->packets += 1;
	__builtin_memcpy(eth->h_dest, hop->to, 6);
	__builtin_memcpy(eth->h_source, hop->from, 6);
	return XDP_TX;
}
