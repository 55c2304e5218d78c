/**
 * `extern` variables and functions: `__kconfig` values become a read-only map, `__ksym` ones kernel functions and
 * addresses. What is missing is an error where it is used, unless it is weak.
 */
import * as U from '../../wire/uapi/bpf.ts';
import { type Btf, essentialName } from '../btf/btf.ts';
import * as F from '../btf/format.ts';
import { KFUNCS } from '../verifier/kfunc-table.ts';
import { dataMapName, peekAt } from './data-maps.ts';
import { type Elf, type ElfSymbol, STB_LOCAL, STB_WEAK, STT_NOTYPE } from './elf.ts';
import type { KconfigValue, LoadOptions, ObjectMap } from './types.ts';

/** A symbol defined elsewhere; `problem` says why it cannot be used. */
export type Extern =
  | { readonly kind: 'kconfig'; readonly offset: number; readonly problem?: string }
  | {
      readonly kind: 'kfunc';
      readonly id?: number;
      /** Its place among all externs, in libbpf's order. */
      readonly order: number;
      readonly problem?: string;
    }
  | { readonly kind: 'ksym'; readonly address: bigint; readonly typeId?: number; readonly problem?: string };

export type Externs = {
  readonly byName: ReadonlyMap<string, Extern>;
  /** Kernel functions by the number their calls carry. */
  readonly kfuncs: ReadonlyMap<number, string>;
  readonly kconfig?: ObjectMap;
};

/** KERNEL_VERSION(6, 18, 44): the version whose rules netloom follows. */
const KERNEL_VERSION = (6 << 16) | (18 << 8) | 44;

/** What a usual kernel with networking is built with. */
const DEFAULTS: Readonly<Record<string, KconfigValue>> = {
  CONFIG_BPF: 'y',
  CONFIG_BPF_SYSCALL: 'y',
  CONFIG_HZ: 250,
  CONFIG_INET: 'y',
  CONFIG_IPV6: 'y',
  CONFIG_NET: 'y',
  CONFIG_NETFILTER: 'y',
  CONFIG_NF_CONNTRACK: 'y',
  CONFIG_XDP_SOCKETS: 'y',
};

const isExtern = (s: ElfSymbol): boolean =>
  s.section === 0 && s.bind !== STB_LOCAL && s.type === STT_NOTYPE && s.name !== '';

type Config = { name: string; type: number; size: number; align: number; weak: boolean };

export function readExterns(elf: Elf, btf: Btf | undefined, object: string, options: LoadOptions): Externs {
  const byName = new Map<string, Extern>();
  const kfuncs = new Map<number, string>();
  const configs: Config[] = [];
  const datasec = new Map<string, string>();
  for (const section of ['.kconfig', '.ksyms']) {
    const id = btf?.find(section, F.BTF_KIND_DATASEC) ?? 0;
    if (btf !== undefined && id !== 0) for (const v of btf.vars(id)) datasec.set(btf.name(v.type), section);
  }
  const isConfig = (name: string): boolean => datasec.get(name) === '.kconfig';
  const symbols = [...new Map(elf.symbols.filter(isExtern).map((s) => [s.name, s])).values()].sort(
    (a, b) => Number(isConfig(b.name)) - Number(isConfig(a.name)) || (a.name < b.name ? -1 : 1),
  );
  for (const [order, symbol] of symbols.entries()) {
    const { name } = symbol;
    const weak = symbol.bind === STB_WEAK;
    const variable = btf?.find(name, F.BTF_KIND_VAR) ?? 0;
    if (btf !== undefined && variable !== 0 && isConfig(name)) {
      const type = btf.target(variable);
      const size = btf.sizeOf(type) ?? 0;
      configs.push({ name, type, size, align: Math.min(size || 1, alignOf(btf, type)), weak });
      // Found again below, when all are known.
      byName.set(name, { kind: 'kconfig', offset: 0 });
    } else if (variable !== 0) {
      const found = options.ksym?.(essentialName(name));
      byName.set(name, {
        kind: 'ksym',
        address: typeof found === 'bigint' ? found : 0n,
        ...(typeof found === 'object' && { typeId: found.typeId }),
        ...(found === undefined && !weak && { problem: `extern ksym '${name}': no such kernel symbol here` }),
      });
    } else {
      const real = essentialName(name);
      const known = !weak || KFUNCS.has(real);
      const id = options.kfunc === undefined ? (known ? kfuncs.size + 1 : undefined) : options.kfunc(real);
      if (id !== undefined) kfuncs.set(id, real);
      byName.set(name, {
        kind: 'kfunc',
        id,
        order,
        ...(id === undefined && !weak && { problem: `extern function '${name}': no such kernel function here` }),
      });
    }
  }
  const kconfig =
    configs.length > 0 && btf !== undefined ? kconfigMap(configs, btf, object, options, byName) : undefined;
  return { byName, kfuncs, kconfig };
}

