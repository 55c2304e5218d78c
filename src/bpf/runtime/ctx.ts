/**
 * Contexts of packet programs: `struct __sk_buff` and `struct xdp_md` (linux/bpf.h), plain memory with plain words. Filled
 * from the packet's metadata before a run, and the written fields read back after it.
 */
import { NO_OFFSET, type Slab } from '../../core/slab.ts';
import { BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_PROG_TYPE_XDP } from '../../wire/uapi/bpf.ts';
import { SKB, SKB_SIZE, XDP, XDP_SIZE } from '../../wire/uapi/bpf-context.ts';
import { BPF_PROG_TYPE_NFT_CHAIN, NFT_CTX_SIZE } from '../progtype/nft-chain.ts';
import type { Run } from './run.ts';

export { SKB, SKB_SIZE, XDP, XDP_SIZE };

/** Scratch words of the slab that carry what `qdisc_skb_cb` does in Linux: cb[0..4], then these. */
export const CB_TC_CLASSID = 5;
export const CB_QUEUE_MAPPING = 6;
export const CB_TC_INDEX = 7;

/** Bytes of the context of a program type; 0 for types whose context is not a struct of its own here. */
export function contextSize(progType: number): number {
  if (progType === BPF_PROG_TYPE_XDP) return XDP_SIZE;
  if (progType === BPF_PROG_TYPE_NFT_CHAIN) return NFT_CTX_SIZE;
  return OTHER_SIZES.get(progType) ?? SKB_SIZE;
}

// cgroup_sock 9, sock_ops 13, cgroup_device 15, sk_msg 16, raw_tracepoint 17, sk_reuseport 21, cgroup_sysctl 23,
// cgroup_sockopt 25, sk_lookup 30, netfilter 32.
const OTHER_SIZES: ReadonlyMap<number, number> = new Map([
  [9, 80],
  [13, 224],
  [15, 12],
  [16, 80],
  [17, 96],
  [BPF_PROG_TYPE_CGROUP_SOCK_ADDR, 72],
  [21, 56],
  [23, 8],
  [25, 40],
  [30, 72],
  [32, 16],
  // Arguments of tracing programs, records of tracepoints.
  [26, 96],
  [5, 512],
]);

export const swap16 = (x: number): number => ((x & 0xff) << 8) | ((x >> 8) & 0xff);

/** Fills the whole `struct __sk_buff` at `run.ctx` from the packet's metadata. */
export function fillSkb(run: Run): void {
  const { slab, dv, ctx, packet: p } = run;
  run.u8.fill(0, ctx, ctx + SKB_SIZE);
  const set = (at: number, value: number): void => dv.setUint32(ctx + at, value, true);
  set(SKB.mark, slab.mark(p));
  set(SKB.queueMapping, slab.cb(p, CB_QUEUE_MAPPING));
  set(SKB.priority, slab.priority(p));
  set(SKB.ingressIfindex, slab.iif(p));
  set(SKB.ifindex, run.ifindex !== 0 ? run.ifindex : run.egress ? slab.oif(p) : slab.iif(p));
  set(SKB.tcIndex, slab.cb(p, CB_TC_INDEX));
  for (let i = 0; i < 5; i++) set(SKB.cb + i * 4, slab.cb(p, i));
  set(SKB.tcClassid, slab.cb(p, CB_TC_CLASSID));
  set(SKB.wireLen, slab.len(p));
  set(SKB.gsoSize, slab.gsoSize(p));
  dv.setBigUint64(ctx + SKB.tstamp, BigInt(Math.trunc(slab.tstamp(p))), true);
  refreshSkb(run);
}

/** Writes the fields that follow the packet's bytes and metadata: after a helper changed them. */
export function refreshSkb(run: Run): void {
  const { slab, dv, ctx, packet: p } = run;
  const set = (at: number, value: number): void => dv.setUint32(ctx + at, value, true);
  const head = slab.head(p);
  set(SKB.len, slab.len(p));
  set(SKB.pktType, slab.pktType(p));
  set(SKB.protocol, swap16(slab.protocol(p)));
  set(SKB.vlanPresent, slab.vlanProto(p) === 0 ? 0 : 1);
  set(SKB.vlanTci, slab.vlanTci(p));
  set(SKB.vlanProto, swap16(slab.vlanProto(p)));
  set(SKB.hash, slab.hash(p));
  set(SKB.data, head);
  set(SKB.dataEnd, head + slab.len(p));
  set(SKB.dataMeta, run.meta === 0 ? head : run.meta);
}

/** Takes back what the program may have written in the `struct __sk_buff`. */
export function flushSkb(run: Run): void {
  const { slab, dv, ctx, packet: p } = run;
  const get = (at: number): number => dv.getUint32(ctx + at, true);
  slab.setMark(p, get(SKB.mark));
  slab.setPriority(p, get(SKB.priority));
  slab.setCb(p, CB_QUEUE_MAPPING, get(SKB.queueMapping));
  slab.setCb(p, CB_TC_INDEX, get(SKB.tcIndex));
  slab.setCb(p, CB_TC_CLASSID, get(SKB.tcClassid));
  for (let i = 0; i < 5; i++) slab.setCb(p, i, get(SKB.cb + i * 4));
  slab.setTstamp(p, Number(dv.getBigUint64(ctx + SKB.tstamp, true)));
}

/** Fills the `struct xdp_md` at `run.ctx`. */
export function fillXdp(run: Run): void {
  const { slab, dv, ctx, packet: p } = run;
  dv.setUint32(ctx + XDP.ingressIfindex, slab.iif(p), true);
  dv.setUint32(ctx + XDP.rxQueueIndex, slab.cb(p, CB_QUEUE_MAPPING), true);
  dv.setUint32(ctx + XDP.egressIfindex, slab.oif(p), true);
  refreshXdp(run);
}

/** data, data_end and data_meta, after a helper moved them. */
export function refreshXdp(run: Run): void {
  const { slab, dv, ctx, packet: p } = run;
  const head = slab.head(p);
  dv.setUint32(ctx + XDP.data, head, true);
  dv.setUint32(ctx + XDP.dataEnd, head + slab.len(p), true);
  dv.setUint32(ctx + XDP.dataMeta, run.meta === 0 ? head : run.meta, true);
}

/** Fills or refreshes whichever context the program type has. */
export function refresh(run: Run): void {
  if (run.progType === BPF_PROG_TYPE_XDP) refreshXdp(run);
  else refreshSkb(run);
}

/**
 * What a 32-bit store of a program leaves in a field of `struct __sk_buff` that the kernel keeps in 16 bits: -1 when the
 * store is ignored (queue numbers from 0xffff on).
 */
export function narrowField(offset: number, value: number): number {
  if (offset === SKB.tcIndex || offset === SKB.tcClassid) return value & 0xffff;
  if (offset === SKB.queueMapping) return value >>> 0 < 0xffff ? value : -1;
  return value;
}

/** Fields that `narrowField` is about. */
export const NARROW_FIELDS: readonly number[] = [SKB.queueMapping, SKB.tcIndex, SKB.tcClassid];

/** True for contexts that are a `struct __sk_buff`. */
export function isSkbContext(progType: number): boolean {
  return progType !== BPF_PROG_TYPE_XDP && !OTHER_SIZES.has(progType);
}

/** Where the network header begins: as found, else behind the MAC header. */
export function networkAt(slab: Slab, p: number): number {
  const at = slab.network(p);
  if (at !== NO_OFFSET) return at;
  const mac = slab.mac(p);
  return mac === NO_OFFSET ? slab.head(p) : mac + 14;
}
