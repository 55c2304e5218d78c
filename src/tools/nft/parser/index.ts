/** Parses an nft script into commands. Errors are collected as nft does: one per command, up to twenty. */
import type { Command, Expr } from '../ast.ts';
import { NftError, type Source } from '../source.ts';
import { command } from './command.ts';
import { Parser, type ParserIo, type Scope } from './core.ts';
import { common } from './object.ts';
import { statement } from './statement.ts';

const MAX_ERRORS = 20;

export type ParseResult = { readonly commands: readonly Command[]; readonly errors: readonly NftError[] };

/** A scope of definitions: `-D name=value`. */
export function newScope(defines: ReadonlyMap<string, string> = new Map()): Scope {
  const symbols = new Map<string, Expr>();
  for (const [name, text] of defines) symbols.set(name, { kind: 'symbol', text });
  return { symbols };
}

export function parse(source: Source, io: ParserIo, scope: Scope = newScope()): ParseResult {
  const p = new Parser(source, scope, io, statement);
  const commands: Command[] = [];
  const errors: NftError[] = [];
  for (;;) {
    try {
      p.skipNewlines();
      if (p.accept(';')) continue;
      if (p.peek().kind === 'eof') break;
      if (common(p)) continue;
      commands.push(command(p));
      if (p.is('}')) p.unexpected();
      p.separator();
    } catch (error) {
      if (!(error instanceof NftError)) throw error;
      errors.push(error);
      if (errors.length >= MAX_ERRORS || !recover(p)) break;
    }
  }
  return { commands, errors };
}

/** Skips to the end of the line. False when that is not possible. */
function recover(p: Parser): boolean {
  p.scope = rootOf(p.scope);
  try {
    while (p.peek().kind !== 'newline' && p.peek().kind !== 'eof') p.next();
    return true;
  } catch {
    return false;
  }
}

function rootOf(scope: Scope): Scope {
  return scope.parent === undefined ? scope : rootOf(scope.parent);
}
