/** What a run changed, as lines of text: bytes of the packet, fields of the context. */
import { SKB } from '../../bpf/runtime/ctx.ts';
import * as uapi from '../../wire/uapi/bpf.ts';

const ROW = 16;
const LO = 1;
const hexRow = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex').replace(/(..)/g, '$1 ').trimEnd();

/** The rows of 16 bytes that differ, before and after; how the length changed. */
export function changedBytes(before: Uint8Array, after: Uint8Array, progType: number): string[] {
  const l2 =
    progType === uapi.BPF_PROG_TYPE_XDP ||
    progType === uapi.BPF_PROG_TYPE_SCHED_CLS ||
    progType === uapi.BPF_PROG_TYPE_SCHED_ACT;
  // Programs that start behind the Ethernet header never see it: it comes back as zeros.
  const start = l2 ? before : Uint8Array.from(before, (byte, i) => (i < 14 ? 0 : byte));
  const out: string[] = [];
  if (after.length !== start.length) out.push(`  length ${start.length} -> ${after.length}`);
  for (let at = 0; at < Math.max(start.length, after.length); at += ROW) {
    const a = start.subarray(at, at + ROW);
    const b = after.subarray(at, at + ROW);
    if (Buffer.compare(a, b) === 0) continue;
    const place = at.toString(16).padStart(4, '0');
    if (a.length > 0) out.push(`  - ${place}  ${hexRow(a)}`);
    if (b.length > 0) out.push(`  + ${place}  ${hexRow(b)}`);
  }
  return out;
}

const FIELDS: readonly (readonly [string, number])[] = [
  ['mark', SKB.mark],
  ['queue_mapping', SKB.queueMapping],
  ['priority', SKB.priority],
  ['cb[0]', SKB.cb],
  ['cb[1]', SKB.cb + 4],
  ['cb[2]', SKB.cb + 8],
  ['cb[3]', SKB.cb + 12],
  ['cb[4]', SKB.cb + 16],
];

/** Fields of the context that the program left other than zero. */
export function changedContext(progType: number, ctx: Uint8Array): string[] {
  if (progType === uapi.BPF_PROG_TYPE_XDP) return [];
  const dv = new DataView(ctx.buffer, ctx.byteOffset, ctx.length);
  const fields = FIELDS.flatMap(([name, at]) => {
    const value = dv.getUint32(at, true);
    return value === 0 ? [] : [`${name} ${value}`];
  });
  const tstamp = dv.getBigUint64(SKB.tstamp, true);
  if (tstamp !== 0n) fields.push(`tstamp ${tstamp}`);
  if (dv.getUint32(SKB.ifindex, true) !== LO) fields.push(`ifindex ${dv.getUint32(SKB.ifindex, true)}`);
  return fields.length === 0 ? [] : [`  context: ${fields.join(', ')}`];
}
