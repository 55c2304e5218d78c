/**
 * Runs a classic program as Linux does: a load outside the packet, and a division by an X of zero, end it with 0; shifts
 * by X count modulo 32. The reference for the translation to eBPF, and what `pcap-filter` programs are tried with.
 */
import {
  BPF_ABS,
  BPF_ADD,
  BPF_ALU,
  BPF_AND,
  BPF_B,
  BPF_DIV,
  BPF_H,
  BPF_IMM,
  BPF_IND,
  BPF_JA,
  BPF_JEQ,
  BPF_JGE,
  BPF_JGT,
  BPF_JMP,
  BPF_LD,
  BPF_LDX,
  BPF_LSH,
  BPF_MOD,
  BPF_MUL,
  BPF_NEG,
  BPF_OR,
  BPF_RSH,
  BPF_ST,
  BPF_STX,
  BPF_SUB,
  BPF_X,
} from '../insn.ts';
import { findAttribute, findNestedAttribute } from './attributes.ts';
import {
  BPF_A,
  BPF_LEN,
  BPF_MEM,
  BPF_MISC,
  BPF_MSH,
  BPF_RET,
  type ClassicInsn,
  SKF_AD_ALU_XOR_X,
  SKF_AD_CPU,
  SKF_AD_HATYPE,
  SKF_AD_IFINDEX,
  SKF_AD_MARK,
  SKF_AD_NLATTR,
  SKF_AD_NLATTR_NEST,
  SKF_AD_OFF,
  SKF_AD_PAY_OFFSET,
  SKF_AD_PKTTYPE,
  SKF_AD_PROTOCOL,
  SKF_AD_QUEUE,
  SKF_AD_RANDOM,
  SKF_AD_RXHASH,
  SKF_AD_VLAN_TAG,
  SKF_AD_VLAN_TAG_PRESENT,
  SKF_AD_VLAN_TPID,
  SKF_LL_OFF,
  SKF_NET_OFF,
} from './classic.ts';

/** The packet and what is known beside its bytes. All but the bytes may be left out, and are then 0. */
export type ClassicPacket = {
  readonly bytes: Uint8Array;
  /** Length, when `bytes` are only the captured part. */
  readonly length?: number;
  /** Ethernet type, as a number. */
  readonly protocol?: number;
  /** PACKET_HOST, PACKET_OUTGOING... */
  readonly packetType?: number;
  /** Left out: the packet came by no device, and a program that asks for one ends. */
  readonly device?: { readonly ifindex: number; readonly type: number };
  readonly mark?: number;
  readonly queue?: number;
  readonly hash?: number;
  readonly cpu?: number;
  readonly vlan?: { readonly tci: number; readonly protocol: number };
  /** Where the payload of the transport protocol begins. */
  readonly payloadOffset?: number;
  readonly random?: () => number;
  /** Where the network and link headers begin, relative to the first byte; no link header when undefined. */
  readonly networkOffset?: number;
  readonly linkOffset?: number;
};

const ENDED = -1;

/** The packet's bytes at an offset that may be negative, as an unsigned number; ENDED outside. */
function load(packet: ClassicPacket, at: number, size: number): number {
  let from = at;
  if (at < 0) {
    if (at >= SKF_NET_OFF - 2 ** 32) from = at - (SKF_NET_OFF - 2 ** 32) + (packet.networkOffset ?? 0);
    else if (at >= SKF_LL_OFF - 2 ** 32 && packet.linkOffset !== undefined)
      from = at - (SKF_LL_OFF - 2 ** 32) + packet.linkOffset;
    else return ENDED;
  }
  const { bytes } = packet;
  if (from < 0 || from + size > bytes.length) return ENDED;
  let value = 0;
  for (let i = 0; i < size; i++) value = value * 256 + bytes[from + i];
  return value;
}

