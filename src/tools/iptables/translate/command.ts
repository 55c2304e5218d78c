/** A command of iptables as commands of nft (xtables-translate(8)). */
import type { Command } from '../args.ts';
import { problem } from '../errors.ts';
import { translateRule } from './rule.ts';

/** Names of sets that translations declare; one per run of a tool. */
export class SetNames {
  #count = 0;

  next(stem: string): string {
    return `${stem}${this.#count++}`;
  }
}

const FAMILIES = { 4: 'ip', 6: 'ip6' } as const;

export type Translated = {
  /** nft commands, without "nft". */
  readonly commands: readonly string[];
  /** True for rules, which are quoted for the shell. */
  readonly quoted: boolean;
};

/**
 * The nft commands for one command; 'unknown' when a rule has parts that nft has no words for. Throws IptablesError for
 * commands that have no counterpart.
 */
export function translateCommand(cmd: Command, family: 4 | 6, names: SetNames): Translated | 'unknown' {
  const table = `${FAMILIES[family]} ${cmd.table}`;
  const chain = cmd.chain === undefined ? undefined : `${table} ${cmd.chain}`;
  const plain = (command: string): Translated => ({ commands: [command], quoted: false });
  switch (cmd.verb) {
    case 'A':
    case 'I':
      break;
    case 'N':
      return plain(`add chain ${chain}`);
    case 'X':
      if (chain !== undefined) return plain(`delete chain ${chain}`);
      throw problem(NOT_IMPLEMENTED);
    case 'F':
      return plain(chain === undefined ? `flush table ${table}` : `flush chain ${chain}`);
    case 'L':
      return plain(chain === undefined ? `list table ${table}` : `list chain ${chain}`);
    default:
      throw problem(NOT_IMPLEMENTED);
  }
  const verb = cmd.verb === 'A' ? 'add' : 'insert';
  const commands: string[] = [];
  for (const rule of cmd.rules) {
    const text = translateRule({
      rule,
      table: cmd.table,
      declare: (stem, body) => {
        const name = names.next(stem);
        commands.push(`add set ${table} ${name} ${body}`);
        return name;
      },
    });
    if (text === undefined) return 'unknown';
    // A rule number is a place in the chain, which nft calls an index and counts from 0.
    const index = cmd.verb === 'I' && cmd.index > 1 ? ` index ${cmd.index - 1}` : '';
    commands.push(`${verb} rule ${chain}${index} ${text}`);
  }
  return { commands, quoted: true };
}

export const NOT_IMPLEMENTED = 'Translation not implemented\n';
