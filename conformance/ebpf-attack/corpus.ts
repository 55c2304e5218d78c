/** Recorded programs to change (not those whose loops a change makes endless: they take seconds each), and recorded frames; nothing where the data is not there. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromHex, type ProgramCase, readLines } from '../ebpf-case.ts';
import { OWN_FRAMES } from './generate.ts';

const FILES = [
  'packet',
  'range',
  'rand_prog',
  'helper_sem',
  'mem_access',

  'ptr_alu',
  'map_helper',
  'helper_args',
];

export function corpus(folder: string): ProgramCase[] {
  return FILES.map((f) => join(folder, `programs/${f}.jsonl.gz`))
    .filter((path) => existsSync(path))
    .flatMap((path) => readLines<ProgramCase>(path))
    .filter((c) => !/^(repeat|seq):/.test(c.insns) && c.insns.length < 16 * 400 && c.tail === undefined);
}

export function frames(folder: string): readonly Uint8Array[] {
  const path = join(folder, 'packets.json');
  if (!existsSync(path)) return OWN_FRAMES;
  const all = JSON.parse(readFileSync(path, 'utf8')) as { hex: string }[];
  return all.slice(0, 16).map((p) => fromHex(p.hex));
}
