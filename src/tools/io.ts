/**
 * What a command-line tool of netloom is: a function of its arguments and of what it may touch. Tools reach a host by
 * netlink, by the kernel's /proc/sys files and by sockets, never by its internals, and they read no file themselves.
 *
 *     const { code, stdout, stderr } = ip(['addr', 'show'], io);
 */
import type { NetlinkTransport } from '../wire/netlink/message.ts';
import type { BpfTransport } from '../wire/uapi/bpf-transport.ts';

export type ToolResult = {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
};

/** The files below /proc/sys of one host, by sysctl name ("net.ipv4.ip_forward"). */
export type SysctlTransport = {
  /** The value, or undefined when there is no such file. */
  read(name: string): string | undefined;
  /** 0, or the errno of the write: ENOENT, EINVAL. */
  write(name: string, value: string): number;
  /** All names, in the order of `sysctl -a`. */
  names(): string[];
};

export type ToolIo = {
  readonly netlink: NetlinkTransport;
  readonly sysctl?: SysctlTransport;
  /** Reads a file the user named; throws when it cannot. */
  readonly readFile?: (path: string) => string;
  /** Reads a file of bytes (BPF objects); throws when it cannot. */
  readonly readBytes?: (path: string) => Uint8Array;
  /** bpf(2) of the host. */
  readonly bpf?: BpfTransport;
  /** Milliseconds since 1970, when the tool tells how old something is. */
  readonly now?: () => number;
  /** Standard input, when the tool reads it ("-"). */
  readonly stdin?: string;
};

export type Tool = (argv: readonly string[], io: ToolIo) => ToolResult;
