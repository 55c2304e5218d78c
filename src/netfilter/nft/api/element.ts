/**
 * NFT_MSG_{NEW,GET,DEL}SETELEM.
 */
import { EBUSY, EEXIST, EINVAL, ENFILE, ENOENT, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { type Attr, AttrWriter, attrMap, getBeU64, getString, readAttrs } from '../../../wire/netlink/attr.ts';
import type { Message } from '../../../wire/netlink/message.ts';
import { NLM_F_EXCL, NLM_F_MULTI } from '../../../wire/uapi/netlink.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { dumpValue, dumpVerdict, readValue, readVerdict, releaseVerdict } from '../data.ts';
import { type InitContext, need, noUndo, u32Attr } from '../expr.ts';
import { checkOwner, findSet, type Nftables, nftMessage, objectKey, type Request } from '../nftables.ts';
import { releaseElement } from '../set/bind.ts';
import type { Element, NftSet } from '../set/set.ts';
import type { Transaction } from '../transaction.ts';
import { goneType, newFlags } from './notify.ts';
import { dumpExpr } from './rule.ts';

/** A dump message holds elements up to about this many bytes. */
const MESSAGE_SIZE = 16_000;

const ALL_FLAGS = U.NFT_SET_ELEM_INTERVAL_END | U.NFT_SET_ELEM_CATCHALL;

type Named = Pick<Element, 'key' | 'keyEnd' | 'flags'>;

/** Key, upper end and flags of an element in a message. */
function parseKey(set: NftSet, attrs: ReadonlyMap<number, Attr>): Named {
  const flags = u32Attr(attrs, U.NFTA_SET_ELEM_FLAGS, 0);
  if (flags & ~ALL_FLAGS) throw new KernelError(EINVAL);
  if (flags & U.NFT_SET_ELEM_INTERVAL_END && !(set.flags & U.NFT_SET_INTERVAL)) throw new KernelError(EINVAL);
  const keyAttr = attrs.get(U.NFTA_SET_ELEM_KEY);
  if (flags & U.NFT_SET_ELEM_CATCHALL) {
    if (keyAttr) throw new KernelError(EINVAL);
    return { key: new Uint8Array(0), keyEnd: undefined, flags };
  }
  if (keyAttr === undefined) throw new KernelError(EINVAL);
  const key = readValue(keyAttr);
  if (key.length !== set.keyLength) throw new KernelError(EINVAL, undefined, keyAttr.offset);
  const endAttr = attrs.get(U.NFTA_SET_ELEM_KEY_END);
  const keyEnd = endAttr ? readValue(endAttr) : undefined;
  if (keyEnd && keyEnd.length !== set.keyLength) throw new KernelError(EINVAL, undefined, endAttr?.offset);
  return { key, keyEnd, flags };
}

function parseElement(nft: Nftables, set: NftSet, attr: Attr, ctx: InitContext): Element {
  const attrs = attrMap(attr.payload);
  const named = parseKey(set, attrs);
  const end = (named.flags & U.NFT_SET_ELEM_INTERVAL_END) !== 0;
  const dataAttr = attrs.get(U.NFTA_SET_ELEM_DATA);
  let data: Uint8Array | undefined;
  let verdict: Element['verdict'];
  if (set.flags & U.NFT_SET_MAP) {
    if ((dataAttr === undefined) !== end) throw new KernelError(EINVAL);
    if (dataAttr) {
      if (set.dataType === U.NFT_DATA_VERDICT) verdict = readVerdict(dataAttr, ctx);
      else {
        data = readValue(dataAttr);
        if (data.length !== set.dataLength) throw new KernelError(EINVAL, undefined, dataAttr.offset);
      }
    }
  } else if (dataAttr) throw new KernelError(EINVAL, undefined, dataAttr.offset);
  try {
    const objectAttr = attrs.get(U.NFTA_SET_ELEM_OBJREF);
    let object: Element['object'];
    if (objectAttr) {
      if (!(set.flags & U.NFT_SET_OBJECT)) throw new KernelError(EINVAL);
      object = set.table.objects.get(objectKey(set.objectType, getString(objectAttr.payload)));
      if (object === undefined) throw new KernelError(ENOENT, undefined, objectAttr.offset);
    } else if (set.flags & U.NFT_SET_OBJECT && !end) throw new KernelError(EINVAL);
    const timeoutAttr = attrs.get(U.NFTA_SET_ELEM_TIMEOUT);
    const expirationAttr = attrs.get(U.NFTA_SET_ELEM_EXPIRATION);
    if ((timeoutAttr || expirationAttr) && !(set.flags & U.NFT_SET_TIMEOUT)) throw new KernelError(EINVAL);
    const timeoutMs = timeoutAttr ? Number(getBeU64(timeoutAttr.payload)) : end ? 0 : set.timeoutMs;
    const left = expirationAttr ? Number(getBeU64(expirationAttr.payload)) : timeoutMs;
    const exprAttr = attrs.get(U.NFTA_SET_ELEM_EXPR);
    const exprsAttr = attrs.get(U.NFTA_SET_ELEM_EXPRESSIONS);
    const given = exprAttr ? [exprAttr] : exprsAttr ? readAttrs(exprsAttr.payload) : [];
    const exprs = given.length > 0 ? nft.expressions(given, ctx) : end ? [] : set.exprs.map((e) => e.clone!());
    if (set.exprs.length > 0 && given.length > 0 && exprs.some((e, i) => e.name !== set.exprs[i]?.name)) {
      throw new KernelError(EOPNOTSUPP);
    }
    if (object) object.use++;
    // Written out: a spread in front makes V8 build every element property by property.
    return {
      key: named.key,
      keyEnd: named.keyEnd,
      flags: named.flags,
      data,
      verdict,
      object,
      timeoutMs,
      expires: left > 0 ? nft.host.world.now + left * 1e6 : Number.POSITIVE_INFINITY,
      userdata: attrs.get(U.NFTA_SET_ELEM_USERDATA)?.payload.slice(),
      exprs,
    };
  } catch (error) {
    if (verdict) releaseVerdict(verdict, noUndo);
    throw error;
  }
}

/** True when both say the same about a key. */
function sameData(a: Element, b: Element): boolean {
  if (a.verdict || b.verdict) return a.verdict?.code === b.verdict?.code && a.verdict?.chain === b.verdict?.chain;
  if (a.object !== b.object) return false;
  if (a.data === undefined || b.data === undefined) return a.data === b.data;
  return a.data.every((byte, i) => byte === b.data![i]);
}

function limitOf(set: NftSet): number {
  // An interval is two elements of the structure behind.
  return set.flags & U.NFT_SET_INTERVAL && set.fields.length < 2 ? set.maxSize * 2 : set.maxSize;
}

function addElement(nft: Nftables, tx: Transaction, req: Request, set: NftSet, attr: Attr, ctx: InitContext): void {
  const element = parseElement(nft, set, attr, ctx);
  const give = (): void => releaseElement(element, noUndo);
  const { now } = nft.host.world;
  if (element.flags & U.NFT_SET_ELEM_CATCHALL) {
    if (set.catchall && set.catchall.expires > now) {
      const old = set.catchall;
      give();
      if (!sameData(old, element)) throw new KernelError(EBUSY);
      if (req.flags & NLM_F_EXCL) throw new KernelError(EEXIST);
      return;
    }
    set.catchall = element;
    tx.undo(() => {
      set.catchall = undefined;
      give();
    });
    noteElement(nft, tx, set, element, true);
    return;
  }
  const clash = set.backend.insert(element, now);
  if (clash === 'overlap') {
    give();
    throw new KernelError(EEXIST);
  }
  if (clash) {
    give();
    if (!sameData(clash, element)) throw new KernelError(EBUSY);
    if (req.flags & NLM_F_EXCL) throw new KernelError(EEXIST);
    return;
  }
  tx.undo(() => {
    set.backend.remove(element);
    set.count--;
    give();
  });
  set.count++;
  noteElement(nft, tx, set, element, true);
  if (set.maxSize > 0 && set.count > limitOf(set)) throw new KernelError(ENFILE);
}

/** Runs `work` on an element; whatever is wrong inside it, the position in the answer is the element. */
function about<T>(attr: Attr, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof KernelError) throw new KernelError(error.errno, error.extack, attr.offset);
    throw error;
  }
}

