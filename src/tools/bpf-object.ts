/** `obj FILE [sec SECTION | prog NAME]`: what `ip link set xdp`, `tc filter add bpf` and bpftool share. */
import { strerror } from '../core/errno.ts';
import type { BpfLoaded, BpfTransport } from '../wire/uapi/bpf-transport.ts';
import type { ToolIo } from './io.ts';

/** A text for the user. */
export class BpfToolError extends Error {}

export function needBpf(io: ToolIo): BpfTransport {
  if (io.bpf === undefined) throw new BpfToolError('this host has no bpf(2)');
  return io.bpf;
}

/** Loads one program of an object file. */
export function loadOne(
  io: ToolIo,
  file: string,
  wanted: { readonly section?: string; readonly program?: string; readonly defaultType?: number },
): BpfLoaded {
  const all = loadAll(io, file, wanted);
  if (all.length > 1)
    throw new BpfToolError(
      `${file} has several programs (${all.map((p) => p.name).join(', ')}): choose one with "sec SECTION" or "program NAME"`,
    );
  return all[0];
}

export function loadAll(
  io: ToolIo,
  file: string,
  wanted: { readonly section?: string; readonly program?: string; readonly defaultType?: number },
): readonly BpfLoaded[] {
  const bpf = needBpf(io);
  if (io.readBytes === undefined) throw new BpfToolError(`cannot read ${file}: no files here`);
  let bytes: Uint8Array;
  try {
    bytes = io.readBytes(file);
  } catch (error) {
    throw new BpfToolError(`cannot read ${file}: ${(error as Error).message}`);
  }
  try {
    return bpf.load(bytes, { file, ...wanted });
  } catch (error) {
    throw new BpfToolError((error as Error).message);
  }
}

/** Throws for a result below zero. */
export function check(result: number, what: string): void {
  if (result < 0) throw new BpfToolError(`${what}: ${strerror(-result)}`);
}
