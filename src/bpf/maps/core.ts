/**
 * What every map type builds on: its descriptor, the memory, and how values are copied when they hold fields that only
 * helpers may touch (spin locks, timers: Documentation/bpf/graph_ds_impl.rst calls them special fields).
 */
import { ENOMEM, KernelError } from '../../core/errno.ts';
import type { Heap } from '../../core/heap.ts';
import type { MapRecord, MapSpec } from '../program.ts';
import { ENOTSUPP } from './create.ts';
import * as layout from './layout.ts';
import type { MapHost, MapProgramOps, MapUserOps } from './map.ts';

export type MapOps = MapProgramOps & MapUserOps;

/** Bytes of the kernel's special fields. */
const LOCK = 4;
const TIMER = 16;
const KPTR = 8;

/** One map's memory and shape. */
export class MapCore {
  readonly spec: MapSpec;
  readonly host: MapHost;
  readonly heap: Heap;
  readonly dv: DataView;
  readonly u8: Uint8Array;
  /** The whole memory by the word. */
  readonly u32: Uint32Array;
  /** Address of the descriptor. */
  readonly address: number;
  /** Room for one key from user space. */
  readonly keyAt: number;
  readonly #owned: number[] = [];
  /** Parts of a value that are copied, [from, to), and those that are not. */
  readonly #copied: readonly (readonly [number, number])[];
  readonly #special: readonly (readonly [number, number])[];

  constructor(spec: MapSpec, host: MapHost, id: number) {
    this.spec = spec;
    this.host = host;
    this.heap = host.slab.heap;
    this.dv = host.slab.dv;
    this.u8 = host.slab.u8;
    this.u32 = new Uint32Array(host.slab.memory.buffer);
    this.#special = specialFields(spec.record);
    this.#copied = between(this.#special, spec.valueSize);
    this.address = this.alloc(layout.MAP_DESCRIPTOR_BYTES + layout.round8(spec.keySize), 16);
    this.keyAt = this.address + layout.MAP_DESCRIPTOR_BYTES;
    this.#fillStruct(id);
    this.set(layout.MAP_ID, id);
    this.set(layout.MAP_TYPE, spec.type);
    this.set(layout.MAP_KEY_SIZE, spec.keySize);
    this.set(layout.MAP_VALUE_SIZE, spec.valueSize);
    this.set(layout.MAP_MAX_ENTRIES, spec.maxEntries);
    this.set(layout.MAP_FLAGS, spec.flags);
  }

