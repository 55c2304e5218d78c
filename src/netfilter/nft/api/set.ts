/**
 * NFT_MSG_{NEW,GET,DEL}SET.
 */
import { EBUSY, EEXIST, EINVAL, ENFILE, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { type Attr, type AttrWriter, attrMap, getBeU64, getString, readAttrs } from '../../../wire/netlink/attr.ts';
import type { Message } from '../../../wire/netlink/message.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../../../wire/uapi/netlink.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { need, notFound, u32Attr } from '../expr.ts';
import type { Table } from '../model.ts';
import { checkOwner, type Nftables, nftMessage, type Request } from '../nftables.ts';
import { releaseElements } from '../set/bind.ts';
import { ConcatIntervalBackend } from '../set/concat-interval.ts';
import { HashBackend } from '../set/hash.ts';
import { IntervalBackend } from '../set/interval.ts';
import type { NftSet, SetBackend } from '../set/set.ts';
import { type Transaction, takeOut } from '../transaction.ts';
import { goneType, newFlags } from './notify.ts';
import { dumpExpr } from './rule.ts';

const NFT_SET_CONCAT = 0x80;
const ALL_FLAGS = 0x1ff;
const KEY_MAX = 64;
/** Bytes of a verdict in the kernel (struct nft_verdict), which messages give as the data length of verdict maps. */
const VERDICT_LENGTH = 16;

function newBackend(flags: number, keyLength: number, fields: readonly number[]): SetBackend {
  if (!(flags & U.NFT_SET_INTERVAL)) return new HashBackend(keyLength);
  return fields.length > 1
    ? new ConcatIntervalBackend(fields, keyLength)
    : new IntervalBackend(keyLength, (flags & U.NFT_SET_ANONYMOUS) !== 0);
}

/** A free name for "__set%d": the smallest number that no set of the table has. */
function allocateName(table: Table, pattern: string, attr: Attr): string {
  if (!pattern.includes('%')) return pattern;
  if (!/^[^%]*%d$/.test(pattern)) throw new KernelError(EINVAL, undefined, attr.offset);
  const prefix = pattern.slice(0, -2);
  for (let n = 0; n < 1 << 20; n++) if (!table.sets.has(prefix + n)) return prefix + n;
  throw new KernelError(ENFILE);
}

export function newSet(nft: Nftables, tx: Transaction, req: Request): NftSet {
  const { attrs } = req;
  const table = nft.table(req.family, attrs.get(U.NFTA_SET_TABLE));
  checkOwner(table);
  const nameAttr = need(attrs, U.NFTA_SET_NAME);
  const keyLength = u32Attr(attrs, U.NFTA_SET_KEY_LEN);
  const id = u32Attr(attrs, U.NFTA_SET_ID);
  if (keyLength === 0 || keyLength > KEY_MAX)
    throw new KernelError(EINVAL, undefined, attrs.get(U.NFTA_SET_KEY_LEN)?.offset);
  const flags = u32Attr(attrs, U.NFTA_SET_FLAGS, 0);
  if (flags & ~ALL_FLAGS) throw new KernelError(EOPNOTSUPP, undefined, attrs.get(U.NFTA_SET_FLAGS)?.offset);
  const isMap = (flags & U.NFT_SET_MAP) !== 0;
  const isObject = (flags & U.NFT_SET_OBJECT) !== 0;
  if (isMap && isObject) throw new KernelError(EOPNOTSUPP);
  if ((flags & (U.NFT_SET_EVAL | U.NFT_SET_OBJECT)) === (U.NFT_SET_EVAL | U.NFT_SET_OBJECT))
    throw new KernelError(EOPNOTSUPP);
  const fixed = (mask: number): boolean => (flags & (mask | U.NFT_SET_EVAL)) === mask;
  if (fixed(U.NFT_SET_ANONYMOUS | U.NFT_SET_TIMEOUT)) throw new KernelError(EOPNOTSUPP);
  if (fixed(U.NFT_SET_CONSTANT | U.NFT_SET_TIMEOUT)) throw new KernelError(EOPNOTSUPP);
  let dataType = 0;
  let dataLength = 0;
  if (attrs.has(U.NFTA_SET_DATA_TYPE)) {
    if (!isMap) throw new KernelError(EINVAL);
    dataType = u32Attr(attrs, U.NFTA_SET_DATA_TYPE);
    if (dataType !== U.NFT_DATA_VERDICT) {
      dataLength = u32Attr(attrs, U.NFTA_SET_DATA_LEN);
      if (dataLength === 0 || dataLength > KEY_MAX) throw new KernelError(EINVAL);
    }
  } else if (isMap) throw new KernelError(EINVAL);
  const timeoutAttr = attrs.get(U.NFTA_SET_TIMEOUT);
  if ((timeoutAttr || attrs.has(U.NFTA_SET_GC_INTERVAL)) && !(flags & U.NFT_SET_TIMEOUT)) throw new KernelError(EINVAL);
  let maxSize = 0;
  const fields: number[] = [];
  const desc = attrs.get(U.NFTA_SET_DESC);
  if (desc) {
    const d = attrMap(desc.payload);
    maxSize = u32Attr(d, U.NFTA_SET_DESC_SIZE, 0);
    const concat = d.get(U.NFTA_SET_DESC_CONCAT);
    if (concat) {
      for (const field of readAttrs(concat.payload)) fields.push(u32Attr(attrMap(field.payload), U.NFTA_SET_FIELD_LEN));
      const total = fields.reduce((sum, f) => sum + ((f + 3) & ~3), 0);
      if (total !== keyLength) throw new KernelError(EINVAL, undefined, desc.offset);
    }
  }
  if (flags & NFT_SET_CONCAT && fields.length < 2) throw new KernelError(EINVAL);
  const pattern = getString(nameAttr.payload);
  const existing = table.sets.get(pattern);
  if (existing) {
    if (req.flags & NLM_F_EXCL) throw new KernelError(EEXIST, undefined, nameAttr.offset);
    if (req.flags & NLM_F_REPLACE) throw new KernelError(EOPNOTSUPP);
    const kept = U.NFT_SET_INTERVAL | U.NFT_SET_MAP | U.NFT_SET_OBJECT;
    if (
      existing.keyLength !== keyLength ||
      existing.dataLength !== dataLength ||
      (existing.flags & kept) !== (flags & kept)
    ) {
      throw new KernelError(EEXIST, undefined, nameAttr.offset);
    }
    if (existing.flags & U.NFT_SET_ANONYMOUS) throw new KernelError(EOPNOTSUPP);
    const { maxSize: size, timeoutMs: ttl, gcIntervalMs: gc } = existing;
    tx.undo(() => Object.assign(existing, { maxSize: size, timeoutMs: ttl, gcIntervalMs: gc }));
    if (timeoutAttr) existing.timeoutMs = Number(getBeU64(timeoutAttr.payload));
    if (attrs.has(U.NFTA_SET_GC_INTERVAL)) existing.gcIntervalMs = u32Attr(attrs, U.NFTA_SET_GC_INTERVAL);
    if (maxSize !== 0) existing.maxSize = maxSize;
    // Elements of the same batch may name the set by this batch's id.
    tx.note((r) => setMessage(nft, r, existing, newFlags(r), U.NFT_MSG_NEWSET));
    return existing;
  }
  if (!(req.flags & NLM_F_CREATE)) throw notFound(nameAttr);
  const name = allocateName(table, pattern, nameAttr);
  const ctx = nft.context(table, undefined);
  const exprAttr = attrs.get(U.NFTA_SET_EXPR);
  const exprsAttr = attrs.get(U.NFTA_SET_EXPRESSIONS);
  const exprs = nft.expressions(exprAttr ? [exprAttr] : exprsAttr ? readAttrs(exprsAttr.payload) : [], ctx);
  if (exprs.some((e) => e.clone === undefined)) throw new KernelError(EOPNOTSUPP);
  const set: NftSet = {
    table,
    name,
    handle: ++table.lastHandle,
    id,
    flags,
    keyType: u32Attr(attrs, U.NFTA_SET_KEY_TYPE, 0),
    keyLength,
    dataType,
    dataLength,
    objectType: isObject ? u32Attr(attrs, U.NFTA_SET_OBJ_TYPE) : 0,
    policy: u32Attr(attrs, U.NFTA_SET_POLICY, 0),
    maxSize,
    fields,
    timeoutMs: timeoutAttr ? Number(getBeU64(timeoutAttr.payload)) : 0,
    gcIntervalMs: u32Attr(attrs, U.NFTA_SET_GC_INTERVAL, 0),
    userdata: attrs.get(U.NFTA_SET_USERDATA)?.payload.slice(),
    exprs,
    backend: newBackend(flags, keyLength, fields),
    catchall: undefined,
    use: 0,
    count: 0,
  };
  table.sets.set(name, set);
  tx.undo(() => table.sets.delete(name));
  tx.note((r) => setMessage(nft, r, set, newFlags(r), U.NFT_MSG_NEWSET));
  return set;
}

function setOf(table: Table, req: Request): NftSet {
  const handleAttr = req.attrs.get(U.NFTA_SET_HANDLE);
  if (handleAttr) {
    const handle = Number(getBeU64(handleAttr.payload));
    for (const set of table.sets.values()) if (set.handle === handle) return set;
    throw notFound(handleAttr);
  }
  const nameAttr = need(req.attrs, U.NFTA_SET_NAME);
  const set = table.sets.get(getString(nameAttr.payload));
  if (set === undefined) throw notFound(nameAttr);
  return set;
}

export function deleteSet(nft: Nftables, tx: Transaction, req: Request): void {
  const table = nft.table(req.family, req.attrs.get(U.NFTA_SET_TABLE));
  checkOwner(table);
  const set = setOf(table, req);
  if (set.use > 0)
    throw new KernelError(
      EBUSY,
      undefined,
      (req.attrs.get(U.NFTA_SET_HANDLE) ?? req.attrs.get(U.NFTA_SET_NAME))?.offset,
    );
  releaseElements(set, tx.undo);
  takeOut(table.sets, set.name, tx.undo);
  tx.note((r) => setMessage(nft, r, set, 0, goneType(r, U.NFT_MSG_DELSET)));
}

export function setMessage(
  nft: Nftables,
  req: Pick<Request, 'seq'>,
  set: NftSet,
  flags: number,
  type: number,
): Message {
  return nftMessage(type, flags, req, set.table.family, nft.generation, (w: AttrWriter) => {
    w.string(U.NFTA_SET_TABLE, set.table.name).string(U.NFTA_SET_NAME, set.name);
    w.beU64(U.NFTA_SET_HANDLE, BigInt(set.handle));
    if (set.flags) w.beU32(U.NFTA_SET_FLAGS, set.flags);
    w.beU32(U.NFTA_SET_KEY_TYPE, set.keyType).beU32(U.NFTA_SET_KEY_LEN, set.keyLength);
    if (set.flags & U.NFT_SET_MAP)
      w.beU32(U.NFTA_SET_DATA_TYPE, set.dataType).beU32(U.NFTA_SET_DATA_LEN, set.dataLength || VERDICT_LENGTH);
    if (set.flags & U.NFT_SET_OBJECT) w.beU32(U.NFTA_SET_OBJ_TYPE, set.objectType);
    if (set.timeoutMs) w.beU64(U.NFTA_SET_TIMEOUT, BigInt(set.timeoutMs));
    if (set.gcIntervalMs) w.beU32(U.NFTA_SET_GC_INTERVAL, set.gcIntervalMs);
    if (set.policy !== 0) w.beU32(U.NFTA_SET_POLICY, set.policy);
    if (set.userdata) w.bytes(U.NFTA_SET_USERDATA, set.userdata);
    w.nest(U.NFTA_SET_DESC, (d) => {
      if (set.maxSize) d.beU32(U.NFTA_SET_DESC_SIZE, set.maxSize);
      if (set.fields.length > 1) {
        d.nest(U.NFTA_SET_DESC_CONCAT, (c) => {
          for (const field of set.fields) c.nest(U.NFTA_LIST_ELEM, (f) => f.beU32(U.NFTA_SET_FIELD_LEN, field));
        });
      }
    });
    // Of interval sets the kernel counts intervals, which are two elements each.
    const pairs = set.backend instanceof IntervalBackend;
    w.beU32(U.NFTA_SET_COUNT, pairs ? set.count >> 1 : set.count);
    if (set.exprs.length === 1) dumpExpr(w, U.NFTA_SET_EXPR, set.exprs[0], false);
    else if (set.exprs.length > 1) {
      w.nest(U.NFTA_SET_EXPRESSIONS, (n) => {
        for (const expr of set.exprs) dumpExpr(n, U.NFTA_LIST_ELEM, expr, false);
      });
    }
  });
}

export function* getSets(nft: Nftables, req: Request, flags: number): Generator<Message> {
  const tableName = req.attrs.get(U.NFTA_SET_TABLE);
  for (const table of nft.tables.values()) {
    if (req.family !== 0 && table.family !== req.family) continue;
    if (tableName && getString(tableName.payload) !== table.name) continue;
    for (const set of table.sets.values()) yield setMessage(nft, req, set, flags, U.NFT_MSG_NEWSET);
  }
}

export function getSet(nft: Nftables, req: Request): Message {
  const table = nft.table(req.family, req.attrs.get(U.NFTA_SET_TABLE));
  return setMessage(nft, req, setOf(table, req), 0, U.NFT_MSG_NEWSET);
}
