// A tc firewall: LPM prefixes, a token bucket under a spin lock, ring buffer events, callbacks and iterators.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct prefix {
  __u32 length;
  __be32 addr;
};

struct rule {
  __u32 verdict;
  __u64 hits;
};

struct bucket {
  struct bpf_spin_lock lock;
  __u32 tokens;
  __u64 last;
};

struct event {
  __be32 src, dst;
  __u32 length;
  __u8 why;
};

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, 1024);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct prefix);
  __type(value, struct rule);
} rules SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, __be32);
  __type(value, struct bucket);
} buckets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 16);
} events SEC(".maps");

const volatile __u32 rate = 100, burst = 20;
__u64 passed, dropped;
static __u64 unknown;

static void report(struct iphdr *ip, __u32 length, __u8 why) {
  struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
  if (!e) return;
  e->src = ip->saddr;
  e->dst = ip->daddr;
  e->length = length;
  e->why = why;
  bpf_ringbuf_submit(e, 0);
}

static int limited(__be32 addr) {
  struct bucket *b = bpf_map_lookup_elem(&buckets, &addr);
  if (!b) {
    struct bucket fresh = {.tokens = burst};
    fresh.last = bpf_ktime_get_ns();
    bpf_map_update_elem(&buckets, &addr, &fresh, BPF_NOEXIST);
    return 0;
  }
  __u64 now = bpf_ktime_get_ns();
  int over = 1;
  bpf_spin_lock(&b->lock);
  __u64 earned = (now - b->last) * rate / 1000000000ull;
  if (earned > 0) {
    __u64 tokens = b->tokens + earned;
    b->tokens = tokens > burst ? burst : tokens;
    b->last = now;
  }
  if (b->tokens > 0) {
    b->tokens--;
    over = 0;
  }
  bpf_spin_unlock(&b->lock);
  return over;
}

struct options {
  struct __sk_buff *skb;
  __u32 at, end, mss;
};

static long option(__u32 i, void *context) {
  struct options *o = context;
  __u8 kind, length;
  if (o->at >= o->end || bpf_skb_load_bytes(o->skb, o->at, &kind, 1)) return 1;
  if (kind == 0) return 1;
  if (kind == 1) {
    o->at++;
    return 0;
  }
  if (bpf_skb_load_bytes(o->skb, o->at + 1, &length, 1) || length < 2) return 1;
  if (kind == 2 && length == 4) {
    __u16 mss;
    if (!bpf_skb_load_bytes(o->skb, o->at + 2, &mss, 2)) o->mss = bpf_ntohs(mss);
  }
  o->at += length;
  return 0;
}

SEC("tc")
int firewall(struct __sk_buff *skb) {
  void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
  struct ethhdr *eth = data;
  struct iphdr *ip = data + sizeof(*eth);
  if ((void *)(ip + 1) > end) return TC_ACT_OK;
  if (eth->h_proto != bpf_htons(ETH_P_IP)) {
    unknown++;
    return TC_ACT_OK;
  }
  struct prefix key = {.length = 32, .addr = ip->saddr};
  struct rule *rule = bpf_map_lookup_elem(&rules, &key);
  if (rule) {
    __sync_fetch_and_add(&rule->hits, 1);
    if (rule->verdict == 1) {
      report(ip, skb->len, 1);
      dropped++;
      return TC_ACT_SHOT;
    }
  }
  if (limited(ip->saddr)) {
    report(ip, skb->len, 2);
    dropped++;
    return TC_ACT_SHOT;
  }
  passed++;
  return TC_ACT_OK;
}

SEC("tc")
int clamp_mss(struct __sk_buff *skb) {
  struct iphdr ip;
  struct tcphdr tcp;
  if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || ip.protocol != IPPROTO_TCP) return TC_ACT_OK;
  __u32 at = ETH_HLEN + ip.ihl * 4;
  if (bpf_skb_load_bytes(skb, at, &tcp, sizeof(tcp)) || !tcp.syn) return TC_ACT_OK;
  struct options o = {.skb = skb, .at = at + sizeof(tcp), .end = at + tcp.doff * 4};
  bpf_loop(40, option, &o, 0);
  skb->mark = o.mss;
  return o.mss && o.mss < 536 ? TC_ACT_SHOT : TC_ACT_OK;
}

struct bpf_map;

static long age(struct bpf_map *map, const __be32 *key, struct bucket *bucket, void *now) {
  if (*(__u64 *)now - bucket->last > 60000000000ull) bpf_map_delete_elem(map, key);
  return 0;
}

SEC("tc")
int expire(struct __sk_buff *skb) {
  __u64 now = bpf_ktime_get_ns();
  bpf_for_each_map_elem(&buckets, age, &now, 0);
  return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
