/** The structure of xt match `bpf` revision 1 (linux/netfilter: xt_bpf.h). */
import { array, bytes, type Codec, nested, pointer, struct, u8, u16, u32 } from './struct.ts';

export type BpfInstruction = { code: number; jt: number; jf: number; k: number };

export type Bpf = {
  mode: number;
  length: number;
  fd: number;
  /** A union: 64 instructions, or the path of a pinned program. */
  program: Uint8Array;
  filter: bigint;
};

export const BPF_MODE_BYTECODE = 0;
export const BPF_MODE_FD_PINNED = 1;
export const BPF_MODE_FD_ELF = 2;
export const BPF_MAX_INSTRUCTIONS = 64;

export const bpf: Codec<Bpf> = struct<Bpf>({
  mode: u16,
  length: u16,
  fd: u32,
  program: bytes(512, 4),
  filter: pointer,
});

const instruction = nested<BpfInstruction>({ code: u16, jt: u8, jf: u8, k: u32 });
const instructions = array(instruction, BPF_MAX_INSTRUCTIONS);

/** The instructions in a `program`. */
export function readProgram(program: Uint8Array, count: number): BpfInstruction[] {
  return instructions.get(new DataView(program.buffer, program.byteOffset, program.byteLength), 0).slice(0, count);
}

/** Writes instructions into a `program`. */
export function writeProgram(program: Uint8Array, list: readonly BpfInstruction[]): void {
  instructions.set(new DataView(program.buffer, program.byteOffset, program.byteLength), 0, [...list]);
}