  /** `struct bpf_map`, for programs that read it through a map pointer. */
  #fillStruct(id: number): void {
    const { spec, dv, address } = this;
    const at = layout.BPF_MAP_STRUCT;
    dv.setUint32(address + at.mapType, spec.type, true);
    dv.setUint32(address + at.keySize, spec.keySize, true);
    dv.setUint32(address + at.valueSize, spec.valueSize, true);
    dv.setUint32(address + at.maxEntries, spec.maxEntries, true);
    dv.setBigUint64(address + at.mapExtra, spec.mapExtra ?? 0n, true);
    dv.setUint32(address + at.mapFlags, spec.flags, true);
    dv.setUint32(address + at.id, id, true);
    const name = new TextEncoder().encode(spec.name).subarray(0, 15);
    this.u8.set(name, address + at.name);
  }

  /** Sets a word of the descriptor. */
  set(word: number, value: number): void {
    this.u32[(this.address >>> 2) + word] = value;
  }

  /** Zeroed memory that goes away with the map, or the error ENOMEM. */
  alloc(bytes: number, align = 8): number {
    const at = this.heap.alloc(bytes, align);
    if (at === 0) throw new KernelError(ENOMEM, `a map does not fit: ${bytes} bytes wanted, see SlabOptions.heapBytes`);
    this.#owned.push(at);
    return at;
  }

  /** Gives back what `alloc` gave. */
  dispose(): void {
    for (const at of this.#owned.splice(0)) this.heap.free(at);
  }

  /** True when the value has a bpf_spin_lock: BPF_F_LOCK may be used. */
  get hasLock(): boolean {
    return this.spec.record?.spinLock !== undefined;
  }

  /** Copies a value in memory, except for its special fields. */
  copyValue(to: number, from: number): void {
    if (this.#special.length === 0) copyBytes(this, to, from, this.spec.valueSize);
    else for (const [start, end] of this.#copied) this.u8.copyWithin(to + start, from + start, from + end);
  }

  /** A value that did not exist before: special fields begin as zeros. */
  initValue(to: number, from: number): void {
    if (this.#special.length > 0) for (const [start, end] of this.#special) this.u8.fill(0, to + start, to + end);
    this.copyValue(to, from);
  }

  /** The value goes away: timers in it end. */
  dropFields(valueAt: number): void {
    if (this.#special.length > 0) this.host.dropFields?.(this.spec, valueAt);
  }

  /** A value as user space reads it: special fields are zeros. */
  readValue(at: number): Uint8Array {
    const bytes = this.u8.slice(at, at + this.spec.valueSize);
    for (const [start, end] of this.#special) bytes.fill(0, start, end);
    return bytes;
  }

  /** Writes a value from user space. */
  writeValue(at: number, bytes: Uint8Array): void {
    for (const [start, end] of this.#copied) this.u8.set(bytes.subarray(start, end), at + start);
  }

  /** A key from user space, in memory. */
  key(bytes: Uint8Array): number {
    this.u8.set(bytes.subarray(0, this.spec.keySize), this.keyAt);
    return this.keyAt;
  }

  /** Calls `use` with an address of the bytes; -ENOMEM when there is no room. */
  withBytes(bytes: Uint8Array, use: (at: number) => number): number {
    const at = this.heap.alloc(bytes.length);
    if (at === 0) return -ENOMEM;
    this.u8.set(bytes, at);
    const result = use(at);
    this.heap.free(at);
    return result;
  }

  /** Each CPU's value one after the other, as user space sees a per-CPU map. */
  readPerCpu(at: number, cpuStride: number): Uint8Array {
    const size = layout.round8(this.spec.valueSize);
    const bytes = new Uint8Array(size * this.host.cpus);
    for (let cpu = 0; cpu < this.host.cpus; cpu++)
      bytes.set(this.u8.subarray(at + cpu * cpuStride, at + cpu * cpuStride + this.spec.valueSize), cpu * size);
    return bytes;
  }

  writePerCpu(at: number, cpuStride: number, bytes: Uint8Array): void {
    const size = layout.round8(this.spec.valueSize);
    for (let cpu = 0; cpu < this.host.cpus; cpu++)
      this.u8.set(bytes.subarray(cpu * size, cpu * size + this.spec.valueSize), at + cpu * cpuStride);
  }
}

/** Bytes that are worth a call of `copyWithin`. */
const LONG = 64;

/** Copies bytes within the memory; short ones by the word where both places allow it. */
export function copyBytes(core: MapCore, to: number, from: number, size: number): void {
  const { u8, u32 } = core;
  if (size > LONG) {
    u8.copyWithin(to, from, from + size);
    return;
  }
  let i = 0;
  if (((to | from) & 3) === 0) for (; i + 4 <= size; i += 4) u32[(to + i) >>> 2] = u32[(from + i) >>> 2];
  for (; i < size; i++) u8[to + i] = u8[from + i];
}

function specialFields(record: MapRecord | undefined): (readonly [number, number])[] {
  if (record === undefined) return [];
  const fields: [number, number][] = [];
  if (record.spinLock !== undefined) fields.push([record.spinLock, record.spinLock + LOCK]);
  if (record.timer !== undefined) fields.push([record.timer, record.timer + TIMER]);
  if (record.workqueue !== undefined) fields.push([record.workqueue, record.workqueue + TIMER]);
  for (const at of record.kptrs ?? []) fields.push([at, at + KPTR]);
  return fields.sort((a, b) => a[0] - b[0]);
}

function between(fields: readonly (readonly [number, number])[], size: number): (readonly [number, number])[] {
  const parts: [number, number][] = [];
  let from = 0;
  for (const [start, end] of fields) {
    if (start > from) parts.push([from, start]);
    from = end;
  }
  if (from < size) parts.push([from, size]);
  return parts;
}

/** Operations that a type does not have. */
export const refusing: MapOps = {
  lookup: () => 0,
  update: () => -ENOTSUPP,
  delete: () => -ENOTSUPP,
  lookupPercpu: () => 0,
  push: () => -ENOTSUPP,
  pop: () => -ENOTSUPP,
  peekElem: () => -ENOTSUPP,
  forEach: () => -ENOTSUPP,
  userLookup: () => -ENOTSUPP,
  userUpdate: () => -ENOTSUPP,
  userDelete: () => -ENOTSUPP,
  userNextKey: () => -ENOTSUPP,
  userTake: () => -ENOTSUPP,
  userValueSize: 0,
};
