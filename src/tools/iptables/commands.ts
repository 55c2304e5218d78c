/** What every command of iptables does to a session. */

import type { Command } from './args.ts';
import { builtIn } from './built-in.ts';
import { IptablesError, OTHER_PROBLEM, problem } from './errors.ts';
import { findExtension } from './extensions.ts';
import { type ListStyle, listHeading, listRule, shortCount, verboseRule } from './list-text.ts';
import type { Rule } from './rule.ts';
import { ruleText } from './save-text.ts';
import { commandFailed, type Held, type HeldChain, type HeldTable, type Origin, type Session } from './session.ts';

const NO_CHAIN = 'No chain/target/match by that name.';
const NO_RULE = 'Bad rule (does a matching rule exist in that chain?).';

/** Base chains in hook order, then the others by name. */
export function sortedChains(table: HeldTable): HeldChain[] {
  const all = [...table.chains.values()];
  const base = all.filter((chain) => chain.base !== undefined);
  base.sort((a, b) => (a.base?.hook ?? 0) - (b.base?.hook ?? 0));
  const rest = all.filter((chain) => chain.base === undefined);
  rest.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return [...base, ...rest];
}

/** The chains that a listing shows: base chains that nobody has used yet are there with policy ACCEPT. */
export function shownChains(session: Session, tableName: string): HeldChain[] {
  const table = session.table(tableName);
  const missing = (builtIn(tableName) ?? [])
    .filter((spec) => !table.chains.has(spec.name))
    .map(
      (spec): HeldChain => ({
        name: spec.name,
        handle: undefined,
        base: { hook: spec.hook, priority: spec.priority, type: spec.type },
        policy: 1,
        packets: 0n,
        bytes: 0n,
        use: 0,
        rules: [],
        before: [],
        after: [],
      }),
    );
  if (missing.length === 0) return sortedChains(table);
  const chains = new Map(table.chains);
  for (const chain of missing) chains.set(chain.name, chain);
  return sortedChains({ ...table, chains });
}

/** False for base chains of other tools: iptables does not show them. */
export function isBuiltIn(table: string, chain: HeldChain): boolean {
  return builtIn(table)?.some((spec) => spec.name === chain.name) ?? false;
}

/** The warning about base chains of other tools. */
export function foreignBases(session: Session, table: string): string {
  const any = shownChains(session, table).some((chain) => chain.base !== undefined && !isBuiltIn(table, chain));
  return any ? `# Table \`${table}' contains incompatible base-chains, use 'nft' tool to list them.\n` : '';
}

export const policyName = (policy: number): string => (policy === 0 ? 'DROP' : 'ACCEPT');

function needChain(session: Session, cmd: Command, origin?: Origin): HeldChain {
  const name = cmd.chain ?? '';
  const chain = session.chain(cmd.table, name) ?? session.ensureBase(cmd.table, name, origin);
  if (chain === undefined) throw commandFailed(NO_CHAIN);
  return chain;
}

function checkTarget(session: Session, cmd: Command): void {
  for (const rule of cmd.rules) {
    const t = rule.target;
    if (t === undefined || !('chain' in t)) continue;
    if (session.chain(cmd.table, t.chain) === undefined) {
      if (cmd.legacy) throw problem(`Couldn't load target \`${t.chain}':No such file or directory\n`);
      throw problem(`Chain '${t.chain}' does not exist`);
    }
    return;
  }
}

/** Number of the first rule equal to this one; -1 when there is none. */
function find(session: Session, cmd: Command, chain: HeldChain, rule: Rule): number {
  const wanted = ruleText(rule);
  return session.rules(cmd.table, chain).findIndex((held) => !held.rule.foreign && ruleText(held.rule) === wanted);
}

function list(session: Session, cmd: Command): string {
  const style: ListStyle = {
    numeric: cmd.numeric,
    verbose: cmd.verbose > 0,
    exact: cmd.exact,
    lineNumbers: cmd.lineNumbers,
  };
  const chains = chosen(session, cmd);
  const blocks: string[] = [];
  for (const chain of chains) {
    const rules = session.rules(cmd.table, chain);
    if (cmd.index > 0) {
      const held = rules[cmd.index - 1];
      if (held) blocks.push(`${listRule(held.rule, cmd.index, style)}\n`);
      continue;
    }
    let out = `Chain ${chain.name} (`;
    if (chain.base === undefined) out += `${references(session, cmd.table, chain)} references)\n`;
    else {
      out += `policy ${policyName(chain.policy)}`;
      if (style.verbose) {
        out += ` ${shortCount(chain.packets, style.exact)} packets, ${shortCount(chain.bytes, style.exact)} bytes`;
      }
      out += ')\n';
    }
    out += `${listHeading(style)}\n`;
    rules.forEach((held, i) => {
      out += `${listRule(held.rule, i + 1, style)}\n`;
    });
    blocks.push(out);
  }
  return blocks.join(cmd.index > 0 ? '' : '\n');
}

