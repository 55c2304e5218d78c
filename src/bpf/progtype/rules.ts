/**
 * The shape of a program type's description: its context struct and which of its fields a program of an attach type may
 * load and store.
 */
import type { Struct } from './layout.ts';

/**
 * What the loader of the program may do: `root` everything; `netadmin` has CAP_BPF and CAP_NET_ADMIN but not
 * CAP_PERFMON; `unpriv` nothing.
 */
export type Mode = 'root' | 'netadmin' | 'unpriv';

/** A program type under one expected attach type, loaded by somebody. */
export type Env = { readonly type: number; readonly attach: number; readonly mode: Mode };

export type Fields = ReadonlySet<string>;

export type ContextRules = {
  readonly struct: Struct;
  /** Names of the fields that may be loaded. */
  readonly read: (env: Env) => Fields;
  /** Names of the fields that may be stored to, from a register or an immediate. */
  readonly write: (env: Env) => Fields;
};

export const NONE: Fields = new Set();

export const names = (struct: Struct): Fields => new Set(struct.fields.map((f) => f.name));

/** `set` without and with some names. */
export function vary(set: Fields, without: readonly string[], plus: readonly string[] = []): Fields {
  const out = new Set(set);
  for (const name of without) out.delete(name);
  for (const name of plus) out.add(name);
  return out;
}

/** Every field may be loaded, none stored to. */
export const readOnly = (struct: Struct): ContextRules => {
  const all = names(struct);
  return { struct, read: () => all, write: () => NONE };
};
