/**
 * A case of `ebpf/programs` (the data's README says what the fields mean): read, made into a program and its maps, run as
 * the kernel ran it, and compared.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { decodeInsns } from '../src/bpf/insn.ts';
import type { BpfMap } from '../src/bpf/maps/map.ts';
import type { BtfFunc, BtfView, MapRecord, MapSpec, ProgramSpec } from '../src/bpf/program.ts';
import { type Environment, Machine, type MachineProgram } from '../src/bpf/runtime/machine.ts';
import { type TestRunResult, testRun } from '../src/bpf/runtime/test-run.ts';
import { BpfSystem, type RunMode } from '../src/bpf/system.ts';
import { type Mode, type Verdict, verify } from '../src/bpf/verifier/verify.ts';
import { KernelError } from '../src/core/errno.ts';
import { Slab } from '../src/core/slab.ts';

export type CaseMap = {
  readonly t: number;
  readonly k?: number;
  readonly v?: number;
  readonly n?: number;
  readonly f?: number;
  readonly inner?: CaseMap;
  readonly btf?: 'lock' | 'timer' | 'plain';
  readonly init?: readonly (readonly [string, string])[];
  readonly frozen?: boolean;
};

export type RecordedRun = {
  readonly p: number;
  readonly ret?: number;
  readonly out?: string;
  readonly ctx?: string;
  readonly err?: number;
};

/** 'A', or errno and the last line of the log. */
export type RecordedVerdict = 'A' | readonly [number, string];

export type ProgramCase = {
  readonly id: string;
  readonly cat: string;
  readonly type: number;
  readonly eat?: number;
  readonly flags?: number;
  readonly license?: string;
  readonly insns: string;
  readonly maps?: readonly CaseMap[];
  readonly func_info?: readonly number[];
  readonly tail?: readonly (readonly [number, number, string])[];
  readonly map_errno?: number;
  readonly root: RecordedVerdict;
  readonly netadmin?: RecordedVerdict;
  readonly unpriv?: RecordedVerdict;
  readonly processed?: number;
  readonly nondeterministic?: unknown;
  readonly runs?: readonly RecordedRun[];
  readonly maps_after?: Readonly<Record<string, readonly (readonly [string, string])[]>>;
};

/** The lines of a `.jsonl.gz`. */
export function readLines<T>(path: string): T[] {
  const text = gunzipSync(readFileSync(path)).toString();
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}

export const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));
export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Hex, or `repeat:HEX*N;HEX...` (`seq:` alike). */
export function expandInsns(text: string): Uint8Array {
  const parts = text.replace(/^(repeat|seq):/, '').split(';');
  return fromHex(
    parts
      .map((part) => {
        const [hex, times] = part.replace(/^(repeat|seq):/, '').split('*');
        return hex.repeat(times === undefined ? 1 : Number(times));
      })
      .join(''),
  );
}

const RECORDS: Readonly<Record<string, MapRecord>> = { lock: { spinLock: 8 }, timer: { timer: 8 }, plain: {} };

export function mapSpec(map: CaseMap, name: string): MapSpec {
  return {
    name,
    type: map.t,
    keySize: map.k ?? 0,
    valueSize: map.v ?? 0,
    maxEntries: map.n ?? 0,
    flags: map.f ?? 0,
    ...(map.btf !== undefined && { record: RECORDS[map.btf], btfKeyType: 1, btfValueType: 1 }),
    ...(map.inner !== undefined && { inner: mapSpec(map.inner, `${name}_inner`) }),
    ...(map.init !== undefined && { initial: map.init.map(([k, v]) => [fromHex(k), fromHex(v)] as const) }),
    ...(map.frozen === true && { frozen: true }),
  };
}

/** BTF of a case with func_info: every function is static and returns int. */
const STATIC_FUNCTIONS: BtfView = {
  func: (): BtfFunc => ({ name: '', linkage: 'static', returns: 'int', params: [] }),
};

export function programSpec(c: ProgramCase, insns: Uint8Array = expandInsns(c.insns)): ProgramSpec {
  return {
    name: c.id,
    section: '',
    type: c.type,
    expectedAttachType: c.eat ?? 0,
    flags: c.flags ?? 0,
    license: c.license ?? 'GPL',
    insns: decodeInsns(insns),
    maps: (c.maps ?? []).map((m, i) => mapSpec(m, `map${i}`)),
    ...(c.func_info !== undefined && {
      btf: STATIC_FUNCTIONS,
      funcInfo: c.func_info.map((insn, i) => ({ insn, typeId: i + 1 })),
    }),
  };
}

/** A host of its own for a case, with a clock and randomness that are always the same. */
export function newSystem(heapBytes: number = 16 << 20): BpfSystem {
  let ns = 1_000_000_000;
  let seed = 1;
  const env: Environment = {
    now: () => (ns += 1000),
    random: () => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return seed;
    },
  };
  return new BpfSystem(new Machine({ slab: new Slab({ slots: 8, largeSlots: 4, heapBytes }), env }));
}

/** Makes the program's maps, with their first contents; a number is the errno it failed with. */
export function makeMaps(system: BpfSystem, specs: readonly MapSpec[]): BpfMap[] | number {
  const maps: BpfMap[] = [];
  for (const spec of specs) {
    try {
      const map = system.createMap(spec);
      maps.push(map);
      if (spec.inner !== undefined) putInner(system, map, spec.inner);
    } catch (error) {
      if (error instanceof KernelError) return error.errno;
      throw error;
    }
  }
  return maps;
}

