/** Functions as the verifier sees them: linkage, result and parameters of a BTF_KIND_FUNC. */
import type { BtfFunc, BtfParam } from '../program.ts';
import type { Btf } from './btf.ts';
import * as F from './format.ts';

/** Context structs of program types, by which a global function's pointer parameter is known to be the context. */
const CONTEXTS: ReadonlySet<string> = new Set([
  '__sk_buff',
  'xdp_md',
  'bpf_sock_addr',
  'bpf_sock_ops',
  'sk_msg_md',
  'sk_reuseport_md',
  'bpf_sk_lookup',
  'bpf_sockopt',
  'bpf_sysctl',
  'bpf_cgroup_dev_ctx',
  'bpf_flow_keys',
  'bpf_perf_event_data',
  'bpf_raw_tracepoint_args',
  'bpf_user_pt_regs_t',
  'bpf_nf_ctx',
]);

const LINKAGES = ['static', 'global', 'extern'] as const;

/** Describes function `id`, which must be a BTF_KIND_FUNC. */
export function funcOf(btf: Btf, id: number): BtfFunc {
  const proto = btf.target(id);
  const tags = btf.tags(id);
  return {
    name: btf.name(id),
    linkage: LINKAGES[btf.linkage(id)] ?? 'extern',
    returns: resultOf(btf, btf.target(proto)),
    params: btf.params(proto).map((p, i) =>
      paramOf(
        btf,
        p.name,
        p.type,
        tags.filter((t) => t.component === i && t.name.startsWith('arg:')).map((t) => t.name.slice(4)),
      ),
    ),
  };
}

function resultOf(btf: Btf, type: number): BtfFunc['returns'] {
  const kind = btf.kind(btf.resolve(type));
  if (kind === F.BTF_KIND_UNKN) return 'void';
  return kind === F.BTF_KIND_INT || F.isAnyEnum(kind) ? 'int' : 'other';
}

function paramOf(btf: Btf, name: string, type: number, tags: readonly string[]): BtfParam {
  const id = btf.resolve(type);
  const kind = btf.kind(id);
  if (kind === F.BTF_KIND_INT || F.isAnyEnum(kind))
    return { name, kind: 'int', size: btf.sizeOf(id) ?? 0, pointee: '', tags };
  if (kind !== F.BTF_KIND_PTR) return { name, kind: 'other', size: btf.sizeOf(id) ?? 0, pointee: '', tags };
  // A typedef's own name counts: bpf_user_pt_regs_t is one.
  const named = btf.skipModifiers(btf.target(id));
  const below = btf.resolve(named);
  const pointee = btf.name(named) === 'bpf_user_pt_regs_t' ? 'bpf_user_pt_regs_t' : btf.name(below);
  const size = btf.sizeOf(below);
  let is: BtfParam['kind'] = size === undefined ? 'other' : 'mem';
  if (tags.includes('ctx') || CONTEXTS.has(pointee)) is = 'ctx';
  else if (tags.includes('arena')) is = 'arena';
  else if (pointee === 'bpf_dynptr') is = 'dynptr';
  return { name, kind: is, size: size ?? 0, pointee, tags };
}
