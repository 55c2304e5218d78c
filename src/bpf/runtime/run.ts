/**
 * One run of a program: what helpers may ask about it. Engines keep one `Run` and set its context and packet before each
 * packet; the words that compiled code reads and writes itself lie in memory, in the run block:
 *
 *     +0   high word of a 64-bit helper result
 *     +4   high words of arguments 1..5 (five words)
 *     +24  packet handle (slab), -1 for none
 *     +28  address of the context
 *     +32  tail calls made
 *     +36  first byte of the metadata in front of the packet's data (data_meta)
 *     +40  stack pointer (frame pointer of a program entered now)
 *     +48  scratch for engines, to +64
 *
 * Below it lies nothing; behind it the stack area.
 */
import type { Slab } from '../../core/slab.ts';
import type { Machine, MachineProgram, Timer } from './machine.ts';
import type { Regions } from './regions.ts';

export const RUN_RET_HI = 0;
export const RUN_ARG_HI = 4;
export const RUN_PACKET = 24;
export const RUN_CTX = 28;
export const RUN_TAIL_CALLS = 32;
export const RUN_META = 36;
export const RUN_FP = 40;
export const RUN_SCRATCH = 48;
const STACK_AT = 64;
const UNINITIALISED = 0xa5;

/** Bytes of stack a run has: 34 programs (33 tail calls), 8 frames each, 512 bytes each. */
export const RUN_STACK_BYTES: number = 34 * 8 * 512;
export const RUN_BLOCK_BYTES: number = STACK_AT + RUN_STACK_BYTES;

/** Tail calls allowed in one run; the next one fails (MAX_TAIL_CALL_CNT). */
export const MAX_TAIL_CALL_CNT = 33;

/** What bpf_redirect and friends leave behind for whoever ran the program. */
export type Redirect = {
  kind: 'device' | 'map' | 'peer' | 'neigh' | 'socket';
  ifindex: number;
  flags: number;
  /** Map id and key, for `kind: 'map'`. */
  map: number;
  key: number;
  /** bpf_redirect_neigh: bytes of struct bpf_redir_neigh, empty for none. */
  neighbour: Uint8Array;
};

/** struct bpf_tunnel_key of the packet's tunnel metadata, and its options. */
export type Tunnel = {
  readonly key: Uint8Array;
  options: Uint8Array;
  /** For sending (set by the program), not received. */
  readonly tx: boolean;
  readonly ipv6: boolean;
  /** BPF_F_* of skb_set_tunnel_key. */
  readonly flags: number;
};

export type Callback = (fn: number, r1: number, r2: number, r3: number, r4: number) => number;

export class Run {
  readonly machine: Machine;
  /** Address of the run block. */
  readonly block: number;
  readonly slab: Slab;
  readonly dv: DataView;
  readonly u8: Uint8Array;
  /** The program that runs now (a tail call changes it). */
  program: MachineProgram | undefined = undefined;
  /** BPF_PROG_TYPE_* of it. */
  progType = 0;
  /** Set in checking mode: everything the program may touch. */
  regions: Regions | undefined = undefined;
  /** How the engine calls a callback of the program: `fn` is the subprogram number + 1. */
  callback: Callback = () => 0;
  /** Redirection asked for, or undefined. */
  redirect: Redirect | undefined = undefined;
  /** Tunnel metadata received with the packet or set for sending. */
  tunnel: Tunnel | undefined = undefined;
  /** Egress side: the packet leaves (clsact egress, cgroup egress, LWT xmit). */
  egress = false;
  /** The packet's checksum state: skb->ip_summed (0 none, 1 unnecessary, 2 complete, 3 partial). */
  ipSummed = 0;
  /** skb->csum, when complete. */
  csum = 0;
  /** Index of the device the program runs for (skb->dev). */
  ifindex = 0;
  /** Bounds that head and tail adjustments keep to; 0: those of the packet's slot. */
  headLimit = 0;
  tailLimit = 0;
  /** An outer header was pushed (skb->encapsulation). */
  encapsulated = false;
  /** The timer whose callback this run is. */
  timer: Timer | undefined = undefined;
  /** What the system call is to answer (bpf_set_retval): 0 or a negative errno. */
  retval = 0;
  /** What the attach point needs beside (sock_ops, sockopt, sk_lookup...); helpers of that kind know its shape. */
  attached: unknown = undefined;

