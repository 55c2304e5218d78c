/** Accesses to memory of known size: map values, packets, buffers. A variable offset must fit with its extremes. */
import { EACCES, EINVAL } from '../../core/errno.ts';
import {
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY_PROG,
  BPF_MAP_TYPE_DEVMAP,
  BPF_MAP_TYPE_DEVMAP_HASH,
} from '../../wire/uapi/bpf.ts';
import type { MapInfo, MapRecord } from '../program.ts';
import type { Verifier } from './env.ts';
import {
  baseType,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_PACKET,
  PTR_TO_PACKET_END,
  PTR_TO_PACKET_META,
  type Reg,
  S64_MIN,
} from './reg.ts';

/** No variable offset may reach this. */
export const BPF_MAX_VAR_OFF: bigint = 1n << 29n;

/** `reg.smin` and `reg.umax` may be any 64-bit number; numbers beyond 2^53 lose nothing that matters here. */
function inside(off: bigint, size: number, total: number, zeroOk: boolean): boolean {
  return off >= 0n && (size > 0 || (size === 0 && zeroOk)) && off + BigInt(size) <= BigInt(total);
}

function outside(v: Verifier, regno: number, off: bigint, size: number, total: number): void {
  const reg = v.regs[regno];
  switch (baseType(reg.type)) {
    case PTR_TO_MAP_KEY:
      return v.note(`invalid access to map key, key_size=${total} off=${off} size=${size}`);
    case PTR_TO_MAP_VALUE:
      return v.note(`invalid access to map value, value_size=${total} off=${off} size=${size}`);
    case PTR_TO_PACKET:
    case PTR_TO_PACKET_META:
    case PTR_TO_PACKET_END:
      return v.note(`invalid access to packet, off=${off} size=${size}, R${regno}(id=${reg.id},off=${off},r=${total})`);
    default:
      return v.note(`invalid access to memory, mem_size=${total} off=${off} size=${size}`);
  }
}

const NEGATIVE = 'min value is negative, either use unsigned index or do a if (index >=0) check.';

/** The whole of [reg + off, reg + off + size) lies in [0, total), whatever the variable offset is. */
export function checkMemRegion(
  v: Verifier,
  regno: number,
  off: number,
  size: number,
  total: number,
  zeroOk: boolean,
): void {
  const reg = v.regs[regno];
  const at = BigInt(off);
  const low = reg.smin + at;
  if (reg.smin < 0n && (reg.smin === S64_MIN || low !== BigInt.asIntN(32, low) || low < 0n))
    v.reject(EACCES, `R${regno} ${NEGATIVE}`);
  if (!inside(low, size, total, zeroOk)) {
    outside(v, regno, low, size, total);
    v.reject(EACCES, `R${regno} min value is outside of the allowed memory range`);
  }
  if (reg.umax >= BPF_MAX_VAR_OFF)
    v.reject(EACCES, `R${regno} unbounded memory access, make sure to bounds check any such access`);
  const high = reg.umax + at;
  if (!inside(high, size, total, zeroOk)) {
    outside(v, regno, high, size, total);
    v.reject(EACCES, `R${regno} max value is outside of the allowed memory range`);
  }
}

/** A packet access, against the range that comparisons with data_end have shown to be there. */
export function checkPacketAccess(v: Verifier, regno: number, off: number, size: number, zeroOk: boolean): void {
  const reg = v.regs[regno];
  if (reg.smin < 0n) v.reject(EACCES, `R${regno} ${NEGATIVE}`);
  if (reg.range < 0) v.reject(EINVAL, `R${regno} offset is outside of the packet`);
  if (!inside(BigInt(off), size, reg.range, zeroOk)) {
    outside(v, regno, BigInt(off), size, reg.range);
    v.reject(EACCES, `R${regno} offset is outside of the packet`);
  }
}

/** Fields that only helpers may touch: name, offset, bytes. */
export function specialFields(record: MapRecord | undefined): (readonly [name: string, off: number, size: number])[] {
  if (record === undefined) return [];
  const fields: (readonly [string, number, number])[] = [];
  if (record.spinLock !== undefined) fields.push(['bpf_spin_lock', record.spinLock, 4]);
  if (record.timer !== undefined) fields.push(['bpf_timer', record.timer, 16]);
  if (record.workqueue !== undefined) fields.push(['bpf_wq', record.workqueue, 16]);
  for (const off of record.kptrs ?? []) fields.push(['kptr', off, 8]);
  return fields;
}

/** An access to a map's value, by an instruction or by a helper. */
export function checkMapAccess(
  v: Verifier,
  regno: number,
  off: number,
  size: number,
  zeroOk: boolean,
  source: 'direct' | 'helper',
): void {
  const reg = v.regs[regno];
  const map = reg.map as MapInfo;
  checkMemRegion(v, regno, off, size, map.valueSize, zeroOk);
  if (map.record === undefined) return;
  const low = reg.smin + BigInt(off);
  const high = reg.umax + BigInt(off + size);
  for (const [name, at, length] of specialFields(map.record)) {
    if (!(low < BigInt(at + length) && BigInt(at) < high)) continue;
    if (name === 'kptr')
      v.reject(
        EACCES,
        source === 'helper'
          ? 'kptr cannot be accessed indirectly by helper'
          : 'netloom does not support kptr fields that are accessed directly',
      );
    v.reject(EACCES, `${name} cannot be accessed directly by load/store`);
  }
}

/** Flags of a map, with those that its type brings with it: programs may not write to device maps. */
export function programFlags(map: MapInfo): number {
  const device = map.type === BPF_MAP_TYPE_DEVMAP || map.type === BPF_MAP_TYPE_DEVMAP_HASH;
  return device ? map.flags | BPF_F_RDONLY_PROG : map.flags;
}

/** Read-only and write-only maps. */
export function checkMapAccessType(v: Verifier, reg: Reg, off: number, size: number, access: 'read' | 'write'): void {
  const map = reg.map as MapInfo;
  const forbidden = access === 'write' ? BPF_F_RDONLY_PROG : BPF_F_WRONLY_PROG;
  if ((programFlags(map) & forbidden) === 0) return;
  const what = access === 'write' ? 'write into' : 'read from';
  v.reject(EACCES, `${what} map forbidden, value_size=${map.valueSize} off=${off} size=${size}`);
}
