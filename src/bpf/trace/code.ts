/** Instructions as they are generated: jumps go to labels, and are resolved at the end. */
import * as b from '../insn.ts';

export type Label = { insn: number };

const SIZE: Readonly<Record<number, number>> = { 1: b.BPF_B, 2: b.BPF_H, 4: b.BPF_W, 8: b.BPF_DW };

export class Code {
  readonly #insns: b.Insn[] = [];
  readonly #jumps: { readonly at: number; readonly label: Label }[] = [];

  emit(code: number, dst = 0, src = 0, off = 0, imm = 0): void {
    this.#insns.push({ code, dst, src, off, imm });
  }

  move(dst: number, src: number): void {
    if (dst !== src) this.emit(b.BPF_ALU64 | b.BPF_MOV | b.BPF_X, dst, src);
  }

  /** Any 64-bit constant. */
  constant(dst: number, value: bigint): void {
    const low = Number(BigInt.asIntN(32, value));
    if (BigInt.asUintN(64, BigInt(low)) === BigInt.asUintN(64, value))
      return this.emit(b.BPF_ALU64 | b.BPF_MOV, dst, 0, 0, low);
    this.emit(b.BPF_LD | b.BPF_DW, dst, 0, 0, low);
    this.emit(0, 0, 0, 0, Number(BigInt.asIntN(32, value >> 32n)));
  }

  map(dst: number, index: number): void {
    this.emit(b.BPF_LD | b.BPF_DW, dst, b.BPF_PSEUDO_MAP_FD, 0, index);
    this.emit(0);
  }

  /** `dst op= src`, 64 bits. */
  alu(op: number, dst: number, src: number): void {
    this.emit(b.BPF_ALU64 | op | b.BPF_X, dst, src);
  }
  aluImm(op: number, dst: number, imm: number): void {
    this.emit(b.BPF_ALU64 | op, dst, 0, 0, imm);
  }

  load(dst: number, src: number, off: number, size: number): void {
    this.emit(b.BPF_LDX | b.BPF_MEM | SIZE[size], dst, src, off);
  }
  store(dst: number, off: number, src: number, size = 8): void {
    this.emit(b.BPF_STX | b.BPF_MEM | SIZE[size], dst, src, off);
  }
  storeImm(dst: number, off: number, imm: number, size = 8): void {
    this.emit(b.BPF_ST | b.BPF_MEM | SIZE[size], dst, 0, off, imm);
  }

  call(helper: number): void {
    this.emit(b.BPF_JMP | b.BPF_CALL, 0, 0, 0, helper);
  }
  exit(): void {
    this.emit(b.BPF_JMP | b.BPF_EXIT);
  }

  label(): Label {
    return { insn: -1 };
  }
  place(label: Label): void {
    label.insn = this.#insns.length;
  }
  goto(label: Label): void {
    this.#jump(label);
    this.emit(b.BPF_JMP | b.BPF_JA);
  }
  /** Jumps when `dst op imm`. */
  when(op: number, dst: number, imm: number, label: Label): void {
    this.#jump(label);
    this.emit(b.BPF_JMP | op, dst, 0, 0, imm);
  }
  /** Jumps when `dst op src`. */
  whenReg(op: number, dst: number, src: number, label: Label): void {
    this.#jump(label);
    this.emit(b.BPF_JMP | op | b.BPF_X, dst, src);
  }
  #jump(label: Label): void {
    this.#jumps.push({ at: this.#insns.length, label });
  }

  get length(): number {
    return this.#insns.length;
  }

  finish(): b.Insn[] {
    const out = [...this.#insns];
    for (const { at, label } of this.#jumps) out[at] = { ...out[at], off: label.insn - at - 1 };
    return out;
  }
}
