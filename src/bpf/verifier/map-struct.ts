/**
 * `struct bpf_map` as Linux 6.18 lays it out, as far as programs may read it through a map pointer: the structs of all map types
 * begin with it. Pointers to kernel structs read as numbers here; netloom's are 0.
 */
import { BPF_MAP_STRUCT_BYTES } from '../maps/layout.ts';

type Member = { readonly name: string; readonly off: number; readonly size: number; readonly pointer?: boolean };

const MEMBERS: readonly Member[] = [
  { name: 'sha', off: 0, size: 32 },
  { name: 'excl', off: 32, size: 4 },
  { name: 'ops', off: 40, size: 8, pointer: true },
  { name: 'inner_map_meta', off: 48, size: 8, pointer: true },
  { name: 'security', off: 56, size: 8, pointer: true },
  { name: 'map_type', off: 64, size: 4 },
  { name: 'key_size', off: 68, size: 4 },
  { name: 'value_size', off: 72, size: 4 },
  { name: 'max_entries', off: 76, size: 4 },
  { name: 'map_extra', off: 80, size: 8 },
  { name: 'map_flags', off: 88, size: 4 },
  { name: 'id', off: 92, size: 4 },
  { name: 'record', off: 96, size: 8, pointer: true },
  { name: 'numa_node', off: 104, size: 4 },
  { name: 'btf_key_type_id', off: 108, size: 4 },
  { name: 'btf_value_type_id', off: 112, size: 4 },
  { name: 'btf_vmlinux_value_type_id', off: 116, size: 4 },
  { name: 'btf', off: 120, size: 8, pointer: true },
  { name: 'objcg', off: 128, size: 8, pointer: true },
  { name: 'name', off: 136, size: 16 },
];

/** Why a load of `size` bytes at `off` is refused; '' when it is not. `struct`: of this map type. */
export function mapMemberProblem(struct: string, off: number, size: number): string {
  if (off >= BPF_MAP_STRUCT_BYTES)
    return `netloom does not support reading struct ${struct} behind the name of its struct bpf_map (offset ${off})`;
  const member = MEMBERS.find((m) => off >= m.off && off < m.off + m.size);
  if (member === undefined) return `struct bpf_map doesn't have field at offset ${off}`;
  if (member.pointer === true && (off !== member.off || size !== member.size))
    return `cannot access ptr member ${member.name} with moff ${member.off} in struct bpf_map with off ${off} size ${size}`;
  if (off + size > member.off + member.size)
    return `access beyond the end of member ${member.name} (mend:${member.off + member.size}) in struct bpf_map with off ${off} size ${size}`;
  return '';
}
