/**
 * Suite `ebpf/conformance`: the vectors of bpf_conformance. Each is a function that gets some memory and answers in r0; it
 * is called by a main program that copies the memory to its stack and stores the answer in a map, as it was recorded.
 */
import { join } from 'node:path';
import { decodeInsns, encodeInsns, type Insn } from '../src/bpf/insn.ts';
import { testRun } from '../src/bpf/runtime/test-run.ts';
import type { RunMode } from '../src/bpf/system.ts';
import { verify } from '../src/bpf/verifier/verify.ts';
import { KernelError } from '../src/core/errno.ts';
import { BPF_PROG_TYPE_XDP } from '../src/wire/uapi/bpf.ts';
import { fromHex, makeMaps, newSystem, programSpec, readLines } from './ebpf-case.ts';
import { ENGINES } from './ebpf-programs.ts';
import type { CaseResult } from './suite.ts';

type Vector = {
  readonly file: string;
  readonly negative: boolean;
  readonly insns?: string;
  readonly mem?: string;
  readonly asm_error?: string;
  readonly kernel?: { readonly r: string; readonly r0?: string; readonly errno?: number; readonly msg?: string };
};

const insn = (code: number, dst: number, src: number, off: number, imm: number): Insn => ({ code, dst, src, off, imm });

/** Instructions of the caller when there is no memory; the vectors' messages count from here. */
const CALLER = 11;

/** The vector behind a main program that calls it. */
function wrap(hex: string, mem: Uint8Array): Uint8Array {
  const size = (mem.length + 7) & ~7;
  const bytes = new Uint8Array(size);
  bytes.set(mem);
  const dv = new DataView(bytes.buffer);
  const head: Insn[] = [];
  for (let at = 0; at < size; at += 8) {
    head.push(insn(0x18, 0, 0, 0, dv.getInt32(at, true)), insn(0, 0, 0, 0, dv.getInt32(at + 4, true)));
    head.push(insn(0x7b, 10, 0, at - size, 0));
  }
  if (size === 0) head.push(insn(0xb7, 1, 0, 0, 0));
  else head.push(insn(0xbf, 1, 10, 0, 0), insn(0x07, 1, 0, 0, -size));
  head.push(insn(0xb7, 2, 0, 0, mem.length));
  const tail: Insn[] = [
    insn(0x18, 1, 2, 0, 0),
    insn(0, 0, 0, 0, 0),
    insn(0x7b, 1, 0, 0, 0),
    insn(0xb7, 0, 0, 0, 0),
    insn(0x95, 0, 0, 0, 0),
  ];
  for (let n = head.length + 1 + tail.length; n < CALLER; n++) tail.unshift(insn(0xb7, 6, 0, 0, 0));
  head.push(insn(0x85, 0, 1, 0, tail.length));
  return encodeInsns([...head, ...tail, ...decodeInsns(fromHex(hex))]);
}

function specOf(vector: Vector) {
  const c = { id: vector.file, cat: '', type: BPF_PROG_TYPE_XDP, insns: '', root: 'A' as const };
  return programSpec({ ...c, maps: [{ t: 2, k: 4, v: 8, n: 1 }] }, wrap(vector.insns ?? '', fromHex(vector.mem ?? '')));
}

function execute(vector: Vector, run: RunMode): string {
  const system = newSystem();
  const spec = specOf(vector);
  const maps = makeMaps(system, spec.maps);
  if (typeof maps === 'number') return `map: errno ${maps}`;
  try {
    testRun(system.machine, system.loadProgram(spec, maps, { run }).program, new Uint8Array(64));
  } catch (error) {
    if (error instanceof KernelError) return `refused: ${error.message}`;
    return (error as Error).message;
  }
  const value = maps[0].userLookup(new Uint8Array(4), 0);
  if (typeof value === 'number') return `map: ${value}`;
  return `0x${new DataView(value.buffer, value.byteOffset).getBigUint64(0, true).toString(16)}`;
}

export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  for (const vector of readLines<Vector>(join(root, 'conformance.jsonl.gz'))) {
    // Texts that no assembler takes have nothing to load.
    if (vector.kernel === undefined || vector.insns === undefined) continue;
    if (filter !== undefined && !filter.test(vector.file)) continue;
    const accepted = vector.kernel.r === 'accept';
    const spec = specOf(vector);
    const maps = makeMaps(newSystem(), spec.maps);
    const verdict = verify({ ...spec, maps: typeof maps === 'number' ? [] : maps });
    const expected = accepted ? 'accepted' : `${vector.kernel.errno} ${vector.kernel.msg}`;
    const got = verdict.ok ? 'accepted' : `${verdict.errno} ${verdict.message}`;
    const same = verdict.ok === accepted;
    yield {
      id: vector.file,
      ok: same,
      group: 'verdicts',
      falseAccept: verdict.ok && !accepted,
      ...(!same && { expected, got }),
    };
    if (!accepted) {
      const equal = got === expected;
      yield {
        id: `${vector.file} message`,
        ok: equal,
        group: 'messages',
        informal: true,
        ...(!equal && { expected, got }),
      };
      continue;
    }
    for (const engine of ENGINES) {
      const r0 = execute(vector, engine);
      const ok = r0 === vector.kernel.r0;
      yield { id: `${vector.file} ${engine}`, ok, group: engine, ...(!ok && { expected: vector.kernel.r0, got: r0 }) };
    }
  }
}
