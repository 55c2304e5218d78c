/**
 * Sets that rules of a script add to. As nft(8) does, one without a size gets room for 65535 members, so that packets
 * cannot fill the memory.
 */
import type { Command, Rule } from './ast.ts';

export const DYNAMIC_SET_SIZE = 0xffff;

function rulesOf(command: Command): readonly Rule[] {
  const { object } = command;
  switch (object.kind) {
    case 'rule':
      return [object];
    case 'chain':
      return object.rules;
    case 'table':
      return object.chains.flatMap((chain) => chain.rules);
    default:
      return [];
  }
}

/** "FAMILY TABLE NAME" of the sets. */
export function dynamicSets(commands: readonly Command[]): Set<string> {
  const out = new Set<string>();
  for (const command of commands) {
    for (const rule of rulesOf(command)) {
      for (const stmt of rule.stmts) {
        if (stmt.kind === 'dynset') out.add(`${rule.family} ${rule.table} ${stmt.set.name}`);
      }
    }
  }
  return out;
}