function references(session: Session, table: string, wanted: HeldChain): number {
  let count = 0;
  for (const chain of session.table(table).chains.values())
    for (const { rule } of session.rules(table, chain))
      if (rule.target !== undefined && 'chain' in rule.target && rule.target.chain === wanted.name) count++;
  return count;
}

function chosen(session: Session, cmd: Command): HeldChain[] {
  const chains = shownChains(session, cmd.table);
  if (cmd.chain === undefined) return chains.filter((c) => c.base === undefined || isBuiltIn(cmd.table, c));
  const chain = chains.find((c) => c.name === cmd.chain);
  if (chain === undefined)
    throw new IptablesError(
      OTHER_PROBLEM,
      `chain \`${cmd.chain}' in table \`${cmd.table}' is incompatible, use 'nft' tool.`,
    );
  return [chain];
}

function listRules(session: Session, cmd: Command): string {
  const chains = chosen(session, cmd);
  const lines: string[] = [];
  const counts = (packets: bigint, bytes: bigint): string => (cmd.verbose > 0 ? ` -c ${packets} ${bytes}` : '');
  if (cmd.index === 0)
    for (const chain of chains) {
      if (chain.base === undefined) lines.push(`-N ${chain.name}`);
      else lines.push(`-P ${chain.name} ${policyName(chain.policy)}${counts(chain.packets, chain.bytes)}`);
    }
  for (const chain of chains)
    session.rules(cmd.table, chain).forEach((held, i) => {
      if (cmd.index > 0 && cmd.index !== i + 1) return;
      lines.push(`-A ${chain.name}${withCounters(held, counts)}`);
    });
  return lines.map((line) => `${line}\n`).join('');
}

/** The rule with " -c p b" in front of its target, as -S -v prints it. */
function withCounters(held: Held, counts: (packets: bigint, bytes: bigint) => string): string {
  const text = ruleText(held.rule);
  const extra = counts(held.rule.packets, held.rule.bytes);
  if (extra === '') return text;
  const target = ruleText({ ...held.rule, target: undefined });
  return target + extra + text.slice(target.length);
}

function zero(session: Session, cmd: Command, origin?: Origin): void {
  for (const chain of cmd.chain === undefined
    ? session.table(cmd.table).chains.values()
    : [needChain(session, cmd, origin)]) {
    if (chain.base !== undefined && cmd.index === 0)
      session.setPolicy(cmd.table, chain.name, chain.policy, 0n, 0n, origin);
    session.rules(cmd.table, chain).forEach((held, i) => {
      if (cmd.index > 0 && cmd.index !== i + 1) return;
      if (held.rule.packets === 0n && held.rule.bytes === 0n) return;
      if (held.rule.foreign) return;
      session.replace(cmd.table, chain, { ...held.rule, packets: 0n, bytes: 0n }, i, origin);
    });
  }
}

function deleteChains(session: Session, cmd: Command, origin?: Origin): void {
  const table = session.table(cmd.table);
  if (cmd.chain !== undefined) {
    const chain = table.chains.get(cmd.chain);
    if (chain === undefined) throw commandFailed(NO_CHAIN);
    session.deleteChain(cmd.table, chain, origin);
    return;
  }
  for (const chain of [...table.chains.values()]) {
    // A base chain that does nothing goes as well; it is made again when it is needed.
    if (chain.base !== undefined && (chain.policy !== 1 || session.rules(cmd.table, chain).length > 0)) continue;
    session.deleteChain(cmd.table, chain, origin);
  }
}

/** What -v says of the rules or chains that a command handles. */
function told(session: Session, cmd: Command): string {
  if (cmd.verbose === 0) return '';
  if ('AIRDC'.includes(cmd.verb)) return cmd.rules.map((rule) => `${verboseRule(rule)}\n`).join('');
  const word = cmd.verb === 'F' ? 'Flushing' : cmd.verb === 'Z' ? 'Zeroing' : cmd.verb === 'X' ? 'Deleting' : undefined;
  if (word === undefined) return '';
  const chains = shownChains(session, cmd.table).filter((chain) => cmd.chain === undefined || chain.name === cmd.chain);
  return chains
    .filter((chain) => cmd.verb !== 'X' || chain.base === undefined)
    .map((chain) => `${word} chain \`${chain.name}'\n`)
    .join('');
}

/** Runs a command; the answer is what it prints. Changes are left in the session's batch. Throws IptablesError. */
export function runCommand(session: Session, cmd: Command, origin?: Origin): string {
  const before = told(session, cmd);
  return before + execute(session, cmd, origin);
}

