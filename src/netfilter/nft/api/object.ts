/**
 * NFT_MSG_{NEW,GET,DEL}OBJ: named counters, quotas, limits, connection limits, ct helpers and timeouts. Other kinds are refused by name.
 */
import { EBUSY, EEXIST, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { type AttrWriter, attrMap, getBeU64, getString } from '../../../wire/netlink/attr.ts';
import type { Message } from '../../../wire/netlink/message.ts';
import { NLM_F_APPEND, NLM_F_EXCL } from '../../../wire/uapi/netlink.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { connlimit } from '../expr/connlimit.ts';
import { counter } from '../expr/counter.ts';
import { ctExpectation, ctHelper, ctTimeout } from '../expr/ct-object.ts';
import { limit } from '../expr/limit.ts';
import { quota } from '../expr/quota.ts';
import { type ExprKind, need, notFound, u32Attr } from '../expr.ts';
import type { NftObject, Table } from '../model.ts';
import { checkOwner, type Nftables, nftMessage, objectKey, type Request } from '../nftables.ts';
import { type Transaction, takeOut } from '../transaction.ts';
import { goneType, newFlags } from './notify.ts';

const KINDS: ReadonlyMap<number, ExprKind> = new Map([
  [U.NFT_OBJECT_COUNTER, counter],
  [U.NFT_OBJECT_QUOTA, quota],
  [U.NFT_OBJECT_LIMIT, limit],
  [U.NFT_OBJECT_CT_HELPER, ctHelper],
  [U.NFT_OBJECT_CT_TIMEOUT, ctTimeout],
  [U.NFT_OBJECT_CT_EXPECT, ctExpectation],
  [U.NFT_OBJECT_CONNLIMIT, connlimit],
]);

const NAMES: ReadonlyMap<number, string> = new Map([
  [U.NFT_OBJECT_TUNNEL, 'tunnel'],
  [U.NFT_OBJECT_SECMARK, 'secmark'],
  [U.NFT_OBJECT_SYNPROXY, 'synproxy'],
]);

export function newObject(nft: Nftables, tx: Transaction, req: Request): void {
  const { attrs } = req;
  const table = nft.table(req.family, attrs.get(U.NFTA_OBJ_TABLE));
  checkOwner(table);
  const nameAttr = need(attrs, U.NFTA_OBJ_NAME);
  const type = u32Attr(attrs, U.NFTA_OBJ_TYPE);
  const data = need(attrs, U.NFTA_OBJ_DATA);
  const name = getString(nameAttr.payload);
  const key = objectKey(type, name);
  if (table.objects.has(key)) {
    if (req.flags & NLM_F_EXCL) throw new KernelError(EEXIST, undefined, nameAttr.offset);
    return;
  }
  const kind = KINDS.get(type);
  if (kind === undefined) {
    throw new KernelError(
      EOPNOTSUPP,
      `netloom does not support ${NAMES.get(type) ?? `type ${type}`} objects yet`,
      nameAttr.offset,
    );
  }
  const object: NftObject = {
    table,
    name,
    type,
    handle: ++table.lastHandle,
    userdata: attrs.get(U.NFTA_OBJ_USERDATA)?.payload.slice(),
    impl: kind.init(attrMap(data.payload), nft.context(table, undefined)),
    use: 0,
  };
  table.objects.set(key, object);
  tx.undo(() => table.objects.delete(key));
  tx.note((r) => objectMessage(nft, r, object, newFlags(r), false));
}

function objectOf(table: Table, req: Request): NftObject {
  const type = u32Attr(req.attrs, U.NFTA_OBJ_TYPE);
  const handleAttr = req.attrs.get(U.NFTA_OBJ_HANDLE);
  if (handleAttr) {
    const handle = Number(getBeU64(handleAttr.payload));
    for (const object of table.objects.values()) if (object.handle === handle && object.type === type) return object;
    throw notFound(handleAttr);
  }
  const nameAttr = need(req.attrs, U.NFTA_OBJ_NAME);
  const object = table.objects.get(objectKey(type, getString(nameAttr.payload)));
  if (object === undefined) throw notFound(nameAttr);
  return object;
}

export function deleteObject(nft: Nftables, tx: Transaction, req: Request): void {
  const table = nft.table(req.family, req.attrs.get(U.NFTA_OBJ_TABLE));
  checkOwner(table);
  const object = objectOf(table, req);
  if (object.use > 0) throw new KernelError(EBUSY, undefined, req.attrs.get(U.NFTA_OBJ_NAME)?.offset);
  const key = objectKey(object.type, object.name);
  takeOut(table.objects, key, tx.undo);
  tx.note((r) => objectMessage(nft, r, object, 0, false, goneType(r, U.NFT_MSG_DELOBJ)));
}

export function objectMessage(
  nft: Nftables,
  req: Pick<Request, 'seq'>,
  object: NftObject,
  flags: number,
  reset: boolean,
  type: number = U.NFT_MSG_NEWOBJ,
): Message {
  return nftMessage(type, flags, req, object.table.family, nft.generation, (w: AttrWriter) => {
    w.string(U.NFTA_OBJ_TABLE, object.table.name).string(U.NFTA_OBJ_NAME, object.name);
    w.beU32(U.NFTA_OBJ_TYPE, object.type).beU64(U.NFTA_OBJ_HANDLE, BigInt(object.handle));
    w.beU32(U.NFTA_OBJ_USE, object.use);
    w.nest(U.NFTA_OBJ_DATA, (d) => object.impl.dump?.(d, reset));
    if (object.userdata) w.bytes(U.NFTA_OBJ_USERDATA, object.userdata);
  });
}

export function* getObjects(nft: Nftables, req: Request, flags: number, reset: boolean): Generator<Message> {
  const tableName = req.attrs.get(U.NFTA_OBJ_TABLE);
  const type = u32Attr(req.attrs, U.NFTA_OBJ_TYPE, 0);
  for (const table of nft.tables.values()) {
    if (req.family !== 0 && table.family !== req.family) continue;
    if (tableName && getString(tableName.payload) !== table.name) continue;
    for (const object of table.objects.values()) {
      if (type === 0 || object.type === type) yield objectMessage(nft, req, object, flags | NLM_F_APPEND, reset);
    }
  }
}

export function getObject(nft: Nftables, req: Request, reset: boolean): Message {
  const table = nft.table(req.family, req.attrs.get(U.NFTA_OBJ_TABLE));
  return objectMessage(nft, req, objectOf(table, req), 0, reset);
}
