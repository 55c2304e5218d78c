/**
 * Loads through pointers to kernel structs. Of `struct bpf_map` the fields are those of the kernel this verifier follows;
 * other structs are netloom's own (their BTF types have no layout in memory), so that only their fields by name exist.
 */
import { EACCES } from '../../core/errno.ts';
import {
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_CGROUP_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  BPF_MAP_TYPE_PROG_ARRAY,
} from '../../wire/uapi/bpf.ts';
import { checkStructAccess, STRUCTS } from '../btf-types/index.ts';
import type { MapInfo } from '../program.ts';
import type { Verifier } from './env.ts';
import { mapMemberProblem } from './map-struct.ts';
import { type Reg, SCALAR_VALUE } from './reg.ts';
import { tnumPair } from './text.ts';
import { setPointer, setUnknown } from './values.ts';

/** The C struct behind a map of a type. */
const MAP_STRUCTS: ReadonlyMap<number, string> = new Map([
  [BPF_MAP_TYPE_ARRAY, 'bpf_array'],
  [BPF_MAP_TYPE_PERCPU_ARRAY, 'bpf_array'],
  [BPF_MAP_TYPE_PROG_ARRAY, 'bpf_array'],
  [BPF_MAP_TYPE_PERF_EVENT_ARRAY, 'bpf_array'],
  [BPF_MAP_TYPE_CGROUP_ARRAY, 'bpf_array'],
  [BPF_MAP_TYPE_ARRAY_OF_MAPS, 'bpf_array'],
  [BPF_MAP_TYPE_HASH, 'bpf_htab'],
  [BPF_MAP_TYPE_PERCPU_HASH, 'bpf_htab'],
  [BPF_MAP_TYPE_LRU_HASH, 'bpf_htab'],
  [BPF_MAP_TYPE_LRU_PERCPU_HASH, 'bpf_htab'],
  [BPF_MAP_TYPE_HASH_OF_MAPS, 'bpf_htab'],
  [BPF_MAP_TYPE_LPM_TRIE, 'lpm_trie'],
]);

/** A load through a `const struct bpf_map *`. */
export function checkMapPointerAccess(
  v: Verifier,
  regno: number,
  off: number,
  size: number,
  write: boolean,
  loaded: Reg | undefined,
): void {
  const reg = v.regs[regno];
  const name = MAP_STRUCTS.get((reg.map as MapInfo).type) ?? 'bpf_map';
  if (!v.allowPtrLeaks) v.reject(1, `'struct ${name}' access is allowed only to CAP_PERFMON and CAP_SYS_ADMIN`);
  if (off < 0) v.reject(EACCES, `R${regno} is ${name} invalid negative access: off=${off}`);
  if (write) v.reject(EACCES, `only read from ${name} is supported`);
  const problem = mapMemberProblem(name, off, size);
  if (problem !== '') v.reject(EACCES, problem);
  if (loaded !== undefined) setUnknown(v, loaded);
}

/** A load through a pointer to a kernel struct. */
export function checkBtfAccess(
  v: Verifier,
  regno: number,
  off: number,
  size: number,
  write: boolean,
  loaded: Reg | undefined,
): void {
  const reg = v.regs[regno];
  const { btfName } = reg;
  if (reg.mask !== 0n || reg.value !== 0n)
    v.reject(EACCES, `R${regno} is ptr_${btfName} invalid variable offset: off=${off}, var_off=${tnumPair(reg)}`);
  if (off < 0) v.reject(EACCES, `R${regno} is ptr_${btfName} invalid negative access: off=${off}`);
  if (write) v.reject(EACCES, 'only read is supported');
  if (!STRUCTS.has(btfName)) v.reject(EACCES, `netloom has no struct ${btfName} to read from`);
  const found = checkStructAccess(btfName, off, size);
  if (found === undefined) return v.reject(EACCES, `access beyond struct ${btfName} at off ${off} size ${size}`);
  if (loaded === undefined) return;
  if (found.regType === SCALAR_VALUE) return setUnknown(v, loaded);
  setPointer(loaded, found.regType);
  loaded.btfName = found.btfName;
}
