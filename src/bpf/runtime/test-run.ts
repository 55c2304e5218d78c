/**
 * BPF_PROG_TEST_RUN (Documentation/bpf/bpf_prog_run.rst): a program on a packet without a network around it. Types that
 * get a `struct __sk_buff` see the packet as received on `lo`; types 3 and 4 see its MAC header, the others start behind
 * it and the packet that comes back then has a zeroed one. XDP programs get 256 bytes of headroom in a page.
 */
import { EINVAL, ENOMEM } from '../../core/errno.ts';
import {
  HEADROOM,
  LARGE_SLOT_SIZE,
  PACKET_HOST,
  PACKET_MULTICAST,
  PACKET_OTHERHOST,
  type Slab,
} from '../../core/slab.ts';
import * as uapi from '../../wire/uapi/bpf.ts';
import { fillSkb, fillXdp, flushSkb, SKB, SKB_SIZE, XDP, XDP_SIZE } from './ctx.ts';
import type { Machine, MachineProgram } from './machine.ts';
import type { Redirect, Run } from './run.ts';

/** The kernel's answer for types without a test run. */
const ENOTSUPP = 524;
const ETH_HLEN = 14;
const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;
const ETH_P_802_3 = 1;
const ETH_P_802_2 = 4;
const LO = 1;
const PAGE_SIZE = 4096;
/** What the kernel keeps behind the data of a page for `struct skb_shared_info`. */
const SHARED_INFO = 320;
const XDP_HEADROOM = 256;
/** Enough for whatever helpers may add in front of a packet of at most SKB_MAX_ALLOC bytes. */
const SKB_HEADROOM = 20_002;

export type TestRun = {
  /** Low 32 bits of r0. */
  readonly ret: number;
  /** The packet afterwards. */
  readonly data: Uint8Array;
  /** The context afterwards, as BPF_PROG_TEST_RUN returns it. */
  readonly ctx: Uint8Array;
  /** Where the program asked to redirect the packet to. */
  readonly redirect: Redirect | undefined;
  /** Mean of all runs, when there was a clock. */
  readonly nsPerRun: number | undefined;
};

export type TestRunOptions = {
  /** Times the program runs, on the same packet; default 1. */
  readonly repeat?: number;
  /** Fields of the context before the run: `struct __sk_buff` or `struct xdp_md`. */
  readonly ctx?: Uint8Array;
  /** Nanoseconds from somewhere; the runs are timed with it. */
  readonly clock?: () => number;
};

/** Program types that `testRun` takes. */
export function canTestRun(progType: number): boolean {
  return progType === uapi.BPF_PROG_TYPE_XDP || SKB_TYPES.has(progType);
}

const SKB_TYPES: ReadonlySet<number> = new Set([
  uapi.BPF_PROG_TYPE_SOCKET_FILTER,
  uapi.BPF_PROG_TYPE_SCHED_CLS,
  uapi.BPF_PROG_TYPE_SCHED_ACT,
  uapi.BPF_PROG_TYPE_CGROUP_SKB,
  uapi.BPF_PROG_TYPE_LWT_IN,
  uapi.BPF_PROG_TYPE_LWT_OUT,
  uapi.BPF_PROG_TYPE_LWT_XMIT,
  uapi.BPF_PROG_TYPE_LWT_SEG6LOCAL,
]);

/** Result, or the errno the system call would fail with. */
export type TestRunResult = TestRun | { readonly errno: number };

/** Runs `program` on `packet` (a frame with its Ethernet header). */
export function testRun(
  machine: Machine,
  program: MachineProgram,
  packet: Uint8Array,
  options: TestRunOptions = {},
): TestRunResult {
  if (!canTestRun(program.spec.type)) return { errno: ENOTSUPP };
  if (packet.length < ETH_HLEN) return { errno: EINVAL };
  const run = machine.acquire();
  const xdp = program.spec.type === uapi.BPF_PROG_TYPE_XDP;
  const ctx = machine.heap.alloc(SKB_SIZE);
  const headroom = xdp ? HEADROOM : SKB_HEADROOM;
  const slot = machine.slab.alloc(LARGE_SLOT_SIZE - headroom, headroom);
  try {
    if (ctx === 0 || slot < 0) return { errno: ENOMEM };
    run.ctx = ctx;
    run.packet = slot;
    run.progType = program.spec.type;
    const head = machine.slab.head(slot);
    // Bytes that helpers add in front are the kernel's fresh page: zero.
    machine.slab.u8.fill(0, head - headroom, head);
    machine.slab.u8.set(packet, head);
    machine.slab.setLen(slot, packet.length);
    return xdp ? runXdp(run, program, options) : runSkb(run, program, options);
  } finally {
    if (slot >= 0) machine.slab.free(slot);
    if (ctx !== 0) machine.heap.free(ctx);
    machine.release(run);
  }
}

