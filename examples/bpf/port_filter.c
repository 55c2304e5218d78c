// SPDX-License-Identifier: MIT
// An XDP port filter and a tc marker. Built with:
//   clang -O2 -g -target bpf -mcpu=v3 -c port_filter.c -o port_filter.o && llvm-strip -g port_filter.o
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/in.h>
#include <linux/udp.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u16);	/* port, as a number */
	__type(value, __u64);	/* packets dropped */
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} blocked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 5);
	__type(key, __u32);	/* XDP verdict */
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} verdicts SEC(".maps");

static int count(__u32 verdict)
{
	__u64 *n = bpf_map_lookup_elem(&verdicts, &verdict);

	if (n)
		__sync_fetch_and_add(n, 1);
	return verdict;
}

SEC("xdp")
int port_filter(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *ports;
	__u16 port;
	__u64 *hits;

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return count(XDP_PASS);
	if (ip->protocol != IPPROTO_UDP && ip->protocol != IPPROTO_TCP)
		return count(XDP_PASS);
	/* The ports lie at the same place in both. */
	ports = (void *)ip + ip->ihl * 4;
	if ((void *)(ports + 1) > end)
		return count(XDP_PASS);
	port = bpf_ntohs(ports->dest);
	hits = bpf_map_lookup_elem(&blocked, &port);
	if (!hits)
		return count(XDP_PASS);
	__sync_fetch_and_add(hits, 1);
	return count(XDP_DROP);
}

SEC("tc")
int mark_icmp(struct __sk_buff *skb)
{
	__u8 protocol;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_OK;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + 9, &protocol, 1) == 0 && protocol == IPPROTO_ICMP)
		skb->mark = 0x1c;
	return TC_ACT_OK;
}

/* Refused by the verifier, as an example: the packet may be shorter than the header read. */
SEC("?xdp")
int too_trusting(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	return eth->h_proto == bpf_htons(ETH_P_IP) ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
