// An XDP load balancer: connections stick to a backend (LRU hash), backends from an array, counters per CPU, IPIP.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct flow {
  __be32 src, dst;
  __be16 sport, dport;
  __u8 proto, pad[3];
};

struct backend {
  __be32 addr;
  __u8 mac[6];
  __u16 weight;
};

struct counters {
  __u64 packets, bytes;
};

struct vip {
  __be32 addr;
  __be16 port;
  __u8 proto, pad;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 64);
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
  __uint(max_entries, 256);
  __type(key, __u32);
  __type(value, struct backend);
} backends SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 256);
  __type(key, __u32);
  __type(value, struct counters);
} counters SEC(".maps");

const volatile __be32 own_address = 0;
const volatile __u32 count = 1;

static __always_inline __u16 fold(__u32 sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return ~sum;
}

static __always_inline __u32 mix(__u32 a, __u32 b) {
  a ^= b * 0x9e3779b1u;
  a = (a << 13) | (a >> 19);
  return a * 5 + 0xe6546b64;
}

static __noinline __u32 choose(const struct flow *flow) {
  __u32 hash = mix(mix(flow->src, flow->dst), ((__u32)flow->sport << 16) | flow->dport);
  return count ? hash % count : 0;
}

static __always_inline int encapsulate(struct xdp_md *ctx, const struct backend *to, __u16 length) {
  if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct iphdr))) return XDP_DROP;
  void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  struct iphdr *ip = (void *)(eth + 1);
  if ((void *)(ip + 1) > end) return XDP_DROP;
  struct ethhdr *old = data + sizeof(struct iphdr);
  if ((void *)(old + 1) > end) return XDP_DROP;
  __builtin_memcpy(eth->h_source, old->h_dest, 6);
  __builtin_memcpy(eth->h_dest, to->mac, 6);
  eth->h_proto = bpf_htons(ETH_P_IP);
  __builtin_memset(ip, 0, sizeof(*ip));
  ip->version = 4;
  ip->ihl = 5;
  ip->tot_len = bpf_htons(length + sizeof(*ip));
  ip->ttl = 64;
  ip->protocol = IPPROTO_IPIP;
  ip->saddr = own_address;
  ip->daddr = to->addr;
  __u32 sum = 0;
  __u16 *words = (void *)ip;
#pragma unroll
  for (int i = 0; i < 10; i++) sum += words[i];
  ip->check = fold(sum);
  return XDP_TX;
}

SEC("xdp")
int balancer(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  if ((void *)(eth + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP)) return XDP_PASS;
  struct iphdr *ip = (void *)(eth + 1);
  if ((void *)(ip + 1) > end || ip->ihl != 5 || ip->frag_off & bpf_htons(0x3fff)) return XDP_PASS;
  struct flow flow = {.src = ip->saddr, .dst = ip->daddr, .proto = ip->protocol};
  __u16 length = bpf_ntohs(ip->tot_len);
  if (ip->protocol == IPPROTO_TCP) {
    struct tcphdr *tcp = (void *)(ip + 1);
    if ((void *)(tcp + 1) > end) return XDP_DROP;
    flow.sport = tcp->source;
    flow.dport = tcp->dest;
  } else if (ip->protocol == IPPROTO_UDP) {
    struct udphdr *udp = (void *)(ip + 1);
    if ((void *)(udp + 1) > end) return XDP_DROP;
    flow.sport = udp->source;
    flow.dport = udp->dest;
  } else {
    return XDP_PASS;
  }
  struct vip vip = {.addr = flow.dst, .port = flow.dport, .proto = flow.proto};
  __u32 *base = bpf_map_lookup_elem(&vips, &vip);
  if (!base) return XDP_PASS;
  __u32 index, *known = bpf_map_lookup_elem(&flows, &flow);
  if (known) {
    index = *known;
  } else {
    index = *base + choose(&flow);
    bpf_map_update_elem(&flows, &flow, &index, BPF_ANY);
  }
  struct backend *backend = bpf_map_lookup_elem(&backends, &index);
  if (!backend || !backend->addr) return XDP_DROP;
  struct counters *c = bpf_map_lookup_elem(&counters, &index);
  if (c) {
    c->packets++;
    c->bytes += (long)end - (long)data;
  }
  return encapsulate(ctx, backend, length);
}

char _license[] SEC("license") = "GPL";
