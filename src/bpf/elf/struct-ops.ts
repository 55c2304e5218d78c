/** struct_ops: each variable of `.struct_ops` or `.struct_ops.link` is a map of one value whose functions are programs. */
import * as U from '../../wire/uapi/bpf.ts';
import type { Btf } from '../btf/btf.ts';
import { LoadError } from '../load-error.ts';
import { type Elf, STT_FUNC } from './elf.ts';
import type { MapSlot, ObjectMap } from './types.ts';
import { variables } from './variables.ts';

/** BPF_F_LINK: attached through a link instead of by an update. */
const BPF_F_LINK: number = 1 << 13;

export function structOpsMaps(elf: Elf, btf: Btf | undefined): ObjectMap[] {
  if (btf === undefined) return [];
  return elf.sections
    .filter((s) => /^\??\.struct_ops(\.link)?$/.test(s.name) && s.bytes.length > 0)
    .flatMap((section) =>
      variables(btf, section.name).map(({ name, type, offset, size }): ObjectMap => {
        if (offset + size > section.size)
          throw new LoadError(section.name, offset, `struct_ops '${name}': ${size} bytes reach beyond the section`);
        const slots: MapSlot[] = (elf.relocations.get(section.index) ?? [])
          .filter((r) => r.offset >= offset && r.offset < offset + size && r.symbol.type === STT_FUNC)
          .map((r) => ({ index: r.offset - offset, program: r.symbol.name }));
        return {
          name,
          type: U.BPF_MAP_TYPE_STRUCT_OPS,
          keySize: 4,
          valueSize: size,
          maxEntries: 1,
          flags: section.name.endsWith('.link') ? BPF_F_LINK : 0,
          initial: [[new Uint8Array(4), section.bytes.slice(offset, offset + size)]],
          btfValueType: type,
          section: section.name,
          offset,
          ...(slots.length > 0 && { slots }),
        };
      }),
    );
}
