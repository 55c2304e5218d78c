/**
 * What the verifier refuses in an instruction by its fields alone, in Linux 6.18's words and order. The kernel looks at
 * instructions several times before it walks a program, and again at each one when a path reaches it:
 *
 *     findSubprogs     targets of calls and callbacks                            (whole program)
 *     checkJumps       targets of jumps, ends of subprograms                     (whole program)
 *     checkEncodings   loads, LD_IMM64 and what they name, unknown opcodes       (whole program)
 *     checkWalked      reserved fields, register numbers, constants              (an instruction on a path)
 *
 * so of two mistakes in a program the one found by the earlier pass is reported. RFC 9669 has the encodings.
 */
import { E2BIG, EBADF, EINVAL, EPERM } from '../../core/errno.ts';
import { BPF_MAP_TYPE_ARENA, BPF_MAP_TYPE_ARRAY } from '../../wire/uapi/bpf.ts';
import {
  BPF_CALL,
  BPF_EXIT,
  BPF_JA,
  BPF_JMP,
  BPF_JMP32,
  BPF_LDX,
  BPF_MEM,
  BPF_MEMSX,
  BPF_PSEUDO_BTF_ID,
  BPF_PSEUDO_CALL,
  BPF_PSEUDO_FUNC,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_IDX,
  BPF_PSEUDO_MAP_IDX_VALUE,
  BPF_PSEUDO_MAP_VALUE,
  type Insn,
  isLdImm64,
} from '../insn.ts';
import type { MapSpec } from '../program.ts';
import { isKnownOpcode } from './opcodes.ts';

/** Why an instruction is refused. */
export type InsnError = { readonly errno: number; readonly message: string };

export const refuse = (message: string, errno: number = EINVAL): InsnError => ({ errno, message });

/** A process has its standard streams open: file descriptors up to here are no maps but exist. */
const STDERR = 2;
const MAX_SUBPROGS = 256;
const MAX_USED_MAPS = 64;
/** Offsets into objects stay below this (BPF_MAX_VAR_OFF). */
const MAX_VAR_OFF: number = 1 << 29;
/** ENOTSUPP, which the kernel returns where a map has no direct values to point at. */
const ENOTSUPP = 524;

/** What the passes before the walk need to know of a program beside its instructions. */
export type ProgramContext = {
  readonly maps: readonly MapSpec[];
  /** The loader has CAP_BPF. */
  readonly bpfCapable: boolean;
  /** Judges a call of a kernel function when it is first seen. */
  readonly checkKfunc?: (insn: Insn) => InsnError | undefined;
  /** Judges an LD_IMM64 that names a kernel variable by its BTF number. */
  readonly checkBtfId?: (pc: number) => InsnError | undefined;
};

export const isPseudoCall = (insn: Insn): boolean => insn.code === (BPF_JMP | BPF_CALL) && insn.src === BPF_PSEUDO_CALL;
export const isKfuncCall = (insn: Insn): boolean =>
  insn.code === (BPF_JMP | BPF_CALL) && insn.src === BPF_PSEUDO_KFUNC_CALL;
export const isPseudoFunc = (insn: Insn): boolean => isLdImm64(insn) && insn.src === BPF_PSEUDO_FUNC;

/** Instruction that a jump goes to; not for calls and exits. */
export const jumpTarget = (insn: Insn, pc: number): number =>
  pc + 1 + (insn.code === (BPF_JMP32 | BPF_JA) ? insn.imm : insn.off);

/** First instructions of the subprograms, ascending, the main program's 0 among them; or why a call goes nowhere. */
export function findSubprogs(insns: readonly Insn[], context: ProgramContext): number[] | InsnError {
  const starts = new Set([0]);
  for (let pc = 0; pc < insns.length; pc++) {
    const insn = insns[pc];
    const kfunc = isKfuncCall(insn);
    if (!kfunc && !isPseudoCall(insn) && !isPseudoFunc(insn)) continue;
    if (!context.bpfCapable) {
      return refuse('loading/calling other bpf or kernel functions are allowed for CAP_BPF and CAP_SYS_ADMIN', EPERM);
    }
    if (kfunc) {
      const error = context.checkKfunc?.(insn);
      if (error !== undefined) return error;
      continue;
    }
    const start = pc + insn.imm + 1;
    if (start < 0 || start >= insns.length) return refuse('call to invalid destination');
    starts.add(start);
    if (starts.size > MAX_SUBPROGS) return refuse('too many subprograms', E2BIG);
  }
  return [...starts].sort((a, b) => a - b);
}

