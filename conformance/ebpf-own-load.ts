/** `ebpf/own`, first step: an object's programs and maps as libbpf hands them to the kernel. */
import { type BpfObject, loadObject } from '../src/bpf/elf/index.ts';
import {
  BPF_CALL,
  BPF_JMP,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_VALUE,
  decodeInsns,
  encodeInsns,
  type Insn,
  isLdImm64,
} from '../src/bpf/insn.ts';

export type OwnMap = {
  readonly name: string;
  readonly type: number;
  readonly key: number;
  readonly val: number;
  readonly max: number;
  readonly flags: number;
};

export type OwnProgram = {
  readonly prog: string;
  readonly sec: string;
  readonly type: number;
  readonly eat: number;
  readonly flags: number;
  readonly maps: readonly OwnMap[];
  readonly insns: string;
};

/** Loads an object of the suite. */
export const loadOwn = (name: string, bytes: Uint8Array): BpfObject => loadObject(bytes, { name });

/** What differs between a recorded program and the object as loaded; empty when nothing does. */
export function ownDifferences(object: BpfObject, wanted: OwnProgram): string[] {
  const program = object.programs.find((p) => p.name === wanted.prog);
  if (program === undefined) return [`program ${wanted.prog} is missing`];
  const out: string[] = [];
  const check = (what: string, got: unknown, want: unknown): void => {
    if (JSON.stringify(got) !== JSON.stringify(want))
      out.push(`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(want)}`);
  };
  check('section', program.section, wanted.sec);
  check('type', [program.type, program.expectedAttachType], [wanted.type, wanted.eat]);
  check('flags', program.flags, wanted.flags);
  check(
    'maps',
    program.maps.map((m) => [m.name, m.type, m.keySize, m.valueSize, m.maxEntries, m.flags]),
    wanted.maps.map((m) => [m.name, m.type, m.key, m.val, m.max, m.flags]),
  );
  check('instructions', comparable(program.insns, program.insns), comparable(decode(wanted.insns), program.insns));
  return out;
}

const decode = (hex: string): Insn[] => decodeInsns(new Uint8Array(Buffer.from(hex, 'hex')));

const refersToMap = (insn: Insn | undefined): boolean =>
  insn !== undefined && isLdImm64(insn) && (insn.src === BPF_PSEUDO_MAP_FD || insn.src === BPF_PSEUDO_MAP_VALUE);

/**
 * Calls of kernel functions carry numbers of the recording kernel. Programs that the kernel refused still have file
 * descriptors for maps: numbers in the same order, from where the first one tells.
 */
function comparable(insns: readonly Insn[], ours: readonly Insn[]): string {
  const first = insns.findIndex(refersToMap);
  const shift = first < 0 || !refersToMap(ours[first]) ? 0 : insns[first].imm - ours[first].imm;
  const steady = insns.map((insn) => {
    if (insn.code === (BPF_JMP | BPF_CALL) && insn.src === BPF_PSEUDO_KFUNC_CALL) return { ...insn, imm: 0 };
    return refersToMap(insn) ? { ...insn, imm: insn.imm - shift } : insn;
  });
  return Buffer.from(encodeInsns(steady)).toString('hex');
}