function runXdp(run: Run, program: MachineProgram, options: TestRunOptions): TestRunResult {
  const { slab, packet: p } = run;
  if (slab.len(p) > PAGE_SIZE - XDP_HEADROOM - SHARED_INFO) return { errno: EINVAL };
  slab.setIif(p, LO);
  run.headLimit = slab.head(p) - XDP_HEADROOM;
  run.tailLimit = run.headLimit + PAGE_SIZE - SHARED_INFO;
  run.meta = slab.head(p);
  const { ret, nsPerRun } = repeatedly(options, () => {
    fillXdp(run);
    return program.enter(run);
  });
  const ctx = new Uint8Array(XDP_SIZE);
  if (options.ctx !== undefined) ctx.set(options.ctx.subarray(0, XDP_SIZE));
  const dv = new DataView(ctx.buffer);
  dv.setUint32(XDP.data, slab.head(p) - run.meta, true);
  dv.setUint32(XDP.dataEnd, slab.end(p) - run.meta, true);
  const data = run.u8.slice(run.meta, slab.end(p));
  return { ret, data, ctx, redirect: run.redirect, nsPerRun };
}

/** Runs `once` as often as asked; its last answer, and the time it took. */
function repeatedly(
  { repeat = 1, clock }: TestRunOptions,
  once: () => number,
): { readonly ret: number; readonly nsPerRun: number | undefined } {
  const start = clock?.() ?? 0;
  let ret = 0;
  for (let i = 0; i < repeat; i++) ret = once();
  return { ret, nsPerRun: clock === undefined ? undefined : (clock() - start) / Math.max(1, repeat) };
}

/** Ethertype of a frame as eth_type_trans() finds it. */
function protocolOf(slab: Slab, mac: number, end: number): number {
  const type = slab.dv.getUint16(mac + 12);
  if (type >= 0x600) return type;
  return mac + 16 <= end && slab.dv.getUint16(mac + 14) === 0xffff ? ETH_P_802_3 : ETH_P_802_2;
}

/** Packet type as eth_type_trans() finds it on `lo`, whose own and broadcast addresses are all zeros. */
function packetTypeOf(slab: Slab, mac: number): number {
  const bytes = slab.u8.subarray(mac, mac + 6);
  if ((bytes[0] & 1) !== 0) return PACKET_MULTICAST;
  return bytes.every((b) => b === 0) ? PACKET_HOST : PACKET_OTHERHOST;
}

function runSkb(run: Run, program: MachineProgram, options: TestRunOptions): TestRunResult {
  const { slab, packet: p } = run;
  const type = program.spec.type;
  const l2 = type === uapi.BPF_PROG_TYPE_SCHED_CLS || type === uapi.BPF_PROG_TYPE_SCHED_ACT;
  const mac = slab.head(p);
  const protocol = protocolOf(slab, mac, slab.end(p));
  const l3 = slab.len(p) - ETH_HLEN;
  if ((protocol === ETH_P_IP && l3 < 20) || (protocol === ETH_P_IPV6 && l3 < 40)) return { errno: EINVAL };
  slab.setMac(p, mac);
  slab.setNetwork(p, mac + ETH_HLEN);
  slab.setProtocol(p, protocol);
  slab.setPktType(p, packetTypeOf(slab, mac));
  slab.setOif(p, LO);
  run.ifindex = LO;
  if (!l2) slab.pull(p, ETH_HLEN);
  const { ret, nsPerRun } = repeatedly(options, () => {
    fillSkb(run);
    const verdict = program.enter(run);
    flushSkb(run);
    return verdict;
  });
  const bytes = slab.bytes(p);
  const data = new Uint8Array(bytes.length + (l2 ? 0 : ETH_HLEN));
  data.set(bytes, l2 ? 0 : ETH_HLEN);
  return { ret, data, ctx: skbOut(run), redirect: run.redirect, nsPerRun };
}

/** The `struct __sk_buff` that the system call returns: only what a program may have set. */
function skbOut(run: Run): Uint8Array {
  const { dv, ctx } = run;
  const out = new Uint8Array(SKB_SIZE);
  const to = new DataView(out.buffer);
  const copy = (at: number): void => to.setUint32(at, dv.getUint32(ctx + at, true), true);
  for (const at of [SKB.mark, SKB.queueMapping, SKB.priority, SKB.ingressIfindex, SKB.ifindex, SKB.wireLen]) copy(at);
  for (let i = 0; i < 5; i++) copy(SKB.cb + i * 4);
  copy(SKB.gsoSegs);
  copy(SKB.tstamp);
  copy(SKB.tstamp + 4);
  return out;
}
