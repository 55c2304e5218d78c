/** What the object loader takes and gives. */
import type { Btf } from '../btf/btf.ts';
import type { LoadError } from '../load-error.ts';
import type { MapInfo, ProgramSpec } from '../program.ts';

/** A value put into a map by reference when the object is loaded: a map of maps or a program array. */
export type MapSlot = {
  /** Key: index in an array, or byte offset in a struct_ops. */
  readonly index: number;
  /** Number of a map in the object, or name of a program. */
  readonly map?: number;
  readonly program?: string;
};

export type ObjectMap = MapInfo & {
  /** The ELF section it was declared in: `.maps`, `maps`, `.rodata`, ... */
  readonly section: string;
  /** Offset of the declaration in the section. */
  readonly offset: number;
  readonly slots?: readonly MapSlot[];
};

export type ObjectProgram = ProgramSpec & {
  /** Loaded without being asked for: its section does not begin with "?". */
  readonly autoload: boolean;
  /** What follows the slash in the section's name: tracepoint, function... */
  readonly target: string;
  /** CO-RE relocations that found nothing in the target, by instruction: what the program asked for. */
  readonly unresolved?: ReadonlyMap<number, string>;
  /** Why it could not be linked; `insns` is then empty. */
  readonly problem?: LoadError;
};

export type BpfObject = {
  /** Name that global data maps begin with. */
  readonly name: string;
  readonly license: string;
  /** Section `version`: the kernel version that kprobes once had to name. */
  readonly version: number;
  readonly littleEndian: boolean;
  readonly btf?: Btf;
  readonly programs: readonly ObjectProgram[];
  /** All maps; `program.maps` is this list. */
  readonly maps: readonly ObjectMap[];
  /** Things left out that a program may miss. */
  readonly warnings: readonly string[];
};

export type KconfigValue = string | number | bigint | boolean;

export type LoadOptions = {
  /** Name of the object: the file's name; what follows the first dot is dropped. */
  readonly name?: string;
  /** CO-RE relocations are resolved against this BTF; without it instructions keep what was compiled in. */
  readonly target?: Btf;
  /** Types that the target does not name at all keep what was compiled in (for a target that has only some types). */
  readonly keepUnknown?: boolean;
  /** Program type for sections whose name tells none (iproute2 objects: BPF_PROG_TYPE_SCHED_CLS). */
  readonly defaultType?: number;
  /** Values of `extern ... __kconfig`, beside those of a usual kernel with networking: CONFIG_HZ: 250, CONFIG_NET: 'y'. */
  readonly kconfig?: Readonly<Record<string, KconfigValue>>;
  /** LINUX_KERNEL_VERSION; KERNEL_VERSION(6, 18, 44) if not given. */
  readonly kernelVersion?: number;
  /**
   * BTF number of a kernel function; undefined: there is none of that name. Without it calls are numbered from 1, and
   * weak functions are there when netloom has them.
   */
  readonly kfunc?: (name: string) => number | undefined;
  /** Address of a kernel symbol, or its number in the target's BTF; undefined: there is none of that name. */
  readonly ksym?: (name: string) => bigint | { readonly typeId: number } | undefined;
  /** Processors: the size of a perf event array that gives none. */
  readonly cpus?: number;
  /** Programs that cannot be linked get a `problem` instead of ending the load. */
  readonly lenient?: boolean;
};