/** Jumps stay inside their subprogram, and a subprogram ends in a jump or an exit. */
export function checkJumps(insns: readonly Insn[], starts: readonly number[]): InsnError | undefined {
  for (let s = 0; s < starts.length; s++) {
    const start = starts[s];
    const end = starts[s + 1] ?? insns.length;
    for (let pc = start; pc < end; pc++) {
      const insn = insns[pc];
      const { code } = insn;
      const op = code & 0xf0;
      const jumps = (code & 7) === BPF_JMP || (code & 7) === BPF_JMP32;
      if (jumps && op !== BPF_CALL && op !== BPF_EXIT) {
        const to = jumpTarget(insn, pc);
        if (to < start || to >= end) return refuse(`jump out of range from insn ${pc} to ${to}`);
      }
      if (
        pc === end - 1 &&
        code !== (BPF_JMP | BPF_EXIT) &&
        code !== (BPF_JMP | BPF_JA) &&
        code !== (BPF_JMP32 | BPF_JA)
      )
        return refuse('last insn is not an exit or jmp');
    }
  }
  return undefined;
}

function checkMapValue(map: MapSpec, off: number): InsnError | undefined {
  if (off >= MAX_VAR_OFF) return refuse(`direct value offset of ${off} is not allowed`);
  if (map.type !== BPF_MAP_TYPE_ARRAY && map.type !== BPF_MAP_TYPE_ARENA)
    return refuse('no direct value access support for this map type');
  const problem = `invalid access to map value pointer, value_size=${map.valueSize} off=${off}`;
  if (map.type === BPF_MAP_TYPE_ARENA) return off >= map.maxEntries * 4096 ? refuse(problem, 34) : undefined;
  if (map.maxEntries !== 1) return refuse(problem, ENOTSUPP);
  return off >= map.valueSize ? refuse(problem) : undefined;
}

function checkLdImm64(
  insns: readonly Insn[],
  pc: number,
  context: ProgramContext,
  used: Set<number>,
): InsnError | undefined {
  const insn = insns[pc];
  const next = insns[pc + 1];
  if (next === undefined || next.code !== 0 || next.dst !== 0 || next.src !== 0 || next.off !== 0)
    return refuse('invalid bpf_ld_imm64 insn');
  switch (insn.src) {
    case 0:
    case BPF_PSEUDO_FUNC:
      return undefined;
    case BPF_PSEUDO_BTF_ID:
      return context.checkBtfId?.(pc);
    case BPF_PSEUDO_MAP_VALUE:
      break;
    case BPF_PSEUDO_MAP_FD:
      if (next.imm !== 0) return refuse('unrecognized bpf_ld_imm64 insn');
      break;
    case BPF_PSEUDO_MAP_IDX:
    case BPF_PSEUDO_MAP_IDX_VALUE:
      // A loader puts map indices in as BPF_PSEUDO_MAP_FD; the kernel's second table is not there.
      if (insn.src === BPF_PSEUDO_MAP_IDX && next.imm !== 0) return refuse('unrecognized bpf_ld_imm64 insn');
      return refuse('fd_idx without fd_array is invalid', 71);
    default:
      return refuse('unrecognized bpf_ld_imm64 insn');
  }
  const map = context.maps[insn.imm];
  if (map === undefined)
    return refuse(
      `fd ${insn.imm} is not pointing to valid bpf_map`,
      insn.imm >= 0 && insn.imm <= STDERR ? EINVAL : EBADF,
    );
  used.add(insn.imm);
  if (used.size > MAX_USED_MAPS)
    return refuse(`The total number of maps per program has reached the limit of ${MAX_USED_MAPS}`, E2BIG);
  return insn.src === BPF_PSEUDO_MAP_VALUE ? checkMapValue(map, next.imm >>> 0) : undefined;
}

/** Loads, the maps and functions that LD_IMM64 names, and opcodes that do not exist. */
export function checkEncodings(insns: readonly Insn[], context: ProgramContext): InsnError | undefined {
  const used = new Set<number>();
  for (let pc = 0; pc < insns.length; pc++) {
    const insn = insns[pc];
    const mode = insn.code & 0xe0;
    if ((insn.code & 7) === BPF_LDX && ((mode !== BPF_MEM && mode !== BPF_MEMSX) || insn.imm !== 0))
      return refuse('BPF_LDX uses reserved fields');
    if (isLdImm64(insn)) {
      const error = checkLdImm64(insns, pc, context, used);
      if (error !== undefined) return error;
      pc++;
    } else if (!isKnownOpcode(insn.code)) {
      return refuse(`unknown opcode ${insn.code.toString(16).padStart(2, '0')}`);
    }
  }
  return undefined;
}

/** All passes before the control flow graph is looked at; the starts of the subprograms when nothing is wrong. */
export function checkProgramInsns(insns: readonly Insn[], context: ProgramContext): number[] | InsnError {
  const starts = findSubprogs(insns, context);
  if (!Array.isArray(starts)) return starts;
  return checkStructure(insns, starts, context) ?? starts;
}

/** Where jumps go, and how instructions are encoded, once the functions are known. */
export function checkStructure(
  insns: readonly Insn[],
  starts: readonly number[],
  context: ProgramContext,
): InsnError | undefined {
  return checkJumps(insns, starts) ?? checkEncodings(insns, context);
}
