/**
 * bpf(2) of a host as a tool uses it: objects in, numbers and bytes out. Stands beside `NetlinkTransport`: tools reach a
 * host's programs and maps by this and nothing else.
 */

export type BpfProgramInfo = {
  readonly id: number;
  readonly name: string;
  /** BPF_PROG_TYPE_*. */
  readonly type: number;
  /** Instructions, and numbers of the maps it uses. */
  readonly insns: number;
  readonly maps: readonly number[];
  readonly gpl: boolean;
};

export type BpfLoadOptions = {
  /** Name of the file, for names of data maps and errors. */
  readonly file: string;
  /** Only programs of this section, or of this name; otherwise those that load by themselves. */
  readonly section?: string;
  readonly program?: string;
  /** Program type for sections whose name tells none. */
  readonly defaultType?: number;
};

/** A program that was loaded. */
export type BpfLoaded = { readonly id: number; readonly name: string; readonly section: string; readonly type: number };

/** Results below zero are -errno. */
export type BpfTransport = {
  /** Loads an ELF object. Throws Error with a text of one or more lines when it cannot be read or a program is refused. */
  load(object: Uint8Array, options: BpfLoadOptions): readonly BpfLoaded[];
  unload(id: number): number;
  programs(): readonly BpfProgramInfo[];
  /** The words behind `bpftool map`: what it prints, and its exit code. */
  map(
    words: readonly string[],
    options: { readonly json: boolean; readonly pretty: boolean },
  ): { readonly code: number; readonly stdout: string; readonly stderr: string };
  /** Programs in the tcx places of a device, in the order they run. */
  tcx(ifindex: number, egress: boolean): readonly number[];
  /** Puts a program behind the others of a tcx place, or takes it out. 0 or -errno. */
  attachTcx(ifindex: number, egress: boolean, program: number): number;
  detachTcx(ifindex: number, egress: boolean, program: number): number;
};