function kconfigMap(
  configs: Config[],
  btf: Btf,
  object: string,
  options: LoadOptions,
  byName: Map<string, Extern>,
): ObjectMap {
  // libbpf's order: by falling alignment, then rising size, then name.
  configs.sort((a, b) => b.align - a.align || a.size - b.size || (a.name < b.name ? -1 : 1));
  let size = 0;
  const places = configs.map((c) => {
    size = Math.ceil(size / c.align) * c.align;
    const offset = size;
    size += c.size;
    return offset;
  });
  const value = new Uint8Array(size);
  configs.forEach((c, i) => {
    const given = configValue(c.name, options);
    const problem =
      given === undefined
        ? c.weak
          ? undefined
          : `extern '${c.name}' has no value: give one as kconfig option`
        : store(value, places[i], c, btf, given);
    byName.set(c.name, { kind: 'kconfig', offset: places[i], ...(problem !== undefined && { problem }) });
  });
  return {
    name: dataMapName(object, '.kconfig'),
    type: U.BPF_MAP_TYPE_ARRAY,
    keySize: 4,
    valueSize: size,
    maxEntries: 1,
    flags: U.BPF_F_RDONLY_PROG | U.BPF_F_MMAPABLE,
    initial: [[new Uint8Array(4), value]],
    frozen: true,
    peek: (offset: number, length: number) => peekAt(value, offset, length),
    section: '.kconfig',
    offset: 0,
  };
}

function configValue(name: string, options: LoadOptions): KconfigValue | undefined {
  if (options.kconfig !== undefined && Object.hasOwn(options.kconfig, name)) return options.kconfig[name];
  switch (name) {
    case 'LINUX_KERNEL_VERSION':
      return options.kernelVersion ?? KERNEL_VERSION;
    case 'LINUX_HAS_BPF_COOKIE':
    case 'LINUX_HAS_SYSCALL_WRAPPER':
      return 1;
    default:
      return Object.hasOwn(DEFAULTS, name) ? DEFAULTS[name] : undefined;
  }
}

/** Writes a value as its type wants it; says what is wrong with it. */
function store(bytes: Uint8Array, at: number, c: Config, btf: Btf, given: KconfigValue): string | undefined {
  const id = btf.resolve(c.type);
  const kind = btf.kind(id);
  const bad = `extern '${c.name}': the value ${JSON.stringify(String(given))} does not fit its type`;
  if (kind === F.BTF_KIND_ARRAY) {
    const text = new TextEncoder().encode(String(given).replace(/^"(.*)"$/, '$1'));
    bytes.set(text.subarray(0, Math.max(c.size - 1, 0)), at);
    return undefined;
  }
  const letters = 'nym';
  const letter = typeof given === 'boolean' ? (given ? 'y' : 'n') : given;
  const tristate = typeof letter === 'string' ? letters.indexOf(letter) : -1;
  if (kind === F.BTF_KIND_INT && c.size === 1) {
    const bool = (btf.int(id).encoding & F.BTF_INT_BOOL) !== 0;
    if (bool && (tristate === 2 || (tristate < 0 && typeof letter === 'string'))) return bad;
    if (tristate >= 0) bytes[at] = bool ? tristate : letters.charCodeAt(tristate);
    else if (typeof letter === 'string') return bad;
    else bytes[at] = Number(letter);
    return undefined;
  }
  if (kind !== F.BTF_KIND_INT && !F.isAnyEnum(kind)) return bad;
  let number: bigint;
  try {
    number = tristate >= 0 ? BigInt(tristate) : BigInt(letter);
  } catch {
    return bad;
  }
  for (let i = 0; i < c.size; i++) bytes[at + i] = Number((number >> BigInt(i * 8)) & 255n);
  return undefined;
}

function alignOf(btf: Btf, type: number): number {
  const id = btf.resolve(type);
  switch (btf.kind(id)) {
    case F.BTF_KIND_ARRAY:
      return alignOf(btf, btf.array(id).elem);
    case F.BTF_KIND_STRUCT:
    case F.BTF_KIND_UNION:
      return Math.max(1, ...btf.members(id).map((m) => alignOf(btf, m.type)));
    default:
      return Math.max(1, Math.min(8, btf.sizeOf(id) ?? 1));
  }
}
