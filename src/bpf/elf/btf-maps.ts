/**
 * Maps declared in section `.maps`: each variable's type is the declaration (libbpf's `__uint`, `__type`, `__array`,
 * `__ulong` macros), and relocations into `.values` are what the map holds when it is loaded.
 */
import * as U from '../../wire/uapi/bpf.ts';
import type { Btf } from '../btf/btf.ts';
import * as F from '../btf/format.ts';
import { mapRecord } from '../btf/record.ts';
import { LoadError } from '../load-error.ts';
import type { MapSpec } from '../program.ts';
import { type Elf, type ElfSection, R_BPF_64_ABS64, STT_FUNC } from './elf.ts';
import type { LoadOptions, MapSlot, ObjectMap } from './types.ts';
import { variables } from './variables.ts';

const LIBBPF_PIN_BY_NAME = 1;

type Definition = {
  readonly spec: MapSpec;
  /** Offset of `.values` in the declaration. */
  readonly valuesAt?: number;
};

export function btfMaps(elf: Elf, section: ElfSection, btf: Btf | undefined, options: LoadOptions): ObjectMap[] {
  if (btf === undefined)
    throw new LoadError(section.name, 0, 'declares maps with BTF, but the object has no .BTF section');
  const vars = variables(btf, section.name);
  const definitions = vars.map(({ name, type, offset, size }) => {
    const fail = (problem: string): never => {
      throw new LoadError(section.name, offset, `map '${name}': ${problem}`);
    };
    if (offset + size > section.size) fail(`${size} bytes reach beyond the section`);
    return { name, offset, size, ...definition(btf, name, type, options, fail) };
  });
  const slots: MapSlot[][] = definitions.map(() => []);
  for (const relo of elf.relocations.get(section.index) ?? []) {
    const bad = (problem: string): never => {
      throw new LoadError(relo.from, relo.at, problem);
    };
    const at = definitions.findIndex((d) => relo.offset >= d.offset && relo.offset < d.offset + d.size);
    const { valuesAt, name, offset } = definitions[at] ?? bad(`relocation at ${relo.offset}, where no map is`);
    if (relo.type !== R_BPF_64_ABS64) bad(`relocation type ${relo.type} in the declaration of map '${name}'`);
    if (valuesAt === undefined || relo.offset < offset + valuesAt)
      bad(`relocation at ${relo.offset} is not among the values of map '${name}'`);
    const index = (relo.offset - offset - valuesAt!) / 8;
    if (!Number.isInteger(index)) bad(`relocation at ${relo.offset} is not aligned`);
    const { symbol } = relo;
    if (symbol.type === STT_FUNC) {
      slots[at].push({ index, program: symbol.name });
    } else {
      const map = definitions.findIndex(
        (d) => symbol.section === section.index && d.offset === symbol.value + relo.addend,
      );
      if (map < 0) bad(`value ${index} of map '${name}' is '${symbol.name}', which is neither a map nor a program`);
      slots[at].push({ index, map });
    }
  }
  return definitions.map(({ spec, offset }, i) => ({
    ...spec,
    section: section.name,
    offset,
    ...(slots[i].length > 0 && { slots: slots[i] }),
  }));
}