export function newElements(nft: Nftables, tx: Transaction, req: Request): void {
  const table = nft.table(req.family, req.attrs.get(U.NFTA_SET_ELEM_LIST_TABLE));
  checkOwner(table);
  const set = findSet(table, req.attrs.get(U.NFTA_SET_ELEM_LIST_SET), req.attrs.get(U.NFTA_SET_ELEM_LIST_SET_ID));
  if (set.use > 0 && set.flags & U.NFT_SET_CONSTANT) throw new KernelError(EBUSY);
  if (set.dataType === U.NFT_DATA_VERDICT) tx.jumps = true;
  const ctx = nft.context(table, undefined);
  for (const attr of readAttrs(need(req.attrs, U.NFTA_SET_ELEM_LIST_ELEMENTS).payload))
    about(attr, () => addElement(nft, tx, req, set, attr, ctx));
}

function noteElement(nft: Nftables, tx: Transaction, set: NftSet, element: Element, added: boolean): void {
  tx.note((r) => {
    const type = added ? U.NFT_MSG_NEWSETELEM : goneType(r, U.NFT_MSG_DELSETELEM);
    return elementMessage(
      nft,
      r,
      set,
      (w) => dumpElement(w, set, element, nft.host.world.now, false),
      newFlags(r),
      type,
    );
  });
}

