/** Fields of a map value that the kernel manages (spin locks, timers, kptrs...), found in the value's BTF. */
import type { MapRecord } from '../program.ts';
import type { Btf } from './btf.ts';
import * as F from './format.ts';

type Found = { spinLock?: number; timer?: number; workqueue?: number; kptrs: number[] };

/** Special fields one value may have (the kernel's BTF_FIELDS_MAX); more are ignored. */
const MAX_FIELDS = 11;
const MAX_ELEMENTS = 4096;

const KPTR_TAGS: ReadonlySet<string> = new Set(['kptr', 'kptr_untrusted', 'percpu_kptr', 'uptr']);

/** The record of a value of this type; undefined when it has no such field. */
export function mapRecord(btf: Btf, type: number): MapRecord | undefined {
  const found: Found = { kptrs: [] };
  // What a type holds does not depend on where it stands: plain types are walked once.
  walk(btf, type, 0, found, new Set());
  const { kptrs, ...rest } = found;
  if (kptrs.length > 0) return { ...rest, kptrs };
  return Object.keys(rest).length > 0 ? rest : undefined;
}

/** Whether the type has any; adds its fields at byte `at`. */
function walk(btf: Btf, type: number, at: number, found: Found, plain: Set<number>): boolean {
  if (found.kptrs.length >= MAX_FIELDS) return true;
  const id = btf.resolve(type);
  if (plain.has(id)) return false;
  let any = false;
  switch (btf.kind(id)) {
    case F.BTF_KIND_STRUCT: {
      const special = fieldOf(btf.name(id));
      if (special !== undefined) {
        found[special] ??= at;
        return true;
      }
      for (const m of btf.members(id)) any = walk(btf, m.type, at + m.bitOffset / 8, found, plain) || any;
      break;
    }
    case F.BTF_KIND_DATASEC:
      for (const v of btf.vars(id)) {
        if (btf.kind(v.type) === F.BTF_KIND_VAR)
          any = walk(btf, btf.target(v.type), at + v.offset, found, plain) || any;
      }
      break;
    case F.BTF_KIND_ARRAY: {
      const { elem, count } = btf.array(id);
      const size = btf.sizeOf(elem) ?? 0;
      for (let i = 0; i < Math.min(count, MAX_ELEMENTS); i++) {
        if (!walk(btf, elem, at + i * size, found, plain)) break;
        any = true;
      }
      break;
    }
    case F.BTF_KIND_PTR:
      if (btf.kind(btf.target(id)) === F.BTF_KIND_TYPE_TAG && KPTR_TAGS.has(btf.name(btf.target(id)))) {
        found.kptrs.push(at);
        any = true;
      }
      break;
  }
  if (!any) plain.add(id);
  return any;
}

function fieldOf(name: string): 'spinLock' | 'timer' | 'workqueue' | undefined {
  switch (name) {
    case 'bpf_spin_lock':
      return 'spinLock';
    case 'bpf_timer':
      return 'timer';
    case 'bpf_wq':
      return 'workqueue';
    default:
      return undefined;
  }
}
