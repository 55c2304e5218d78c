/**
 * NFT_MSG_{NEW,GET,DEL}TABLE.
 */
import { EEXIST, EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { type AttrWriter, getString } from '../../../wire/netlink/attr.ts';
import type { Message } from '../../../wire/netlink/message.ts';
import {
  NFPROTO_ARP,
  NFPROTO_BRIDGE,
  NFPROTO_INET,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  NFPROTO_NETDEV,
} from '../../../wire/uapi/netfilter.ts';
import { NLM_F_EXCL, NLM_F_REPLACE } from '../../../wire/uapi/netlink.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { need, u32Attr } from '../expr.ts';
import type { Table } from '../model.ts';
import { type Nftables, nftMessage, type Request, tableKey } from '../nftables.ts';
import { releaseElements } from '../set/bind.ts';
import { type Transaction, takeOut } from '../transaction.ts';
import { chainMessage } from './chain.ts';
import { flowtableMessage, unbind } from './flowtable.ts';
import { hookChain, unhookChain } from './hooks.ts';
import { goneType, newFlags } from './notify.ts';
import { objectMessage } from './object.ts';
import { ruleMessage } from './rule.ts';
import { setMessage } from './set.ts';

const FAMILIES: readonly number[] = [
  NFPROTO_INET,
  NFPROTO_IPV4,
  NFPROTO_ARP,
  NFPROTO_NETDEV,
  NFPROTO_BRIDGE,
  NFPROTO_IPV6,
];
const NFT_TABLE_F_DORMANT = 1;
const NFT_TABLE_F_OWNER = 2;
const NFT_TABLE_F_PERSIST = 4;
const NAME_MAX = 255;

export function newTable(nft: Nftables, tx: Transaction, req: Request): void {
  const nameAttr = need(req.attrs, U.NFTA_TABLE_NAME);
  const name = getString(nameAttr.payload);
  if (!FAMILIES.includes(req.family)) throw new KernelError(EOPNOTSUPP);
  if (name === '' || name.length > NAME_MAX) throw new KernelError(EINVAL, undefined, nameAttr.offset);
  const flags = u32Attr(req.attrs, U.NFTA_TABLE_FLAGS, 0);
  if (flags & ~(NFT_TABLE_F_DORMANT | NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST)) throw new KernelError(EOPNOTSUPP);
  const existing = nft.tables.get(tableKey(req.family, name));
  if (existing !== undefined) {
    if (req.flags & NLM_F_EXCL) throw new KernelError(EEXIST, undefined, nameAttr.offset);
    if (req.flags & NLM_F_REPLACE) throw new KernelError(EOPNOTSUPP);
    if (req.attrs.has(U.NFTA_TABLE_FLAGS)) setDormant(nft, tx, existing, flags);
    noteTable(nft, tx, existing);
    return;
  }
  const table: Table = {
    family: req.family,
    name,
    handle: nft.nextTableHandle(),
    flags: flags & NFT_TABLE_F_DORMANT,
    userdata: req.attrs.get(U.NFTA_TABLE_USERDATA)?.payload.slice(),
    owner: 0,
    chains: new Map(),
    sets: new Map(),
    objects: new Map(),
    flowtables: new Map(),
    lastHandle: 0,
  };
  if (flags & NFT_TABLE_F_OWNER) throw new KernelError(EOPNOTSUPP, 'netloom does not support tables with an owner yet');
  nft.tables.set(tableKey(req.family, name), table);
  tx.undo(() => nft.tables.delete(tableKey(req.family, name)));
  noteTable(nft, tx, table);
}

function noteTable(nft: Nftables, tx: Transaction, table: Table): void {
  tx.note((req) => tableMessage(nft, req, table, newFlags(req), U.NFT_MSG_NEWTABLE));
}

/** Tells of everything in a table that goes with it, in the kernel's order. */
function noteRemoval(nft: Nftables, tx: Transaction, table: Table): void {
  for (const chain of table.chains.values())
    for (const rule of chain.rules)
      tx.note((req) => ruleMessage(nft, req, rule, undefined, 0, goneType(req, U.NFT_MSG_DELRULE)));
  for (const set of table.sets.values())
    if (!(set.flags & U.NFT_SET_ANONYMOUS))
      tx.note((req) => setMessage(nft, req, set, 0, goneType(req, U.NFT_MSG_DELSET)));
  for (const flowtable of table.flowtables.values())
    tx.note((req) => flowtableMessage(nft, req, flowtable, 0, goneType(req, U.NFT_MSG_DELFLOWTABLE)));
  for (const object of table.objects.values())
    tx.note((req) => objectMessage(nft, req, object, 0, false, goneType(req, U.NFT_MSG_DELOBJ)));
  for (const chain of table.chains.values())
    tx.note((req) => chainMessage(nft, req, chain, 0, goneType(req, U.NFT_MSG_DELCHAIN)));
  tx.note((req) => tableMessage(nft, req, table, 0, goneType(req, U.NFT_MSG_DELTABLE)));
}

/** Turns a table off and on: a dormant table keeps everything but its hooks. */
function setDormant(nft: Nftables, tx: Transaction, table: Table, flags: number): void {
  const before = table.flags;
  const dormant = flags & NFT_TABLE_F_DORMANT;
  if ((before & NFT_TABLE_F_DORMANT) === dormant) return;
  table.flags = (before & ~NFT_TABLE_F_DORMANT) | dormant;
  tx.undo(() => {
    table.flags = before;
  });
  tx.onCommit(() => {
    for (const chain of table.chains.values()) {
      if (chain.base === undefined) continue;
      if (dormant) unhookChain(nft, chain);
      else hookChain(nft, chain);
    }
  });
}

/** Takes everything of a table out, and the table. */
export function removeTable(nft: Nftables, tx: Transaction, table: Table): void {
  noteRemoval(nft, tx, table);
  for (const chain of table.chains.values()) {
    for (const rule of chain.rules) for (const expr of rule.exprs) expr.destroy?.(tx.undo);
    if (chain.base !== undefined) tx.onCommit(() => unhookChain(nft, chain));
  }
  for (const set of table.sets.values()) releaseElements(set, tx.undo);
  for (const flowtable of table.flowtables.values()) tx.onCommit(() => unbind(nft, flowtable));
  const key = tableKey(table.family, table.name);
  takeOut(nft.tables, key, tx.undo);
}

export function deleteTable(nft: Nftables, tx: Transaction, req: Request): void {
  const name = req.attrs.get(U.NFTA_TABLE_NAME);
  const handle = req.attrs.get(U.NFTA_TABLE_HANDLE);
  if (name === undefined && handle === undefined) {
    // `flush ruleset`: all tables, or those of one family.
    for (const table of [...nft.tables.values()]) {
      if (req.family === 0 || table.family === req.family) removeTable(nft, tx, table);
    }
    return;
  }
  removeTable(nft, tx, nft.table(req.family, name, handle));
}

export function tableMessage(
  nft: Nftables,
  req: Pick<Request, 'seq'>,
  table: Table,
  flags: number,
  type: number,
): Message {
  return nftMessage(type, flags, req, table.family, nft.generation, (w: AttrWriter) => {
    w.string(U.NFTA_TABLE_NAME, table.name).beU32(U.NFTA_TABLE_USE, tableUse(table));
    w.beU64(U.NFTA_TABLE_HANDLE, table.handle).beU32(U.NFTA_TABLE_FLAGS, table.flags);
    if (table.userdata) w.bytes(U.NFTA_TABLE_USERDATA, table.userdata);
  });
}

/** Anonymous sets count with the rule they belong to. */
function tableUse(table: Table): number {
  let sets = 0;
  for (const set of table.sets.values()) if (!(set.flags & U.NFT_SET_ANONYMOUS)) sets++;
  return table.chains.size + sets + table.objects.size + table.flowtables.size;
}

export function* getTables(nft: Nftables, req: Request, flags: number): Generator<Message> {
  for (const table of nft.tables.values()) {
    if (req.family === 0 || table.family === req.family) yield tableMessage(nft, req, table, flags, U.NFT_MSG_NEWTABLE);
  }
}
