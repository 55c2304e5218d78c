/**
 * The contract of an iptables extension (a match or a target): its options, how its state is printed, and the kernel
 * structure that is its state. One file per extension in `ext/`.
 */
import type { Codec } from '../../wire/xt/struct.ts';
import type { SetNames } from './set-names.ts';

/** What an extension sees of the rule it stands in. */
export type Context = {
  /** 4 or 6. */
  readonly family: 4 | 6;
  /** Table the rule goes to. */
  readonly table: string;
  /** Protocol number of `-p`, 0 for none, and whether it was negated. */
  readonly proto: number;
  readonly protoInvert: boolean;
  /** Extension and option at work, for error texts. */
  readonly ext: string;
  readonly opt: string;
  /** Options of this extension seen so far, this one included. */
  readonly seen: ReadonlySet<string>;
  /** Takes the next argument of the command line, for options with two values; undefined when there is none. */
  next(): string | undefined;
  /** Id of a user or group name; undefined when it is unknown. */
  user(name: string): number | undefined;
  group(name: string): number | undefined;
  /** The ipset sets of the host. */
  readonly sets: SetNames;
  /** File descriptor of a pinned BPF program; undefined when there is none. */
  pinnedProgram?(path: string): number | undefined;
  /** A line on stderr. */
  warn(text: string): void;
};

export type Option<S> = {
  readonly name: string;
  /** Default: the option takes one argument. */
  readonly arg?: 'none' | 'required' | 'optional';
  /** An optional argument that may also be the next word. */
  readonly free?: boolean;
  /** `! --name` is allowed. */
  readonly invert?: boolean;
  readonly mandatory?: boolean;
  /** May be given more than once. */
  readonly many?: boolean;
  /** Options that exclude this one. */
  readonly excl?: readonly string[];
  /** Options that this one needs. */
  readonly also?: readonly string[];
  parse(state: S, value: string, invert: boolean, ctx: Context): void;
};

export type Extension<S> = {
  readonly kind: 'match' | 'target';
  /** Name after `-m` or `-j`. */
  readonly name: string;
  /** Name in messages to the kernel, when it differs from `name` (state, NOTRACK). */
  readonly realName?: string;
  readonly revision: number;
  /** Only for this family. */
  readonly family?: 4 | 6;
  readonly codec: Codec<S>;
  readonly options: readonly Option<S>[];
  /** Sets defaults in a zeroed state. */
  init?(state: S, ctx: Context): void;
  /** Last check once all arguments are read. */
  check?(state: S, ctx: Context): void;
  /** True when a structure from the kernel is this extension's (aliases share one structure). */
  owns?(state: S): boolean;
  /** Finds the names of the sets that a structure from the kernel speaks of. */
  resolve?(state: S, sets: SetNames): void;
  /** Arguments as `iptables-save` prints them, each with a blank before it. */
  save(state: S, ctx: Context): string;
  /** Words as `iptables -L` prints them, with a blank before. */
  print(state: S, ctx: Context, numeric: boolean): string;
};

/** An extension in a rule. */
export type Use = {
  readonly ext: Extension<object>;
  readonly state: object;
};

/** " !" for a negated option. */
export function bang(invert: boolean | number): string {
  return invert ? ' !' : '';
}

const PLAIN = /^[A-Za-z0-9_-]+$/;

/** A string as iptables-save writes it: quoted unless it is one plain word. */
export function quoted(text: string): string {
  return PLAIN.test(text) ? text : `"${text.replace(/["'\\]/g, '\\$&')}"`;
}

export function hex(value: number, digits = 0): string {
  return `0x${(value >>> 0).toString(16).padStart(digits, '0')}`;
}