  constructor(machine: Machine, block: number) {
    this.machine = machine;
    this.block = block;
    this.slab = machine.slab;
    this.dv = machine.slab.dv;
    this.u8 = machine.slab.u8;
    // Programs that read what they never wrote find no friendly zeros, and no other program's data.
    this.u8.fill(UNINITIALISED, this.stackBase, this.stackTop);
    this.clear();
  }

  /** As new. */
  clear(): void {
    this.program = undefined;
    this.progType = 0;
    this.regions = undefined;
    this.redirect = undefined;
    this.tunnel = undefined;
    this.egress = false;
    this.ipSummed = 0;
    this.csum = 0;
    this.encapsulated = false;
    this.ifindex = 0;
    this.headLimit = 0;
    this.tailLimit = 0;
    this.timer = undefined;
    this.retval = 0;
    this.attached = undefined;
    this.u8.fill(0, this.block, this.block + STACK_AT);
    this.dv.setInt32(this.block + RUN_PACKET, -1, true);
    this.dv.setUint32(this.block + RUN_FP, this.stackTop, true);
  }

  /** High word of argument `n` (1..5) of the call in progress, signed; only of arguments the helper declared wide. */
  hi(n: number): number {
    return this.dv.getInt32(this.block + RUN_ARG_HI + (n - 1) * 4, true);
  }
  setHi(n: number, word: number): void {
    this.dv.setInt32(this.block + RUN_ARG_HI + (n - 1) * 4, word, true);
  }
  /** High word of the result of a 'u64' helper. */
  retHi(): number {
    return this.dv.getInt32(this.block + RUN_RET_HI, true);
  }
  setRetHi(word: number): void {
    this.dv.setInt32(this.block + RUN_RET_HI, word, true);
  }
  /** Leaves a non-negative integer below 2^53 as a 64-bit result; returns its low word. */
  ret64(value: number): number {
    this.setRetHi(Math.floor(value / 0x1_0000_0000));
    return (value % 0x1_0000_0000) | 0;
  }
  /** Leaves a negative 32-bit number (an errno) as a 64-bit result. */
  retErr(value: number): number {
    this.setRetHi(value < 0 ? -1 : 0);
    return value;
  }
  /** Argument `n` as a 64-bit unsigned number (exact below 2^53), its low word given. */
  arg64(n: number, low: number): number {
    return (this.hi(n) >>> 0) * 0x1_0000_0000 + (low >>> 0);
  }

  /** Slab handle of the packet, -1 for none. */
  get packet(): number {
    return this.dv.getInt32(this.block + RUN_PACKET, true);
  }
  set packet(p: number) {
    this.dv.setInt32(this.block + RUN_PACKET, p, true);
  }
  /** Address of the context. */
  get ctx(): number {
    return this.dv.getUint32(this.block + RUN_CTX, true);
  }
  set ctx(address: number) {
    this.dv.setUint32(this.block + RUN_CTX, address, true);
  }
  get tailCalls(): number {
    return this.dv.getUint32(this.block + RUN_TAIL_CALLS, true);
  }
  set tailCalls(n: number) {
    this.dv.setUint32(this.block + RUN_TAIL_CALLS, n, true);
  }
  /** First byte of metadata in front of the data; equal to the packet's head when there is none. */
  get meta(): number {
    return this.dv.getUint32(this.block + RUN_META, true);
  }
  set meta(address: number) {
    this.dv.setUint32(this.block + RUN_META, address, true);
  }
  /** Frame pointer for a program entered now; one that calls lowers it for the callee. */
  get fp(): number {
    return this.dv.getUint32(this.block + RUN_FP, true);
  }
  set fp(address: number) {
    this.dv.setUint32(this.block + RUN_FP, address, true);
  }
  /** 16 bytes that helpers may use during one call. */
  get scratch(): number {
    return this.block + RUN_SCRATCH;
  }
  /** The stack area: `[stackBase, stackTop)`. */
  get stackBase(): number {
    return this.block + STACK_AT;
  }
  get stackTop(): number {
    return this.block + RUN_BLOCK_BYTES;
  }

  /** Checking mode: the program was handed `size` bytes at `address`. */
  grant(address: number, size: number, writable = true): void {
    this.regions?.grant(address, size, writable);
  }

  packetStart(): number {
    return this.packet < 0 ? 0 : this.meta;
  }
  packetEnd(): number {
    return this.packet < 0 ? 0 : this.slab.end(this.packet);
  }
}
