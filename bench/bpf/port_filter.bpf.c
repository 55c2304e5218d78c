/* Ethernet, up to two VLAN tags, IPv4 or IPv6, TCP or UDP: drops some ports and counts by verdict. */
#include "common.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

static __always_inline int count(__u32 verdict)
{
	__u64 *counter = bpf_map_lookup_elem(&counters, &verdict);

	if (counter)
		*counter += 1;
	return verdict;
}

SEC("xdp")
int port_filter(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	void *at = eth + 1;
	__be16 proto;
	__u8 l4;

	if (at > end)
		return count(XDP_DROP);
	proto = eth->h_proto;
#pragma unroll
	for (int i = 0; i < 2; i++) {
		struct vlan_header *vlan = at;

		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(vlan + 1) > end)
			return count(XDP_DROP);
		proto = vlan->proto;
		at = vlan + 1;
	}
	if (proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = at;

		if ((void *)(ip + 1) > end)
			return count(XDP_DROP);
		l4 = ip->protocol;
		at += ip->ihl * 4;
	} else if (proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = at;

		if ((void *)(ip + 1) > end)
			return count(XDP_DROP);
		l4 = ip->nexthdr;
		at = ip + 1;
	} else
		return count(XDP_PASS);
	if (l4 == IPPROTO_TCP || l4 == IPPROTO_UDP) {
		struct udphdr *udp = at;

		if ((void *)(udp + 1) > end)
			return count(XDP_DROP);
		switch (bpf_ntohs(udp->dest)) {
		case 19:
		case 53:
		case 123:
		case 389:
		case 1900:
		case 11211:
			return count(XDP_DROP);
		}
	}
	return count(XDP_PASS);
}
