/** What JSON listings are made of. */
import type { Stmt } from '../ast.ts';
import type { ListOptions } from '../print/ruleset.ts';

export type JsonObject = { readonly [key: string]: Json };
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

/** Options, and how the statements that members of sets carry are written. */
export type JsonContext = ListOptions & { readonly statement: (s: Stmt, context: JsonContext) => Json };