function execute(session: Session, cmd: Command, origin?: Origin): string {
  if (builtIn(cmd.table) === undefined) {
    throw new IptablesError(
      3,
      `table '${cmd.table}' does not exist\nPerhaps iptables or your kernel needs to be upgraded.`,
    );
  }
  switch (cmd.verb) {
    case 'A': {
      checkTarget(session, cmd);
      const chain = needChain(session, cmd, origin);
      for (const rule of cmd.rules) session.add(cmd.table, chain, rule, undefined, origin);
      return '';
    }
    case 'I': {
      checkTarget(session, cmd);
      const chain = needChain(session, cmd, origin);
      insert(session, cmd, chain, origin);
      return '';
    }
    case 'R': {
      checkTarget(session, cmd);
      const chain = needChain(session, cmd, origin);
      if (cmd.rules.length !== 1) throw problem('Replacement rule does not specify a unique address');
      if (cmd.index > session.rules(cmd.table, chain).length) throw commandFailed('Index of replacement too big.');
      session.replace(cmd.table, chain, cmd.rules[0], cmd.index - 1, origin);
      return '';
    }
    case 'D': {
      const chain = session.chain(cmd.table, cmd.chain ?? '') ?? session.ensureBase(cmd.table, cmd.chain ?? '', origin);
      if (chain === undefined) throw commandFailed(NO_CHAIN);
      if (cmd.index > 0) {
        if (cmd.index > session.rules(cmd.table, chain).length) throw commandFailed('Index of deletion too big.');
        session.remove(cmd.table, chain, cmd.index - 1, origin);
        return '';
      }
      checkTarget(session, cmd);
      for (const rule of cmd.rules) {
        const at = find(session, cmd, chain, rule);
        if (at < 0) throw commandFailed(NO_RULE);
        session.remove(cmd.table, chain, at, origin);
      }
      return '';
    }
    case 'C': {
      checkTarget(session, cmd);
      const chain = session.chain(cmd.table, cmd.chain ?? '');
      if (chain === undefined && !builtIn(cmd.table)?.some((spec) => spec.name === cmd.chain))
        throw commandFailed(NO_CHAIN);
      for (const rule of cmd.rules)
        if (chain === undefined || find(session, cmd, chain, rule) < 0) throw commandFailed(NO_RULE);
      return '';
    }
    case 'L': {
      const out = foreignBases(session, cmd.table) + list(session, cmd);
      if (cmd.alsoZero) zero(session, { ...cmd, index: 0 }, origin);
      return out;
    }
    case 'S': {
      const out = foreignBases(session, cmd.table) + listRules(session, cmd);
      if (cmd.alsoZero) zero(session, { ...cmd, index: 0 }, origin);
      return out;
    }
    case 'F': {
      if (cmd.chain === undefined) session.flush(cmd.table, undefined, origin);
      else session.flush(cmd.table, needChain(session, cmd, origin), origin);
      return '';
    }
    case 'Z':
      zero(session, cmd, origin);
      return '';
    case 'N': {
      const name = cmd.chain ?? '';
      if (session.chain(cmd.table, name) || builtIn(cmd.table)?.some((spec) => spec.name === name))
        throw commandFailed('Chain already exists.');
      session.addUserChain(cmd.table, name, origin);
      return '';
    }
    case 'X':
      deleteChains(session, cmd, origin);
      return '';
    case 'E': {
      const chain = session.chain(cmd.table, cmd.chain ?? '');
      if (chain === undefined) throw commandFailed(NO_CHAIN);
      const name = cmd.newName ?? '';
      if (session.chain(cmd.table, name)) throw commandFailed('File exists.');
      if (findExtension('target', name, session.dialect.nfproto === 2 ? 4 : 6))
        throw problem('chain name may not clash with target name\n');
      session.renameChain(cmd.table, chain, name);
      return '';
    }
    case 'P': {
      const name = cmd.chain ?? '';
      if (!builtIn(cmd.table)?.some((spec) => spec.name === name)) throw commandFailed('Bad built-in chain name.');
      if (cmd.policy !== 'ACCEPT' && cmd.policy !== 'DROP')
        throw commandFailed("Bad policy name. Run `dmesg' for more information.");
      const chain = session.chain(cmd.table, name);
      session.setPolicy(cmd.table, name, cmd.policy === 'DROP' ? 0 : 1, chain?.packets, chain?.bytes, origin);
      return '';
    }
  }
}

function insert(session: Session, cmd: Command, chain: HeldChain, origin?: Origin): void {
  const at = cmd.index - 1;
  if (at > 0) {
    const count = session.rules(cmd.table, chain).length;
    if (at > count) throw commandFailed('Index of insertion too big.');
    if (at === count) {
      for (const rule of cmd.rules) session.add(cmd.table, chain, rule, undefined, origin);
      return;
    }
  }
  // Several rules keep their order when each goes in front of the one before.
  for (const rule of [...cmd.rules].reverse()) session.add(cmd.table, chain, rule, at, origin);
}
