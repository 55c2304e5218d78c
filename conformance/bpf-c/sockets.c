// Programs at sockets and cgroups: filter, sk_lookup, connect redirect, sockops, reuseport, sockmap verdict, timers.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
  __uint(type, BPF_MAP_TYPE_SOCKMAP);
  __uint(max_entries, 16);
  __type(key, __u32);
  __type(value, __u64);
} sockets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
  __uint(max_entries, 4);
  __type(key, __u32);
  __type(value, __u64);
} listeners SEC(".maps");

struct timed {
  struct bpf_timer timer;
  __u64 fired;
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct timed);
} timers SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, __u64);
} storage SEC(".maps");

SEC("socket")
int filter(struct __sk_buff *skb) {
  __u8 protocol;
  if (bpf_skb_load_bytes(skb, ETH_HLEN + __builtin_offsetof(struct iphdr, protocol), &protocol, 1)) return 0;
  return protocol == IPPROTO_UDP ? skb->len : 0;
}

SEC("cgroup_skb/egress")
int account(struct __sk_buff *skb) {
  struct bpf_sock *sk = skb->sk;
  if (!sk) return 1;
  sk = bpf_sk_fullsock(sk);
  if (!sk) return 1;
  __u64 *bytes = bpf_sk_storage_get(&storage, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (bytes) __sync_fetch_and_add(bytes, skb->len);
  return 1;
}

SEC("cgroup/connect4")
int redirect(struct bpf_sock_addr *ctx) {
  if (ctx->user_ip4 == bpf_htonl(0x0a000001) && ctx->user_port == bpf_htons(80)) {
    ctx->user_ip4 = bpf_htonl(0x7f000001);
    ctx->user_port = bpf_htons(8080);
  }
  return 1;
}

SEC("sk_lookup")
int steer(struct bpf_sk_lookup *ctx) {
  if (ctx->protocol != IPPROTO_TCP || ctx->local_port < 7000 || ctx->local_port > 7999) return SK_PASS;
  __u32 key = 0;
  struct bpf_sock *sk = bpf_map_lookup_elem(&sockets, &key);
  if (!sk) return SK_DROP;
  long failed = bpf_sk_assign(ctx, sk, 0);
  bpf_sk_release(sk);
  return failed ? SK_DROP : SK_PASS;
}

SEC("sk_reuseport")
int select_listener(struct sk_reuseport_md *ctx) {
  __u32 key = ctx->hash % 4;
  return bpf_sk_select_reuseport(ctx, &listeners, &key, 0) ? SK_DROP : SK_PASS;
}

SEC("sockops")
int established(struct bpf_sock_ops *ctx) {
  __u32 key = ctx->local_port & 15;
  if (ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) bpf_sock_map_update(ctx, &sockets, &key, BPF_ANY);
  return 1;
}

SEC("sk_skb/stream_verdict")
int verdict(struct __sk_buff *skb) { return bpf_sk_redirect_map(skb, &sockets, skb->local_port & 15, 0); }

static int expired(void *map, __u32 *key, struct timed *value) {
  value->fired++;
  bpf_timer_start(&value->timer, 1000000, 0);
  return 0;
}

SEC("tc")
int start(struct __sk_buff *skb) {
  __u32 key = 0;
  struct timed *value = bpf_map_lookup_elem(&timers, &key);
  if (!value) return 0;
  bpf_timer_init(&value->timer, &timers, 1);
  bpf_timer_set_callback(&value->timer, expired);
  bpf_timer_start(&value->timer, 1000000, 0);
  return 0;
}

char _license[] SEC("license") = "GPL";