function removeElement(nft: Nftables, tx: Transaction, set: NftSet, element: Element): void {
  noteElement(nft, tx, set, element, false);
  set.backend.remove(element);
  set.count--;
  releaseElement(element, tx.undo);
  tx.undo(() => {
    if (set.backend.restore) set.backend.restore(element);
    else set.backend.insert(element, 0);
    set.count++;
  });
}

export function deleteElements(nft: Nftables, tx: Transaction, req: Request, mustExist: boolean): void {
  const table = nft.table(req.family, req.attrs.get(U.NFTA_SET_ELEM_LIST_TABLE));
  checkOwner(table);
  const set = findSet(table, req.attrs.get(U.NFTA_SET_ELEM_LIST_SET), undefined);
  if (set.use > 0 && set.flags & U.NFT_SET_CONSTANT) throw new KernelError(EBUSY);
  const list = req.attrs.get(U.NFTA_SET_ELEM_LIST_ELEMENTS);
  if (list === undefined) {
    // From the far end, so that taking back inserts starts before their ends.
    for (const element of [...set.backend.elements()]) removeElement(nft, tx, set, element);
    if (set.catchall) dropCatchall(nft, tx, set);
    return;
  }
  for (const attr of readAttrs(list.payload)) {
    about(attr, () => {
      const named = parseKey(set, attrMap(attr.payload));
      if (named.flags & U.NFT_SET_ELEM_CATCHALL) {
        if (set.catchall) dropCatchall(nft, tx, set);
        else if (mustExist) throw new KernelError(ENOENT);
        return;
      }
      const element = set.backend.find(named);
      if (element) removeElement(nft, tx, set, element);
      else if (mustExist) throw new KernelError(ENOENT);
    });
  }
}

function dropCatchall(nft: Nftables, tx: Transaction, set: NftSet): void {
  const old = set.catchall!;
  noteElement(nft, tx, set, old, false);
  releaseElement(old, tx.undo);
  set.catchall = undefined;
  tx.undo(() => {
    set.catchall = old;
  });
}