/** A fact beside the packet; undefined when asking for it ends the program with A. */
function ancillary(packet: ClassicPacket, what: number, a: number, x: number): number | undefined {
  switch (what) {
    case SKF_AD_PROTOCOL:
      return packet.protocol ?? 0;
    case SKF_AD_PKTTYPE:
      return packet.packetType ?? 0;
    case SKF_AD_IFINDEX:
      return packet.device?.ifindex;
    case SKF_AD_HATYPE:
      return packet.device?.type;
    case SKF_AD_NLATTR:
      return findAttribute(packet.bytes, a, x);
    case SKF_AD_NLATTR_NEST:
      return findNestedAttribute(packet.bytes, a, x);
    case SKF_AD_MARK:
      return packet.mark ?? 0;
    case SKF_AD_QUEUE:
      return packet.queue ?? 0;
    case SKF_AD_RXHASH:
      return packet.hash ?? 0;
    case SKF_AD_CPU:
      return packet.cpu ?? 0;
    case SKF_AD_ALU_XOR_X:
      return (a ^ x) >>> 0;
    case SKF_AD_VLAN_TAG:
      return packet.vlan?.tci ?? 0;
    case SKF_AD_VLAN_TAG_PRESENT:
      return packet.vlan === undefined ? 0 : 1;
    case SKF_AD_VLAN_TPID:
      return packet.vlan?.protocol ?? 0;
    case SKF_AD_PAY_OFFSET:
      return packet.payloadOffset ?? 0;
    case SKF_AD_RANDOM:
      return packet.random?.() ?? 0;
    default:
      return 0;
  }
}

function arithmetic(op: number, a: number, operand: number): number {
  switch (op) {
    case BPF_ADD:
      return (a + operand) >>> 0;
    case BPF_SUB:
      return (a - operand) >>> 0;
    case BPF_MUL:
      return Math.imul(a, operand) >>> 0;
    case BPF_DIV:
      return operand === 0 ? ENDED : Math.floor(a / operand);
    case BPF_MOD:
      return operand === 0 ? ENDED : a % operand;
    case BPF_OR:
      return (a | operand) >>> 0;
    case BPF_AND:
      return (a & operand) >>> 0;
    case BPF_LSH:
      return (a << operand) >>> 0;
    case BPF_RSH:
      return a >>> operand;
    case BPF_NEG:
      return -a >>> 0;
    default:
      return (a ^ operand) >>> 0;
  }
}

function holds(op: number, a: number, operand: number): boolean {
  switch (op) {
    case BPF_JEQ:
      return a === operand;
    case BPF_JGT:
      return a > operand;
    case BPF_JGE:
      return a >= operand;
    default:
      return (a & operand) !== 0;
  }
}

/** The packet's size of a load. */
const bytesOf = (code: number): number => ((code & 0x18) === BPF_B ? 1 : (code & 0x18) === BPF_H ? 2 : 4);

/**
 * The program's return value: bytes of the packet to keep, 0 to drop it. The program must be one that `checkClassic`
 * takes; programs only jump forwards, so every run ends.
 */
export function runClassic(insns: readonly ClassicInsn[], packet: ClassicPacket): number {
  const length = packet.length ?? packet.bytes.length;
  const memory = new Uint32Array(16);
  let a = 0;
  let x = 0;
  for (let pc = 0; pc < insns.length; pc++) {
    const { code, jt, jf, k } = insns[pc];
    const mode = code & 0xe0;
    switch (code & 7) {
      case BPF_LD:
        if (mode === BPF_ABS && k >= SKF_AD_OFF) {
          const fact = ancillary(packet, k - SKF_AD_OFF, a, x);
          if (fact === undefined) return a;
          a = fact >>> 0;
        } else if (mode === BPF_ABS || mode === BPF_IND) {
          a = load(packet, (mode === BPF_ABS ? k : x + k) | 0, bytesOf(code));
          if (a === ENDED) return 0;
        } else a = mode === BPF_IMM ? k : mode === BPF_MEM ? memory[k] : length;
        break;
      case BPF_LDX:
        if (mode === BPF_MSH) {
          const byte = load(packet, k | 0, 1);
          if (byte === ENDED) return 0;
          x = (byte & 15) << 2;
        } else x = mode === BPF_IMM ? k : mode === BPF_MEM ? memory[k] : mode === BPF_LEN ? length : 0;
        break;
      case BPF_ST:
        memory[k] = a;
        break;
      case BPF_STX:
        memory[k] = x;
        break;
      case BPF_ALU:
        a = arithmetic(code & 0xf0, a, (code & BPF_X) !== 0 ? x : k);
        if (a === ENDED) return 0;
        break;
      case BPF_JMP:
        if ((code & 0xf0) === BPF_JA) pc += k;
        else pc += holds(code & 0xf0, a, (code & BPF_X) !== 0 ? x : k) ? jt : jf;
        break;
      case BPF_RET:
        return (code & BPF_A) !== 0 ? a : k;
      default:
        if (code === BPF_MISC) x = a;
        else a = x;
    }
  }
  return 0;
}
