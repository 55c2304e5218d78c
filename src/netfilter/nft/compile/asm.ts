/**
 * Writes eBPF instructions with labels (RFC 9669). Only what chains need.
 */

import type { Insn } from '../../../bpf/insn.ts';
import * as B from '../../../bpf/insn.ts';

export type Label = { at: number; readonly from: number[] };

/** Signed comparison with an immediate of 32 bits: what fits. */
const INT_MAX = 0x7fff_ffffn;
const MAX_JUMP = 32_767;

export class Asm {
  readonly insns: Insn[] = [];
  readonly #labels: Label[] = [];

  label(): Label {
    const label = { at: -1, from: [] };
    this.#labels.push(label);
    return label;
  }

  place(label: Label): void {
    label.at = this.insns.length;
  }

  op(code: number, dst: number, src = 0, off = 0, imm = 0): this {
    this.insns.push({ code, dst, src, off, imm });
    return this;
  }

  /** dst = src, 64 bits. */
  move(dst: number, src: number): this {
    return this.op(B.BPF_ALU64 | B.BPF_MOV | B.BPF_X, dst, src);
  }

  /** dst = a number, zero-extended from 32 bits when it is positive. */
  set(dst: number, value: bigint): this {
    if (value >= -0x8000_0000n && value <= INT_MAX) return this.op(B.BPF_ALU64 | B.BPF_MOV, dst, 0, 0, Number(value));
    if (value >= 0n && value <= 0xffff_ffffn) return this.op(B.BPF_ALU | B.BPF_MOV, dst, 0, 0, Number(value) | 0);
    const word = BigInt.asUintN(64, value);
    this.op(B.BPF_LD | B.BPF_DW | B.BPF_IMM, dst, 0, 0, Number(BigInt.asIntN(32, word)));
    return this.op(0, 0, 0, 0, Number(BigInt.asIntN(32, word >> 32n)));
  }

  /** dst = address of byte `offset` of the value of map `index`. */
  mapValue(dst: number, index: number, offset: number): this {
    this.op(B.BPF_LD | B.BPF_DW | B.BPF_IMM, dst, B.BPF_PSEUDO_MAP_VALUE, 0, index);
    return this.op(0, 0, 0, 0, offset);
  }

  map(dst: number, index: number): this {
    this.op(B.BPF_LD | B.BPF_DW | B.BPF_IMM, dst, B.BPF_PSEUDO_MAP_FD, 0, index);
    return this.op(0, 0, 0, 0, 0);
  }

  load(size: number, dst: number, base: number, off: number): this {
    return this.op(B.BPF_LDX | B.BPF_MEM | sizeBits(size), dst, base, off);
  }

  store(size: number, base: number, off: number, src: number): this {
    return this.op(B.BPF_STX | B.BPF_MEM | sizeBits(size), base, src, off);
  }

  storeImm(size: number, base: number, off: number, imm: number): this {
    return this.op(B.BPF_ST | B.BPF_MEM | sizeBits(size), base, 0, off, imm | 0);
  }

  /** An arithmetic instruction on 64 bits with an immediate. */
  alu(op: number, dst: number, imm: number): this {
    return this.op(B.BPF_ALU64 | op, dst, 0, 0, imm);
  }
  aluReg(op: number, dst: number, src: number): this {
    return this.op(B.BPF_ALU64 | op | B.BPF_X, dst, src);
  }
  /** An arithmetic instruction on 32 bits, which clears the upper half. */
  alu32(op: number, dst: number, imm: number): this {
    return this.op(B.BPF_ALU | op, dst, 0, 0, imm | 0);
  }
  alu32Reg(op: number, dst: number, src: number): this {
    return this.op(B.BPF_ALU | op | B.BPF_X, dst, src);
  }

  /** Turns the low `bits` of dst from the packet's order into a number. */
  bigEndian(dst: number, bits: number): this {
    return this.op(B.BPF_ALU | B.BPF_END | B.BPF_X, dst, 0, 0, bits);
  }

  /** *(u64 *)(base + off) += src */
  atomicAdd(base: number, off: number, src: number): this {
    return this.op(B.BPF_STX | B.BPF_ATOMIC | B.BPF_DW, base, src, off, B.BPF_ADD);
  }

  goto(label: Label): this {
    label.from.push(this.insns.length);
    return this.op(B.BPF_JMP | B.BPF_JA, 0);
  }

  /**
   * Jumps when `dst op value`, unsigned unless the operation says otherwise; the register holds a zero-extended value of at
   * most `size` bytes. `temp` takes a number of 64 bits.
   */
  jump(op: number, dst: number, value: bigint, size: number, label: Label, temp: number): this {
    if (size <= 4) {
      label.from.push(this.insns.length);
      return this.op(B.BPF_JMP32 | op, dst, 0, 0, Number(BigInt.asIntN(32, value)));
    }
    if (value <= INT_MAX) {
      label.from.push(this.insns.length);
      return this.op(B.BPF_JMP | op, dst, 0, 0, Number(value));
    }
    this.set(temp, value);
    return this.jumpReg(op, dst, temp, label);
  }

  jumpReg(op: number, dst: number, src: number, label: Label): this {
    label.from.push(this.insns.length);
    return this.op(B.BPF_JMP | op | B.BPF_X, dst, src);
  }

  /** Jumps on a comparison of 64 bits with a small immediate. */
  jumpImm(op: number, dst: number, imm: number, label: Label): this {
    label.from.push(this.insns.length);
    return this.op(B.BPF_JMP | op, dst, 0, 0, imm);
  }

  helper(id: number): this {
    return this.op(B.BPF_JMP | B.BPF_CALL, 0, 0, 0, id);
  }
  kfunc(id: number): this {
    return this.op(B.BPF_JMP | B.BPF_CALL, 0, B.BPF_PSEUDO_KFUNC_CALL, 0, id);
  }
  exit(): this {
    return this.op(B.BPF_JMP | B.BPF_EXIT, 0);
  }

  /** The program, jumps resolved; undefined when one is too far. */
  finish(): Insn[] | undefined {
    for (const label of this.#labels) {
      for (const from of label.from) {
        const off = label.at - from - 1;
        if (off > MAX_JUMP) return undefined;
        this.insns[from] = { ...this.insns[from], off };
      }
    }
    return this.insns;
  }
}

function sizeBits(size: number): number {
  return size === 8 ? B.BPF_DW : size === 4 ? B.BPF_W : size === 2 ? B.BPF_H : B.BPF_B;
}
