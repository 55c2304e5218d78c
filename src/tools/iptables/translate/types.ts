/** What the translations of matches and targets share. */
import type { Rule } from '../rule.ts';

export type TranslateContext = {
  readonly rule: Rule;
  /** Table and chain of the command. */
  readonly table: string;
  /** Declares a set that the rule needs and returns its name. */
  declare(stem: string, body: string): string;
};

/**
 * The nft words for an extension's state: '' when it allows everything, undefined when nft has no words for it.
 * `S` is the extension's structure.
 */
export type Translate<S> = (state: S, ctx: TranslateContext) => string | undefined;

/** Translations by extension name; each casts the state to its own structure. */
export type TranslateTable = Readonly<Record<string, Translate<never>>>;

/** "!= " for a negated match. */
export const not = (invert: number | boolean): string => (invert ? '!= ' : '');

/** "5" or "5-9". */
export const span = (range: readonly (number | bigint)[]): string =>
  range[0] === range[1] ? `${range[0]}` : `${range[0]}-${range[1]}`;

/** Joins the parts that say something. */
export const words = (...parts: readonly (string | undefined)[]): string => parts.filter((part) => part).join(' ');

/** "0x2a". */
export const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`;

/** A value under a mask: "mark 0x1", "mark and 0xff == 0x1". */
export function masked(key: string, value: number, mask: number, invert: boolean): string {
  if (mask === 0xffffffff) return `${key} ${not(invert)}${hex(value)}`;
  if (value === 0) return `${key} and ${hex(mask)} ${invert ? '!=' : '=='} 0`;
  return `${key} and ${hex(mask)} ${invert ? '!=' : '=='} ${hex(value)}`;
}

const PLAIN_TEXT = /["\\]/g;

/** A string in double quotes. */
export const quote = (text: string): string => `"${text.replace(PLAIN_TEXT, '\\$&')}"`;