function definition(
  btf: Btf,
  name: string,
  type: number,
  options: LoadOptions,
  fail: (problem: string) => never,
  inner = false,
): Definition {
  const id = btf.resolve(type);
  if (btf.kind(id) !== F.BTF_KIND_STRUCT) fail('its declaration is no struct');
  const spec: { -readonly [K in keyof MapSpec]: MapSpec[K] } = {
    name,
    type: 0,
    keySize: 0,
    valueSize: 0,
    maxEntries: 0,
    flags: 0,
  };
  let valuesAt: number | undefined;
  const sized = (field: string, of: number, before: number): number => {
    const size = btf.sizeOf(of) ?? fail(`its ${field} type has no size`);
    if (size > 0xffffffff) fail(`its ${field} of ${size} bytes is too large`);
    if (before !== 0 && before !== size) fail(`${field} has ${before} bytes and ${size} bytes`);
    return size;
  };
  for (const member of btf.members(id)) {
    const number = (): number => uint(btf, member.type) ?? fail(`field '${member.name}' holds no number`);
    const pointee = (): number => {
      const at = btf.resolve(member.type);
      return btf.kind(at) === F.BTF_KIND_PTR ? btf.target(at) : fail(`field '${member.name}' is no pointer`);
    };
    switch (member.name) {
      case 'type':
        spec.type = number();
        break;
      case 'max_entries':
        spec.maxEntries = number();
        break;
      case 'map_flags':
        spec.flags = number();
        break;
      case 'key_size':
        spec.keySize = number();
        break;
      case 'value_size':
        spec.valueSize = number();
        break;
      case 'key':
        spec.btfKeyType = pointee();
        spec.keySize = sized('key', spec.btfKeyType, spec.keySize);
        break;
      case 'value':
        spec.btfValueType = pointee();
        spec.valueSize = sized('value', spec.btfValueType, spec.valueSize);
        spec.record = mapRecord(btf, spec.btfValueType);
        break;
      case 'values': {
        if (inner) fail('maps nest only once');
        const array = btf.resolve(member.type);
        if (btf.kind(array) !== F.BTF_KIND_ARRAY) fail("field 'values' is no array");
        const pointer = btf.resolve(btf.array(array).elem);
        if (btf.kind(pointer) !== F.BTF_KIND_PTR) fail("field 'values' holds no pointers");
        const of = btf.resolve(btf.target(pointer));
        if (btf.kind(of) === F.BTF_KIND_STRUCT)
          spec.inner = definition(btf, `${name}.inner`, of, options, fail, true).spec;
        else if (btf.kind(of) !== F.BTF_KIND_FUNC_PROTO) fail("field 'values' holds neither maps nor programs");
        if (spec.valueSize !== 0 && spec.valueSize !== 4) fail(`values that refer have 4 bytes, not ${spec.valueSize}`);
        spec.valueSize = 4;
        valuesAt = member.bitOffset / 8;
        break;
      }
      case 'pinning':
        spec.pinned = number() === LIBBPF_PIN_BY_NAME;
        break;
      case 'map_extra':
        spec.mapExtra = ulong(btf, member.type) ?? fail("field 'map_extra' holds no number");
        break;
      case 'numa_node':
        number();
        break;
      default:
        fail(`unknown field '${member.name}'`);
    }
  }
  if (spec.type === 0) fail('it has no type');
  return { spec: adjusted(spec, options), valuesAt };
}

/** `__uint(name, n)`: a pointer to an array of n elements. */
function uint(btf: Btf, type: number): number | undefined {
  const pointer = btf.resolve(type);
  if (btf.kind(pointer) !== F.BTF_KIND_PTR) {
    const value = ulong(btf, type);
    return value !== undefined && value <= 0xffffffffn ? Number(value) : undefined;
  }
  const array = btf.resolve(btf.target(pointer));
  return btf.kind(array) === F.BTF_KIND_ARRAY ? btf.array(array).count : undefined;
}

/** `__ulong(name, n)`: an enum whose first enumerator is n. */
function ulong(btf: Btf, type: number): bigint | undefined {
  const id = btf.resolve(type);
  if (F.isAnyEnum(btf.kind(id)) && btf.vlen(id) > 0) return BigInt.asUintN(64, btf.enumerator(id, 0).value);
  const number = btf.kind(id) === F.BTF_KIND_PTR ? uint(btf, type) : undefined;
  return number === undefined ? undefined : BigInt(number);
}

const PAGE = 4096;

/** Sizes that libbpf fits to the machine: one perf event per processor, ring buffers of whole pages by powers of two. */
export function adjusted(spec: MapSpec, { cpus = 1 }: LoadOptions): MapSpec {
  if (spec.type === U.BPF_MAP_TYPE_PERF_EVENT_ARRAY && spec.maxEntries === 0) return { ...spec, maxEntries: cpus };
  if (spec.type !== U.BPF_MAP_TYPE_RINGBUF && spec.type !== U.BPF_MAP_TYPE_USER_RINGBUF) return spec;
  if (spec.maxEntries === 0 || spec.maxEntries > 0x80000000) return spec;
  let size = PAGE;
  while (size < spec.maxEntries) size *= 2;
  return { ...spec, maxEntries: size };
}