/** An outer map holds one inner map, under the key of zeros. */
function putInner(system: BpfSystem, outer: BpfMap, spec: MapSpec): void {
  const error = outer.userUpdate(new Uint8Array(outer.keySize), u32(system.createMap(spec).id), 0);
  if (error !== 0) throw new Error(`the inner map cannot be put in: ${error}`);
}

/** Verdicts of the case by netloom's verifier, over maps that exist; a number is the errno of a map. */
export function verdicts(c: ProgramCase): (mode: Mode) => Verdict | number {
  const spec = programSpec(c);
  const maps = spec.maps.length === 0 ? [] : makeMaps(newSystem(), spec.maps);
  return (mode) => (typeof maps === 'number' ? maps : verify({ ...spec, maps }, { mode }));
}

/** Verifies the case as root and runs the recorded packets; what differs, '' when nothing does. */
export function runCase(c: ProgramCase, packets: readonly Uint8Array[], run: RunMode): string {
  const system = newSystem();
  const spec = programSpec(c);
  const maps = makeMaps(system, spec.maps);
  if (typeof maps === 'number') return `a map cannot be made: errno ${maps}`;
  let main: MachineProgram;
  try {
    main = system.loadProgram(spec, maps, { run }).program;
    for (const [index, slot, hex] of c.tail ?? []) {
      const { id } = system.loadProgram(programSpec(c, fromHex(hex)), maps, { run });
      const error = maps[index].userUpdate(u32(slot), u32(id), 0);
      if (error !== 0) return `tail call slot: ${error}`;
    }
  } catch (error) {
    if (error instanceof KernelError) return `not run: ${error.message}`;
    throw error;
  }
  const nothing = system.loadProgram({ ...programSpec(c, fromHex(NOTHING)), maps: [] }, []).program;
  for (const [i, recorded] of (c.runs ?? []).entries()) {
    const loose = c.nondeterministic !== undefined;
    const difference = compareRun(system.machine, main, nothing, packets[recorded.p], recorded, loose);
    if (difference !== '') return `run ${i} (packet ${recorded.p}): ${difference}`;
  }
  return c.nondeterministic === undefined ? mapDifference(c, maps) : '';
}

/** One run against the record; `nothing` is a program that does nothing, `loose` leaves out what chance decides. */
export function compareRun(
  machine: Machine,
  main: MachineProgram,
  nothing: MachineProgram,
  packet: Uint8Array,
  run: Omit<RecordedRun, 'p'>,
  loose = false,
): string {
  let got: TestRunResult;
  try {
    got = testRun(machine, main, packet);
  } catch (error) {
    return (error as Error).message;
  }
  if ('errno' in got) return got.errno === run.err ? '' : `errno ${got.errno}, recorded ${run.err ?? `ret ${run.ret}`}`;
  if (run.err !== undefined) return `ret ${got.ret}, recorded errno ${run.err}`;
  if (loose) return '';
  if (got.ret !== run.ret) return `ret ${got.ret}, recorded ${run.ret}`;
  const plain = testRun(machine, nothing, packet);
  if ('errno' in plain) return `an empty program gives errno ${plain.errno}`;
  const out = run.out ?? toHex(plain.data);
  if (toHex(got.data) !== out) return `packet\n${toHex(got.data)}, recorded\n${out}`;
  const ctx = run.ctx ?? toHex(plain.ctx);
  if (toHex(got.ctx) !== ctx) return `context ${words(got.ctx)}, recorded ${words(fromHex(ctx))}`;
  return '';
}

const u32 = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
};

/** `r0 = 1; exit`: what a context and packet look like that no program touched. */
export const NOTHING = 'b7000000010000009500000000000000';

/** The words of a context that are not zero, by offset. */
function words(bytes: Uint8Array): string {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const out: string[] = [];
  for (let at = 0; at + 4 <= bytes.length; at += 4)
    if (dv.getUint32(at, true) !== 0) out.push(`${at}:${dv.getUint32(at, true)}`);
  return `{${out.join(' ')}}`;
}

/** All entries of a map as user space reads them, sorted; zero slots of arrays left out. */
export function dump(map: BpfMap): [string, string][] {
  const entries: [string, string][] = [];
  let key = map.userNextKey(undefined);
  for (let n = 0; typeof key !== 'number' && n < 100_000; n++) {
    const value = map.userLookup(key, 0);
    if (typeof value !== 'number') entries.push([toHex(key), toHex(value)]);
    key = map.userNextKey(key);
  }
  const arrays = map.type === 2 || map.type === 6;
  return entries.filter(([, v]) => !arrays || !/^0*$/.test(v)).sort((a, b) => (a[0] < b[0] ? -1 : 1));
}

function mapDifference(c: ProgramCase, maps: readonly BpfMap[]): string {
  for (const [index, recorded] of Object.entries(c.maps_after ?? {})) {
    const got = JSON.stringify(dump(maps[Number(index)]));
    const expected = JSON.stringify(recorded);
    if (got !== expected) return `map ${index} holds\n${got}, recorded\n${expected}`;
  }
  return '';
}
