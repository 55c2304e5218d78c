/**
 * NFT_MSG_{NEW,GET,DEL}RULE.
 */
import { E2BIG, EEXIST, EINVAL, ENOENT, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { type Attr, type AttrWriter, attrMap, getBeU64, getString, readAttrs } from '../../../wire/netlink/attr.ts';
import type { Message } from '../../../wire/netlink/message.ts';
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../../../wire/uapi/netlink.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { beU32 } from '../data.ts';
import { type Expr, notFound, noUndo, u32Attr } from '../expr.ts';
import type { Chain, Rule, Table } from '../model.ts';
import { checkOwner, type Nftables, nftMessage, type Request } from '../nftables.ts';
import type { Transaction } from '../transaction.ts';
import { goneType, ruleFlags } from './notify.ts';

const NFT_RULE_MAXEXPRS = 128;

/** The chain's rules as a list that this batch may change in place; a packet in flight keeps the old list. */
function writable(tx: Transaction, chain: Chain): Rule[] {
  const before = chain.rules;
  const own = tx.rules.get(chain);
  if (own !== undefined) return own;
  const copy = [...before];
  chain.rules = copy;
  tx.rules.set(chain, copy);
  tx.undo(() => {
    chain.rules = before;
  });
  return copy;
}

function indexOf(rules: readonly Rule[], attr: Attr): number {
  const handle = Number(getBeU64(attr.payload));
  // The newest rules are asked for most.
  for (let i = rules.length - 1; i >= 0; i--) if (rules[i].handle === handle) return i;
  throw notFound(attr);
}

function indexOfId(rules: readonly Rule[], attr: Attr): number {
  const id = beU32(attr);
  for (let i = rules.length - 1; i >= 0; i--) if (rules[i].id === id) return i;
  throw notFound(attr);
}

function chainOf(nft: Nftables, table: Table, req: Request): Chain {
  const name = req.attrs.get(U.NFTA_RULE_CHAIN);
  if (name) return nft.chain(table, name);
  const idAttr = req.attrs.get(U.NFTA_RULE_CHAIN_ID);
  if (idAttr) {
    const id = beU32(idAttr);
    for (const chain of table.chains.values()) if (chain.id === id) return chain;
    throw notFound(idAttr);
  }
  throw new KernelError(EINVAL);
}

export function newRule(nft: Nftables, tx: Transaction, req: Request): Rule {
  const table = nft.table(req.family, req.attrs.get(U.NFTA_RULE_TABLE));
  checkOwner(table);
  const chain = chainOf(nft, table, req);
  const rules = writable(tx, chain);
  const handleAttr = req.attrs.get(U.NFTA_RULE_HANDLE);
  let old = -1;
  let at = req.flags & NLM_F_APPEND ? rules.length : 0;
  if (handleAttr) {
    old = indexOf(rules, handleAttr);
    if (req.flags & NLM_F_EXCL) throw new KernelError(EEXIST, undefined, handleAttr.offset);
    if (!(req.flags & NLM_F_REPLACE)) throw new KernelError(EOPNOTSUPP);
  } else {
    if (!(req.flags & NLM_F_CREATE) || req.flags & NLM_F_REPLACE) throw new KernelError(EINVAL);
    const position = req.attrs.get(U.NFTA_RULE_POSITION);
    const positionId = req.attrs.get(U.NFTA_RULE_POSITION_ID);
    const beside = position ? indexOf(rules, position) : positionId ? indexOfId(rules, positionId) : -1;
    if (beside >= 0) at = req.flags & NLM_F_APPEND ? beside + 1 : beside;
  }
  const list = req.attrs.get(U.NFTA_RULE_EXPRESSIONS);
  const elems = list ? readAttrs(list.payload).filter((a) => a.type === U.NFTA_LIST_ELEM) : [];
  if (elems.length > NFT_RULE_MAXEXPRS) throw new KernelError(E2BIG);
  const compatAttr = req.attrs.get(U.NFTA_RULE_COMPAT);
  const compatAttrs = compatAttr ? attrMap(compatAttr.payload) : undefined;
  const compat = compatAttrs && {
    proto: u32Attr(compatAttrs, U.NFTA_RULE_COMPAT_PROTO),
    flags: u32Attr(compatAttrs, U.NFTA_RULE_COMPAT_FLAGS),
  };
  const exprs = nft.expressions(elems, nft.context(table, chain, compat));
  tx.undo(() => {
    for (const expr of exprs) expr.destroy?.(noUndo);
  });
  if (exprs.some((e) => e.targets !== undefined || e.validate !== undefined)) tx.jumps = true;
  const rule: Rule = {
    chain,
    // A rule that takes another's place takes its handle.
    handle: old >= 0 ? rules[old].handle : ++table.lastHandle,
    exprs,
    userdata: req.attrs.get(U.NFTA_RULE_USERDATA)?.payload.slice(),
    compat,
    id: u32Attr(req.attrs, U.NFTA_RULE_ID, 0),
  };
  if (old >= 0) {
    const replaced = rules[old];
    rules[old] = rule;
    release(tx, replaced);
    noteGone(nft, tx, replaced);
  } else if (at === rules.length) rules.push(rule);
  else rules.splice(at, 0, rule);
  tx.note((r) => ruleMessage(nft, r, rule, before(chain, rule), ruleFlags(r), U.NFT_MSG_NEWRULE));
  return rule;
}

/** The rule that a notification names as position: the one before, unless the rule is the last. */
function before(chain: Chain, rule: Rule): Rule | undefined {
  const { rules } = chain;
  return rules[rules.length - 1] === rule || rules[0] === rule ? undefined : rules[rules.indexOf(rule) - 1];
}

function noteGone(nft: Nftables, tx: Transaction, rule: Rule): void {
  tx.note((r) => ruleMessage(nft, r, rule, undefined, 0, goneType(r, U.NFT_MSG_DELRULE)));
}

function release(tx: Transaction, rule: Rule): void {
  for (const expr of rule.exprs) expr.destroy?.(tx.undo);
}

/** Takes all rules of a chain out. */
export function flushChain(nft: Nftables, tx: Transaction, chain: Chain): void {
  const rules = writable(tx, chain);
  const gone = rules.splice(0);
  for (const rule of gone) {
    release(tx, rule);
    noteGone(nft, tx, rule);
  }
}

export function deleteRule(nft: Nftables, tx: Transaction, req: Request): void {
  const table = nft.table(req.family, req.attrs.get(U.NFTA_RULE_TABLE));
  checkOwner(table);
  const chainAttr = req.attrs.get(U.NFTA_RULE_CHAIN);
  if (chainAttr === undefined) {
    for (const chain of table.chains.values()) flushChain(nft, tx, chain);
    return;
  }
  const chain = nft.chain(table, chainAttr);
  const handle = req.attrs.get(U.NFTA_RULE_HANDLE);
  const id = req.attrs.get(U.NFTA_RULE_ID);
  if (handle === undefined && id === undefined) {
    flushChain(nft, tx, chain);
    return;
  }
  const rules = writable(tx, chain);
  const at = handle ? indexOf(rules, handle) : indexOfId(rules, id!);
  const [gone] = rules.splice(at, 1);
  release(tx, gone);
  noteGone(nft, tx, gone);
}

export function dumpExpr(w: AttrWriter, type: number, expr: Expr, reset: boolean): void {
  w.nest(type, (n) => {
    n.string(U.NFTA_EXPR_NAME, expr.name);
    if (expr.dump !== undefined) n.nest(U.NFTA_EXPR_DATA, (d) => expr.dump!(d, reset));
  });
}

export function ruleMessage(
  nft: Nftables,
  req: Pick<Request, 'seq'>,
  rule: Rule,
  previous: Rule | undefined,
  flags: number,
  type: number,
  reset = false,
): Message {
  const { chain } = rule;
  return nftMessage(type, flags, req, chain.table.family, nft.generation, (w) => {
    w.string(U.NFTA_RULE_TABLE, chain.table.name).string(U.NFTA_RULE_CHAIN, chain.name);
    w.beU64(U.NFTA_RULE_HANDLE, BigInt(rule.handle));
    if (previous) w.beU64(U.NFTA_RULE_POSITION, BigInt(previous.handle));
    w.nest(U.NFTA_RULE_EXPRESSIONS, (n) => {
      for (const expr of rule.exprs) dumpExpr(n, U.NFTA_LIST_ELEM, expr, reset);
    });
    if (rule.userdata) w.bytes(U.NFTA_RULE_USERDATA, rule.userdata);
    if (rule.compat) {
      const { proto, flags: f } = rule.compat;
      w.nest(U.NFTA_RULE_COMPAT, (n) => n.beU32(U.NFTA_RULE_COMPAT_PROTO, proto).beU32(U.NFTA_RULE_COMPAT_FLAGS, f));
    }
  });
}

export function* getRules(nft: Nftables, req: Request, flags: number, reset: boolean): Generator<Message> {
  const tableName = req.attrs.get(U.NFTA_RULE_TABLE);
  const chainName = req.attrs.get(U.NFTA_RULE_CHAIN);
  for (const table of nft.tables.values()) {
    if (req.family !== 0 && table.family !== req.family) continue;
    if (tableName && getString(tableName.payload) !== table.name) continue;
    for (const chain of table.chains.values()) {
      if (chainName && getString(chainName.payload) !== chain.name) continue;
      let previous: Rule | undefined;
      for (const rule of chain.rules) {
        yield ruleMessage(nft, req, rule, previous, flags | NLM_F_APPEND, U.NFT_MSG_NEWRULE, reset);
        previous = rule;
      }
    }
  }
}

/** One rule by handle (NFT_MSG_GETRULE without a dump). */
export function getRule(nft: Nftables, req: Request, reset: boolean): Message {
  const table = nft.table(req.family, req.attrs.get(U.NFTA_RULE_TABLE));
  const chain = nft.chain(table, req.attrs.get(U.NFTA_RULE_CHAIN));
  const handle = req.attrs.get(U.NFTA_RULE_HANDLE);
  if (handle === undefined) throw new KernelError(ENOENT);
  const at = indexOf(chain.rules, handle);
  return ruleMessage(nft, req, chain.rules[at], chain.rules[at - 1], 0, U.NFT_MSG_NEWRULE, reset);
}
