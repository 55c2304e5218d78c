/** Which helper functions a program may call, from the groups of helper-groups.ts. */
import {
  BPF_PROG_TYPE_KPROBE,
  BPF_PROG_TYPE_PERF_EVENT,
  BPF_TRACE_KPROBE_MULTI,
  BPF_TRACE_KPROBE_SESSION,
  BPF_TRACE_UPROBE_MULTI,
  BPF_TRACE_UPROBE_SESSION,
  HELPER_NAMES,
} from '../../wire/uapi/bpf.ts';
import { GPL_ONLY_HELPERS, HELPER_GROUPS, type HelperGroup } from './helper-groups.ts';
import type { Mode } from './rules.ts';

const NUMBERS: ReadonlyMap<string, number> = new Map(HELPER_NAMES.map((name, id) => [name, id]));

function numbers(helpers: string): readonly number[] {
  return helpers.split(/\s+/).map((name) => {
    const id = NUMBERS.get(name);
    if (id === undefined) throw new Error(`no helper is called ${name}`);
    return id;
  });
}

const GPL_ONLY: ReadonlySet<number> = new Set(numbers(GPL_ONLY_HELPERS));

const GROUPS_OF: ReadonlyMap<number, readonly HelperGroup[]> = (() => {
  const out = new Map<number, HelperGroup[]>();
  for (const group of HELPER_GROUPS) {
    for (const id of numbers(group.helpers)) {
      const groups = out.get(id);
      if (groups === undefined) out.set(id, [group]);
      else groups.push(group);
    }
  }
  return out;
})();

/** Whether the helper with number `id` is open to a program of `type` and `attach` loaded in `mode`. */
export function helperAvailable(type: number, attach: number, mode: Mode, id: number): boolean {
  const groups = GROUPS_OF.get(id);
  if (groups === undefined) return false;
  return groups.some((group) => {
    if (group.types !== 'all' && !group.types.includes(type)) return false;
    if (group.needs === 'bpf' && mode === 'unpriv') return false;
    if (group.needs === 'perfmon' && mode !== 'root') return false;
    return group.when === undefined || group.when({ type, attach, mode });
  });
}

/** Whether the helper refuses programs of `type` and `attach` whose licence is not GPL-compatible. */
export function helperGplOnly(id: number, type: number, attach: number): boolean {
  // These two types have variants of their own, without the condition.
  if (type === BPF_PROG_TYPE_PERF_EVENT && id === GET_STACKID) return false;
  if (type === BPF_PROG_TYPE_KPROBE && id === GET_FUNC_IP) return !isMultiProbe(attach);
  return GPL_ONLY.has(id);
}

const GET_STACKID = 27;
const GET_FUNC_IP = 173;

const isMultiProbe = (attach: number): boolean =>
  attach === BPF_TRACE_KPROBE_MULTI ||
  attach === BPF_TRACE_KPROBE_SESSION ||
  attach === BPF_TRACE_UPROBE_MULTI ||
  attach === BPF_TRACE_UPROBE_SESSION;
