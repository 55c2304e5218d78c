/*
 * A load balancer: virtual addresses in a hash table, connections in an LRU hash table, new ones by a ring of servers in
 * an array. The packet goes back out with the server's MAC address.
 */
#include "common.h"

struct vip {
	__be32 address;
	__be16 port;
	__u8 proto;
	__u8 pad;
};

struct flow {
	__be32 from;
	__be32 to;
	__be16 from_port;
	__be16 to_port;
	__u8 proto;
	__u8 pad[3];
};

struct server {
	__u8 mac[6];
	__u8 pad[2];
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, struct vip);
	__type(value, __u32);
} vips SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct flow);
	__type(value, __u32);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct server);
} servers SEC(".maps");

static __always_inline __u32 mix(const struct flow *f)
{
	__u32 h = f->from ^ f->to * 0x9e3779b1 ^ (__u32)f->from_port << 16 ^ f->to_port ^ f->proto;

	h ^= h >> 16;
	h *= 0x85ebca6b;
	h ^= h >> 13;
	h *= 0xc2b2ae35;
	return h ^ h >> 16;
}

SEC("xdp")
int load_balancer(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	struct server *server;
	struct flow flow = {};
	struct vip vip = {};
	__u32 *base, *known, number;

	if ((void *)(udp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5)
		return XDP_PASS;
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	vip.address = ip->daddr;
	vip.port = udp->dest;
	vip.proto = ip->protocol;
	base = bpf_map_lookup_elem(&vips, &vip);
	if (!base)
		return XDP_PASS;
	flow.from = ip->saddr;
	flow.to = ip->daddr;
	flow.from_port = udp->source;
	flow.to_port = udp->dest;
	flow.proto = ip->protocol;
	known = bpf_map_lookup_elem(&flows, &flow);
	if (known)
		number = *known;
	else {
		__u32 slot = (*base + mix(&flow)) % 1024;
		__u32 *chosen = bpf_map_lookup_elem(&ring, &slot);

		if (!chosen)
			return XDP_DROP;
		number = *chosen;
		bpf_map_update_elem(&flows, &flow, &number, BPF_ANY);
	}
	server = bpf_map_lookup_elem(&servers, &number);
	if (!server)
		return XDP_DROP;
	server->packets += 1;
	server->bytes += end - data;
	__builtin_memcpy(eth->h_source, eth->h_dest, 6);
	__builtin_memcpy(eth->h_dest, server->mac, 6);
	return XDP_TX;
}
