/** What arptables and ebtables have in common as commands: verbs on chains and rules, over a session. */
import { IptablesError, OTHER_PROBLEM, problem } from '../errors.ts';
import type { Held, HeldChain, Session } from '../session.ts';
import type { LinkRule } from './rule.ts';

export type LinkCommand = {
  verb: string;
  table: string;
  chain: string | undefined;
  index: number;
  /** Last rule number of a range to delete. */
  last: number;
  newName: string | undefined;
  policy: string | undefined;
  rule: LinkRule;
  verbose: boolean;
  numeric: boolean;
  lineNumbers: boolean;
  counters: boolean;
};

/** What a tool prints in its own way. */
export type LinkStyle = {
  readonly program: string;
  /** Rule as arguments. */
  text(rule: LinkRule): string;
  /** `-L`. */
  list(session: Session<LinkRule>, cmd: LinkCommand, chains: readonly HeldChain<LinkRule>[]): string;
  /** A rule after -v. */
  verbose(rule: LinkRule): string;
  /** User chains have a policy, kept as their last rule. */
  readonly userPolicies: boolean;
  /** Full stop at the end of complaints. */
  readonly stop: string;
};

const failed = (text: string): IptablesError => new IptablesError(OTHER_PROBLEM, text, true);
const noChain = (style: LinkStyle): IptablesError => failed(`No chain/target/match by that name${style.stop}`);

/** All chains: base chains in hook order, used or not, then the others by name. */
export function linkChains(session: Session<LinkRule>, table: string): HeldChain<LinkRule>[] {
  const there = session.table(table).chains;
  const base = (session.dialect.builtIn(table) ?? []).map(
    (spec): HeldChain<LinkRule> =>
      there.get(spec.name) ?? {
        name: spec.name,
        handle: undefined,
        base: spec,
        policy: 1,
        packets: 0n,
        bytes: 0n,
        use: 0,
        rules: [],
        before: [],
        after: [],
      },
  );
  const users = [...there.values()].filter((chain) => chain.base === undefined);
  users.sort((a, b) => (a.name < b.name ? -1 : 1));
  return [...base, ...users];
}

/** The rules without the one that is the policy. */
export function plainRules(session: Session<LinkRule>, table: string, chain: HeldChain<LinkRule>): Held<LinkRule>[] {
  return session.rules(table, chain).filter((held) => !held.rule.policy);
}

/** Policy of a chain by name. */
export function linkPolicy(session: Session<LinkRule>, table: string, chain: HeldChain<LinkRule>): string {
  if (chain.base !== undefined) return chain.policy === 0 ? 'DROP' : 'ACCEPT';
  const last = session.rules(table, chain).find((held) => held.rule.policy)?.rule.target;
  return last !== undefined && 'verdict' in last ? last.verdict : 'RETURN';
}

function setUserPolicy(
  session: Session<LinkRule>,
  table: string,
  chain: HeldChain<LinkRule>,
  policy: string,
  blank: LinkRule,
): void {
  const at = session.rules(table, chain).findIndex((held) => held.rule.policy);
  if (at >= 0) session.remove(table, chain, at);
  if (policy !== 'RETURN')
    session.add(table, chain, { ...blank, policy: true, target: { verdict: policy } }, undefined);
}

function need(session: Session<LinkRule>, cmd: LinkCommand, style: LinkStyle): HeldChain<LinkRule> {
  const name = cmd.chain ?? '';
  const chain = session.chain(cmd.table, name) ?? session.ensureBase(cmd.table, name);
  if (chain === undefined) throw noChain(style);
  return chain;
}

function append(
  session: Session<LinkRule>,
  table: string,
  chain: HeldChain<LinkRule>,
  rule: LinkRule,
  style: LinkStyle,
): void {
  const at = style.userPolicies ? session.rules(table, chain).findIndex((held) => held.rule.policy) : -1;
  session.add(table, chain, rule, at < 0 ? undefined : at);
}

