/** Which opcodes Linux 6.18 knows in a program handed to bpf() (RFC 9669; LD_ABS and LD_IND are the packet group). */
import {
  BPF_ABS,
  BPF_ALU,
  BPF_ALU64,
  BPF_ARSH,
  BPF_ATOMIC,
  BPF_CALL,
  BPF_DW,
  BPF_END,
  BPF_EXIT,
  BPF_IMM,
  BPF_IND,
  BPF_JA,
  BPF_JCOND,
  BPF_JEQ,
  BPF_JMP,
  BPF_JMP32,
  BPF_JSLE,
  BPF_K,
  BPF_LD,
  BPF_LDX,
  BPF_MEM,
  BPF_MEMSX,
  BPF_NEG,
  BPF_ST,
  BPF_STX,
  BPF_X,
} from '../insn.ts';

function knownAlu(code: number): boolean {
  const op = code & 0xf0;
  const wide = (code & 7) === BPF_ALU64;
  if (op === BPF_NEG) return (code & BPF_X) === BPF_K;
  // The source bit of an END says which order; BPF_ALU64 has the unconditional swap alone.
  if (op === BPF_END) return !wide || (code & BPF_X) === BPF_K;
  return op <= BPF_ARSH;
}

function knownJump(code: number): boolean {
  const op = code & 0xf0;
  const narrow = (code & 7) === BPF_JMP32;
  switch (op) {
    case BPF_JA:
      return (code & BPF_X) === BPF_K;
    case BPF_CALL:
    case BPF_EXIT:
    case BPF_JCOND:
      return !narrow && (code & BPF_X) === BPF_K;
    default:
      return op >= BPF_JEQ && op <= BPF_JSLE;
  }
}

/** True when some instruction has this opcode. */
export function isKnownOpcode(code: number): boolean {
  const mode = code & 0xe0;
  const doubleWord = (code & 0x18) === BPF_DW;
  switch (code & 7) {
    case BPF_ALU:
    case BPF_ALU64:
      return knownAlu(code);
    case BPF_JMP:
    case BPF_JMP32:
      return knownJump(code);
    case BPF_LD:
      if (mode === BPF_IMM) return doubleWord;
      return (mode === BPF_ABS || mode === BPF_IND) && !doubleWord;
    case BPF_LDX:
      return mode === BPF_MEM || (mode === BPF_MEMSX && !doubleWord);
    case BPF_ST:
      return mode === BPF_MEM;
    case BPF_STX:
      return mode === BPF_MEM || mode === BPF_ATOMIC;
    default:
      return false;
  }
}
