/**
 * A map at run time (Documentation/bpf/maps.rst): what programs do with it, by addresses in the one linear memory, and
 * what user space does with it (bpf(2)), by byte arrays. Every operation answers as the kernel does: 0 or a count, or a negative
 * errno; lookups from programs answer an address, 0 for none.
 */
import type { Slab } from '../../core/slab.ts';
import type { MapInfo, MapSpec } from '../program.ts';
import type { Grace } from './grace.ts';

/** What a program does. Keys and values are addresses; `cpu` is the one that runs. */
export type MapProgramOps = {
  /** bpf_map_lookup_elem: address of the value (of the inner map's descriptor for maps of maps), 0 for none. */
  lookup(keyAt: number): number;
  /** bpf_map_update_elem. */
  update(keyAt: number, valueAt: number, flags: number): number;
  /** bpf_map_delete_elem. */
  delete(keyAt: number): number;
  /** bpf_map_lookup_percpu_elem. */
  lookupPercpu(keyAt: number, cpu: number): number;
  /** bpf_map_push_elem, bpf_map_pop_elem, bpf_map_peek_elem (bloom filter: peekElem asks). */
  push(valueAt: number, flags: number): number;
  pop(valueAt: number): number;
  peekElem(valueAt: number): number;
  /** bpf_for_each_map_elem: calls `visit` until it returns other than 0; the number of elements visited. */
  forEach(visit: (keyAt: number, valueAt: number) => number): number;
};

/** What user space does, without the checks that all maps share (`syscall.ts` makes those). */
export type MapUserOps = {
  userLookup(key: Uint8Array, flags: number): Uint8Array | number;
  userUpdate(key: Uint8Array, value: Uint8Array, flags: number): number;
  userDelete(key: Uint8Array): number;
  /** The key after `key`; the first one for `undefined` or a key that is not there. -ENOENT: there is none. */
  userNextKey(key: Uint8Array | undefined): Uint8Array | number;
  /** BPF_MAP_LOOKUP_AND_DELETE_ELEM. */
  userTake(key: Uint8Array, flags: number): Uint8Array | number;
  /** Bytes of a value as user space sees it: all CPUs' for per-CPU maps. */
  readonly userValueSize: number;
};

/** A map. */
export type BpfMap = MapInfo &
  MapProgramOps &
  MapUserOps & {
    /** Index in the machine's maps. */
    readonly id: number;
    /** Address of the descriptor. */
    readonly address: number;
    /** Ring buffers only. */
    readonly ring?: Ring;
    /** Storage that belongs to objects (sockets, cgroups). */
    readonly storage?: Storage;
    /** Sockmap and sockhash: puts in the socket at this address (bpf_sock_map_update, bpf_sock_hash_update). */
    readonly setSocket?: (keyAt: number, sk: number, flags: number) => number;
    /** Maps of sockets: the one at this address has been closed. */
    readonly forgetSocket?: (sk: number) => void;
    /** The program or, for maps of maps, the map of this number is about to go away: no element names it any more. */
    readonly forget?: (id: number) => void;
    /** Stack traces: stores one, or finds the equal one; its id, or -errno (bpf_get_stackid). */
    readonly putStack?: (addresses: BigUint64Array, hash: number, flags: number) => number;
    /** No more writes from user space (BPF_MAP_FREEZE). */
    isFrozen(): boolean;
    freeze(): number;
    /** Gives all memory back. */
    destroy(): void;
  };

/** BPF_MAP_TYPE_RINGBUF and USER_RINGBUF. */
export type Ring = {
  /** bpf_ringbuf_reserve: address of the sample, 0 when there is no room. */
  reserve(size: number, flags: number): number;
  /** bpf_ringbuf_submit, bpf_ringbuf_discard, of what `reserve` returned. */
  submit(sampleAt: number, flags: number): void;
  discard(sampleAt: number, flags: number): void;
  /** bpf_ringbuf_output: 0 or -errno. */
  output(dataAt: number, size: number, flags: number): number;
  /** bpf_ringbuf_query. */
  query(what: number): number;
  /**
   * Consumer in user space: hands each committed record that is not discarded to `visit` (the bytes are valid during the
   * call), until there is none or `visit` returns a number other than 0. The number of records handed over.
   */
  consume(visit: (record: Uint8Array) => number | undefined): number;
  /** Called when the kernel would wake a waiting consumer. */
  onWake: (() => void) | undefined;
  /** Producer in user space (USER_RINGBUF): adds a record; 0 or -errno. */
  produce(record: Uint8Array): number;
  /** bpf_user_ringbuf_drain: calls `visit` with each record's address and size until it returns 1; the number, or -errno. */
  drain(visit: (at: number, size: number) => number, flags: number): number;
};

/** Local storage (sk_storage, cgrp_storage, cgroup_storage): a value for each owner, by the owner's number. */
export type Storage = {
  /** Address of the owner's value; with `create`, made (from the bytes at `initialAt`, 0: zero) when there is none. */
  get(owner: number, create: boolean, initialAt: number): number;
  /** 0 or -ENOENT. */
  delete(owner: number): number;
  /** The owner is gone. */
  forget(owner: number): void;
};

/** What a map needs of the machine that it lives in. */
export type MapHost = {
  readonly slab: Slab;
  readonly grace: Grace;
  /** Possible CPUs. */
  readonly cpus: number;
  /** The CPU that runs. */
  cpu(): number;
  /** A random 32-bit number. */
  random(): number;
  /** A map by id: values of maps of maps, in user space's eyes. */
  map(id: number): BpfMap | undefined;
  /** 0 when this map may hold the program of this id, else -errno (-EBADF: no such program, -EINVAL: of another kind). */
  program?(id: number, map: MapSpec): number;
  /** True when there is a device of this index (devmaps). */
  device?(ifindex: number): boolean;
  /** Address of the socket behind a handle (sockmap, sockhash, reuseport_sockarray, xskmap), or -errno (-EBADF: none). */
  socket?(handle: number, map: MapSpec): number;
  /** 64-bit cookie of the socket at this address. */
  socketCookie?(sk: number): bigint;
  /** 0 when there is such a perf event or cgroup, else -errno. */
  handle?(handle: number, map: MapSpec): number;
  /** The value at this address goes away: timers in it are to be cancelled. */
  dropFields?(map: MapSpec, valueAt: number): void;
};