function dumpElement(w: AttrWriter, set: NftSet, element: Element, now: number, reset: boolean): void {
  w.nest(U.NFTA_LIST_ELEM, (n) => {
    if (!(element.flags & U.NFT_SET_ELEM_CATCHALL)) dumpValue(n, U.NFTA_SET_ELEM_KEY, element.key);
    if (element.keyEnd) dumpValue(n, U.NFTA_SET_ELEM_KEY_END, element.keyEnd);
    if (element.verdict) dumpVerdict(n, U.NFTA_SET_ELEM_DATA, element.verdict);
    else if (element.data) dumpValue(n, U.NFTA_SET_ELEM_DATA, element.data);
    if (element.exprs.length === 1) dumpExpr(n, U.NFTA_SET_ELEM_EXPR, element.exprs[0], reset);
    else if (element.exprs.length > 1) {
      n.nest(U.NFTA_SET_ELEM_EXPRESSIONS, () => {
        for (const expr of element.exprs) dumpExpr(n, U.NFTA_LIST_ELEM, expr, reset);
      });
    }
    if (element.object) n.string(U.NFTA_SET_ELEM_OBJREF, element.object.name);
    if (element.flags) n.beU32(U.NFTA_SET_ELEM_FLAGS, element.flags);
    if (element.timeoutMs) {
      if (element.timeoutMs !== set.timeoutMs) n.beU64(U.NFTA_SET_ELEM_TIMEOUT, BigInt(element.timeoutMs));
      n.beU64(U.NFTA_SET_ELEM_EXPIRATION, BigInt(Math.max(0, Math.floor((element.expires - now) / 1e6))));
    }
    if (element.userdata) n.bytes(U.NFTA_SET_ELEM_USERDATA, element.userdata);
  });
}

function elementMessage(
  nft: Nftables,
  req: Pick<Request, 'seq'>,
  set: NftSet,
  fill: (w: AttrWriter) => void,
  flags: number,
  type: number,
): Message {
  return nftMessage(type, flags, req, set.table.family, nft.generation, (w) => {
    w.string(U.NFTA_SET_ELEM_LIST_TABLE, set.table.name).string(U.NFTA_SET_ELEM_LIST_SET, set.name);
    w.nest(U.NFTA_SET_ELEM_LIST_ELEMENTS, fill);
  });
}

/** Messages with the given elements, split so that none grows beyond what a netlink message may hold. */
export function* elementMessages(
  nft: Nftables,
  req: Pick<Request, 'seq'>,
  set: NftSet,
  elements: Iterable<Element>,
  flags: number,
  type: number,
  reset = false,
): Generator<Message> {
  const { now } = nft.host.world;
  let batch = new AttrWriter(0);
  const flush = (): Message => {
    const bytes = batch.finish();
    batch = new AttrWriter(0);
    return elementMessage(nft, req, set, (n) => n.raw(bytes), flags, type);
  };
  for (const element of elements) {
    if (element.expires <= now) continue;
    dumpElement(batch, set, element, now, reset);
    if (batch.length > MESSAGE_SIZE) yield flush();
  }
  if (batch.length > 0) yield flush();
}

function* allElements(set: NftSet): Generator<Element> {
  yield* set.backend.elements();
  if (set.catchall) yield set.catchall;
}

export function* dumpElements(nft: Nftables, req: Request, reset: boolean): Generator<Message> {
  const table = nft.table(req.family, req.attrs.get(U.NFTA_SET_ELEM_LIST_TABLE));
  const set = findSet(table, req.attrs.get(U.NFTA_SET_ELEM_LIST_SET), undefined);
  yield* elementMessages(nft, req, set, allElements(set), NLM_F_MULTI, U.NFT_MSG_NEWSETELEM, reset);
}

/** The elements that hold the keys asked for (NFT_MSG_GETSETELEM without a dump); ENOENT when one has none. */
export function* getElements(nft: Nftables, req: Request, reset: boolean): Generator<Message> {
  const table = nft.table(req.family, req.attrs.get(U.NFTA_SET_ELEM_LIST_TABLE));
  const set = findSet(table, req.attrs.get(U.NFTA_SET_ELEM_LIST_SET), undefined);
  const { now } = nft.host.world;
  for (const attr of readAttrs(need(req.attrs, U.NFTA_SET_ELEM_LIST_ELEMENTS).payload)) {
    const element = about(attr, () => {
      const named = parseKey(set, attrMap(attr.payload));
      const found = named.flags & U.NFT_SET_ELEM_CATCHALL ? set.catchall : set.backend.get(named, now);
      if (found === undefined || found.expires <= now) throw new KernelError(ENOENT);
      return found;
    });
    yield* elementMessages(nft, req, set, [element], 0, U.NFT_MSG_NEWSETELEM, reset);
  }
}