/** Runs a command; changes stay in the session's batch. */
export function runLink(session: Session<LinkRule>, cmd: LinkCommand, style: LinkStyle, blank: LinkRule): string {
  const { table, rule } = cmd;
  if (session.dialect.builtIn(table) === undefined)
    throw new IptablesError(
      3,
      `table '${table}' does not exist\nPerhaps ${style.program} or your kernel needs to be upgraded.`,
    );
  const target = rule.target;
  if (target !== undefined && 'chain' in target && session.chain(table, target.chain) === undefined)
    throw problem(`Chain '${target.chain}' does not exist`);
  const said = cmd.verbose && 'AIDR'.includes(cmd.verb) ? `${style.verbose(rule)}\n` : '';
  switch (cmd.verb) {
    case 'A':
      append(session, table, need(session, cmd, style), rule, style);
      return said;
    case 'I': {
      const chain = need(session, cmd, style);
      const count = plainRules(session, table, chain).length;
      if (cmd.index > count + 1) throw failed(`Index of insertion too big${style.stop}`);
      if (cmd.index === count + 1 && cmd.index > 1) append(session, table, chain, rule, style);
      else session.add(table, chain, rule, Math.max(0, cmd.index - 1));
      return said;
    }
    case 'R': {
      const chain = need(session, cmd, style);
      if (cmd.index < 1 || cmd.index > plainRules(session, table, chain).length)
        throw failed(`Index of replacement too big${style.stop}`);
      session.replace(table, chain, rule, cmd.index - 1);
      return said;
    }
    case 'D': {
      const chain = need(session, cmd, style);
      const rules = plainRules(session, table, chain);
      if (cmd.index > 0) {
        if (cmd.index > rules.length) throw failed(`Index of deletion too big${style.stop}`);
        for (let n = Math.min(cmd.last, rules.length); n >= cmd.index; n--) session.remove(table, chain, n - 1);
        return said;
      }
      const wanted = style.text(rule);
      const at = rules.findIndex((held) => style.text(held.rule) === wanted);
      if (at < 0) throw failed(`Bad rule (does a matching rule exist in that chain?)${style.stop}`);
      session.remove(table, chain, at);
      return said;
    }
    case 'F':
      for (const chain of cmd.chain === undefined
        ? [...session.table(table).chains.values()]
        : [need(session, cmd, style)]) {
        const policy = style.userPolicies && chain.base === undefined ? linkPolicy(session, table, chain) : 'RETURN';
        session.flush(table, chain);
        if (chain.base === undefined && policy !== 'RETURN') setUserPolicy(session, table, chain, policy, blank);
      }
      return '';
    case 'Z':
      for (const chain of cmd.chain === undefined
        ? [...session.table(table).chains.values()]
        : [need(session, cmd, style)])
        session.rules(table, chain).forEach((held, i) => {
          if (held.rule.packets !== 0n || held.rule.bytes !== 0n)
            session.replace(table, chain, { ...held.rule, packets: 0n, bytes: 0n }, i);
        });
      return '';
    case 'N': {
      const name = cmd.chain ?? '';
      if (session.chain(table, name) || session.dialect.builtIn(table)?.some((spec) => spec.name === name))
        throw failed(`Chain already exists${style.stop}`);
      session.addUserChain(table, name);
      const chain = session.chain(table, name);
      if (style.userPolicies && chain) setUserPolicy(session, table, chain, cmd.policy ?? 'ACCEPT', blank);
      return '';
    }
    case 'X': {
      if (cmd.chain !== undefined && session.chain(table, cmd.chain) === undefined) throw noChain(style);
      for (const chain of [...session.table(table).chains.values()]) {
        if (
          cmd.chain === undefined
            ? chain.base !== undefined && session.rules(table, chain).length > 0
            : chain.name !== cmd.chain
        )
          continue;
        if (cmd.chain === undefined && chain.base !== undefined && chain.policy !== 1) continue;
        const at = session.rules(table, chain).findIndex((held) => held.rule.policy);
        if (at >= 0) session.remove(table, chain, at);
        session.deleteChain(table, chain);
      }
      return '';
    }
    case 'E': {
      const chain = session.chain(table, cmd.chain ?? '');
      if (session.chain(table, cmd.newName ?? '')) throw failed(`File exists${style.stop}`);
      if (chain === undefined) throw noChain(style);
      session.renameChain(table, chain, cmd.newName ?? '');
      return '';
    }
    case 'P': {
      const name = cmd.chain ?? '';
      const policy = cmd.policy ?? '';
      if (session.dialect.builtIn(table)?.some((spec) => spec.name === name)) {
        if (policy === 'RETURN' && style.userPolicies)
          throw problem('Policy RETURN only allowed for user defined chains');
        if (policy !== 'ACCEPT' && policy !== 'DROP') throw failed(`Bad policy name${style.stop}`);
        session.setPolicy(table, name, policy === 'DROP' ? 0 : 1);
        return '';
      }
      const chain = session.chain(table, name);
      if (chain === undefined || !style.userPolicies) throw noChain(style);
      setUserPolicy(session, table, chain, policy, blank);
      return '';
    }
    case 'L': {
      const all = linkChains(session, table);
      const chosen = cmd.chain === undefined ? all : all.filter((chain) => chain.name === cmd.chain);
      if (chosen.length === 0) throw noChain(style);
      return style.list(session, cmd, chosen);
    }
    case 'S':
      return saveLines(session, table, style, false, cmd.chain).join('');
    default:
      throw problem('No command specified');
  }
}

/** -S lines, or the body of a save file (`save`). */
export function saveLines(
  session: Session<LinkRule>,
  table: string,
  style: LinkStyle,
  save: boolean,
  only?: string,
  counters?: (rule: LinkRule) => [string, string],
): string[] {
  const chains = linkChains(session, table).filter((chain) => only === undefined || chain.name === only);
  const out: string[] = [];
  for (const chain of chains) {
    const policy = chain.base === undefined && !style.userPolicies ? '-' : linkPolicy(session, table, chain);
    if (save) out.push(`:${chain.name} ${policy}\n`);
    else out.push(chain.base === undefined ? `-N ${chain.name}\n` : `-P ${chain.name} ${policy}\n`);
  }
  for (const chain of chains)
    for (const { rule } of plainRules(session, table, chain)) {
      const [before, after] = counters?.(rule) ?? ['', ''];
      out.push(`${before}-A ${chain.name}${style.text(rule)}${after}\n`);
    }
  return out;
}
