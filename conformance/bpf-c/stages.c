// XDP in stages: tail calls through a program array filled at load, a map of maps, global functions, metadata.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum { STAGE_IP4, STAGE_IP6, STAGE_COUNT };

int stage_ip4(struct xdp_md *ctx);
int stage_ip6(struct xdp_md *ctx);

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, STAGE_COUNT);
  __uint(key_size, 4);
  __array(values, int(void *));
} stages SEC(".maps") = {.values = {[STAGE_IP4] = (void *)&stage_ip4, [STAGE_IP6] = (void *)&stage_ip6}};

struct table {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 256);
  __type(key, __u32);
  __type(value, __u64);
} by_protocol SEC(".maps"), by_ttl SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 2);
  __type(key, __u32);
  __array(values, struct table);
} tables SEC(".maps") = {.values = {&by_protocol, &by_ttl}};

struct meta {
  __u32 mark, length;
};

__u64 packets[STAGE_COUNT];

__noinline int bump(__u32 which, __u32 index) {
  void *table = bpf_map_lookup_elem(&tables, &which);
  if (!table) return -1;
  __u64 *value = bpf_map_lookup_elem(table, &index);
  if (!value) return -1;
  *value += 1;
  return 0;
}

__noinline int length_of(struct xdp_md *ctx) { return ctx->data_end - ctx->data; }

SEC("xdp")
int entry(struct xdp_md *ctx) {
  if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(struct meta))) return XDP_PASS;
  struct meta *meta = (void *)(long)ctx->data_meta;
  void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  if ((void *)(meta + 1) > data || (void *)(eth + 1) > end) return XDP_ABORTED;
  meta->mark = 7;
  meta->length = length_of(ctx);
  if (eth->h_proto == bpf_htons(ETH_P_IP)) bpf_tail_call(ctx, &stages, STAGE_IP4);
  else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) bpf_tail_call(ctx, &stages, STAGE_IP6);
  return XDP_PASS;
}

SEC("xdp")
int stage_ip4(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  struct iphdr *ip = data + sizeof(struct ethhdr);
  if ((void *)(ip + 1) > end) return XDP_DROP;
  packets[STAGE_IP4]++;
  bump(0, ip->protocol);
  bump(1, ip->ttl);
  return ip->ttl > 1 ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int stage_ip6(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  struct ipv6hdr *ip = data + sizeof(struct ethhdr);
  if ((void *)(ip + 1) > end) return XDP_DROP;
  packets[STAGE_IP6]++;
  __u8 next = ip->nexthdr;
  void *at = ip + 1;
  for (int i = 0; i < 6; i++) {
    if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS) break;
    struct ipv6_opt_hdr *option = at;
    if ((void *)(option + 1) > end) return XDP_DROP;
    next = option->nexthdr;
    at += (option->hdrlen + 1) * 8;
  }
  bump(0, next);
  return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
