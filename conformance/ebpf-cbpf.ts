/**
 * Suite `ebpf/cbpf`: classic programs. What attaching one to a socket returned, and how many bytes of each packet it let
 * through on an AF_UNIX socket (no device, no headers below the packet's first byte): by the classic evaluator, and
 * translated to eBPF, interpreted and compiled.
 */
import { join } from 'node:path';
import {
  type ClassicInsn,
  type ClassicPacket,
  checkClassic,
  runClassic,
  translateClassic,
} from '../src/bpf/cbpf/index.ts';
import { fillSkb, SKB_SIZE } from '../src/bpf/runtime/ctx.ts';
import type { Machine, MachineProgram } from '../src/bpf/runtime/machine.ts';
import type { BpfSystem, RunMode } from '../src/bpf/system.ts';
import { BPF_PROG_TYPE_SOCKET_FILTER } from '../src/wire/uapi/bpf.ts';
import { newSystem, readLines } from './ebpf-case.ts';
import { ENGINES, readPackets } from './ebpf-programs.ts';
import type { CaseResult } from './suite.ts';

type Row = {
  readonly id: string;
  readonly insns: readonly (readonly [code: number, jt: number, jf: number, k: number])[];
  readonly errno: number;
  readonly accepted_len?: readonly (readonly [packet: number, bytes: number])[];
};

/** Runs a packet through something; what it returns are the bytes to keep. */
type Filter = (packet: ClassicPacket) => number;

/** A translated program on a machine, as a socket without a device would run it. */
function onMachine(machine: Machine, program: MachineProgram): Filter {
  return ({ bytes }) => {
    const { slab } = machine;
    const run = machine.acquire();
    const ctx = machine.heap.alloc(SKB_SIZE);
    const slot = slab.alloc(bytes.length);
    run.ctx = ctx;
    run.packet = slot;
    run.progType = BPF_PROG_TYPE_SOCKET_FILTER;
    slab.u8.set(bytes, slab.head(slot));
    slab.setLen(slot, bytes.length);
    slab.setNetwork(slot, slab.head(slot));
    fillSkb(run);
    const result = program.enter(run) >>> 0;
    slab.free(slot);
    machine.heap.free(ctx);
    machine.release(run);
    return result;
  };
}

/** The first packet that a filter treats otherwise than recorded, '' when there is none. */
function difference(filter: Filter, row: Row, packets: readonly Uint8Array[]): string {
  for (const [packet, expected] of row.accepted_len ?? []) {
    const bytes = packets[packet];
    const got = Math.min(filter({ bytes }), bytes.length);
    if (got !== expected) return `packet ${packet}: ${expected} bytes expected, ${got} let through`;
  }
  return '';
}

function translated(system: BpfSystem, insns: readonly ClassicInsn[], mode: RunMode): Filter | string {
  const translation = translateClassic(insns);
  if (!translation.ok) return translation.message;
  const spec = {
    name: 'classic',
    section: '',
    type: BPF_PROG_TYPE_SOCKET_FILTER,
    expectedAttachType: 0,
    flags: 0,
    license: 'GPL',
    insns: translation.insns,
    maps: [],
  };
  return onMachine(system.machine, system.loadProgram(spec, [], { run: mode }).program);
}

function* judge(row: Row, packets: readonly Uint8Array[]): Iterable<CaseResult> {
  const { id } = row;
  const insns = row.insns.map(([code, jt, jf, k]): ClassicInsn => ({ code, jt, jf, k }));
  const errno = checkClassic(insns);
  if (errno !== row.errno) {
    const falseAccept = errno === 0;
    yield { id, ok: false, falseAccept, expected: `errno ${row.errno}`, got: `errno ${errno}`, group: 'errno' };
    return;
  }
  yield { id, ok: true, group: 'errno' };
  if (row.accepted_len === undefined) return;
  const result = (name: string, reason: string): CaseResult => ({
    id: `${id} ${name}`,
    ok: reason === '',
    group: name,
    ...(reason !== '' && { reason }),
  });
  yield result(
    'classic',
    difference((packet) => runClassic(insns, packet), row, packets),
  );
  for (const mode of ENGINES) {
    let reason: string;
    try {
      const filter = translated(newSystem(), insns, mode);
      reason = typeof filter === 'string' ? filter : difference(filter, row, packets);
    } catch (error) {
      reason = (error as Error).message;
    }
    // A fact that no program can learn.
    if (reason.startsWith('netloom does not support')) yield { ...result(mode, reason), informal: true };
    else yield result(mode, reason);
  }
}

export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  const packets = readPackets(join(root, '../packets.json'));
  for (const row of readLines<Row>(`${root}.jsonl.gz`))
    if (filter === undefined || filter.test(row.id)) yield* judge(row, packets);
}
