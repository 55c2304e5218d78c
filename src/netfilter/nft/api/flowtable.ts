/**
 * NFT_MSG_{NEW,GET,DEL}FLOWTABLE.
 */
import { EBUSY, EEXIST, EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import type { HookEntry } from '../../../core/hook.ts';
import { type AttrWriter, attrMap, getBeU64, getString, readAttrs } from '../../../wire/netlink/attr.ts';
import type { Message } from '../../../wire/netlink/message.ts';
import { NFPROTO_NETDEV } from '../../../wire/uapi/netfilter.ts';
import { NLM_F_EXCL } from '../../../wire/uapi/netlink.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { FlowPath } from '../../flowtable/flowtable.ts';
import { need, notFound, u32Attr } from '../expr.ts';
import type { Flowtable, Table } from '../model.ts';
import { checkOwner, type Nftables, nftMessage, type Request } from '../nftables.ts';
import { type Transaction, takeOut } from '../transaction.ts';
import { goneType, newFlags } from './notify.ts';

const NF_NETDEV_INGRESS = 0;
const NFT_FLOWTABLE_COUNTER = 2;

function devicesOf(nft: Nftables, hook: ReadonlyMap<number, { payload: Uint8Array }>): string[] {
  const list = hook.get(U.NFTA_FLOWTABLE_HOOK_DEVS);
  if (list === undefined) return [];
  return readAttrs(list.payload).map((attr) => {
    const name = getString(attr.payload);
    if (nft.host.deviceIndex(name) === 0) throw notFound(attr);
    return name;
  });
}

export function newFlowtable(nft: Nftables, tx: Transaction, req: Request): void {
  const { attrs } = req;
  const table = nft.table(req.family, attrs.get(U.NFTA_FLOWTABLE_TABLE));
  checkOwner(table);
  const nameAttr = need(attrs, U.NFTA_FLOWTABLE_NAME);
  const name = getString(nameAttr.payload);
  const hook = attrMap(need(attrs, U.NFTA_FLOWTABLE_HOOK).payload);
  const devices = devicesOf(nft, hook);
  const existing = table.flowtables.get(name);
  if (existing !== undefined) {
    if (req.flags & NLM_F_EXCL) throw new KernelError(EEXIST, undefined, nameAttr.offset);
    const before = existing.devices;
    existing.devices = [...before, ...devices.filter((d) => !before.includes(d))];
    tx.undo(() => {
      existing.devices = before;
    });
    tx.onCommit(() => bind(nft, existing));
    tx.note((r) => flowtableMessage(nft, r, existing, newFlags(r)));
    return;
  }
  const flags = u32Attr(attrs, U.NFTA_FLOWTABLE_FLAGS, 0);
  if (flags & ~U.NFT_FLOWTABLE_MASK) throw new KernelError(EOPNOTSUPP);
  const number = u32Attr(hook, U.NFTA_FLOWTABLE_HOOK_NUM);
  const priority = u32Attr(hook, U.NFTA_FLOWTABLE_HOOK_PRIORITY) | 0;
  if (number !== NF_NETDEV_INGRESS) throw new KernelError(EOPNOTSUPP);
  const flowtable: Flowtable = {
    table,
    name,
    handle: ++table.lastHandle,
    hook: number,
    priority,
    devices,
    flags,
    use: 0,
    path: new FlowPath(nft.host, (flags & NFT_FLOWTABLE_COUNTER) !== 0),
    hooks: new Map(),
  };
  table.flowtables.set(name, flowtable);
  tx.undo(() => table.flowtables.delete(name));
  tx.onCommit(() => bind(nft, flowtable));
  tx.note((r) => flowtableMessage(nft, r, flowtable, newFlags(r)));
}

function flowtableOf(table: Table, req: Request): Flowtable {
  const handleAttr = req.attrs.get(U.NFTA_FLOWTABLE_HANDLE);
  if (handleAttr) {
    if (handleAttr.payload.length < 8) throw new KernelError(EINVAL);
    const handle = Number(getBeU64(handleAttr.payload));
    for (const f of table.flowtables.values()) if (f.handle === handle) return f;
    throw notFound(handleAttr);
  }
  const nameAttr = need(req.attrs, U.NFTA_FLOWTABLE_NAME);
  const found = table.flowtables.get(getString(nameAttr.payload));
  if (found === undefined) throw notFound(nameAttr);
  return found;
}

export function deleteFlowtable(nft: Nftables, tx: Transaction, req: Request): void {
  const table = nft.table(req.family, req.attrs.get(U.NFTA_FLOWTABLE_TABLE));
  checkOwner(table);
  const flowtable = flowtableOf(table, req);
  const hookAttr = req.attrs.get(U.NFTA_FLOWTABLE_HOOK);
  if (hookAttr) {
    // With devices in the request only these go.
    const gone = devicesOf(nft, attrMap(hookAttr.payload));
    const before = flowtable.devices;
    flowtable.devices = before.filter((d) => !gone.includes(d));
    tx.undo(() => {
      flowtable.devices = before;
    });
    tx.onCommit(() => bind(nft, flowtable));
    return;
  }
  if (flowtable.use > 0) throw new KernelError(EBUSY, undefined, req.attrs.get(U.NFTA_FLOWTABLE_NAME)?.offset);
  takeOut(table.flowtables, flowtable.name, tx.undo);
  tx.note((r) => flowtableMessage(nft, r, flowtable, 0, goneType(r, U.NFT_MSG_DELFLOWTABLE)));
  tx.onCommit(() => unbind(nft, flowtable));
}

/** Puts the fast path on the ingress of the flowtable's devices, and takes it off devices that it lost. */
function bind(nft: Nftables, f: Flowtable): void {
  for (const [name, entry] of f.hooks)
    if (!f.devices.includes(name)) {
      nft.host.hooks.unregister(entry);
      f.hooks.delete(name);
    }
  for (const name of f.devices) {
    const ifindex = nft.host.deviceIndex(name);
    if (f.hooks.has(name) || ifindex === 0) continue;
    const entry: HookEntry = {
      pf: NFPROTO_NETDEV,
      hook: NF_NETDEV_INGRESS,
      priority: f.priority,
      ifindex,
      name: `flowtable ${f.name}`,
      fn: (p, state) => f.path.receive(p, state.iif),
    };
    nft.host.hooks.register(entry);
    f.hooks.set(name, entry);
  }
}

/** Ends a flowtable: its flows go the slow way again. */
export function unbind(nft: Nftables, f: Flowtable): void {
  for (const entry of f.hooks.values()) nft.host.hooks.unregister(entry);
  f.hooks.clear();
  f.path.flush();
}

export function flowtableMessage(
  nft: Nftables,
  req: Pick<Request, 'seq'>,
  f: Flowtable,
  flags: number,
  type: number = U.NFT_MSG_NEWFLOWTABLE,
): Message {
  return nftMessage(type, flags, req, f.table.family, nft.generation, (w: AttrWriter) => {
    w.string(U.NFTA_FLOWTABLE_TABLE, f.table.name).string(U.NFTA_FLOWTABLE_NAME, f.name);
    w.beU64(U.NFTA_FLOWTABLE_HANDLE, BigInt(f.handle)).beU32(U.NFTA_FLOWTABLE_USE, f.use);
    w.beU32(U.NFTA_FLOWTABLE_FLAGS, f.flags);
    w.nest(U.NFTA_FLOWTABLE_HOOK, (h) => {
      h.beU32(U.NFTA_FLOWTABLE_HOOK_NUM, f.hook).beU32(U.NFTA_FLOWTABLE_HOOK_PRIORITY, f.priority);
      h.nest(U.NFTA_FLOWTABLE_HOOK_DEVS, (d) => {
        for (const device of f.devices) d.string(U.NFTA_DEVICE_NAME, device);
      });
    });
  });
}

export function* getFlowtables(nft: Nftables, req: Request, flags: number): Generator<Message> {
  const tableName = req.attrs.get(U.NFTA_FLOWTABLE_TABLE);
  for (const table of nft.tables.values()) {
    if (req.family !== 0 && table.family !== req.family) continue;
    if (tableName && getString(tableName.payload) !== table.name) continue;
    for (const f of table.flowtables.values()) yield flowtableMessage(nft, req, f, flags);
  }
}

export function getFlowtable(nft: Nftables, req: Request): Message {
  const table = nft.table(req.family, req.attrs.get(U.NFTA_FLOWTABLE_TABLE));
  return flowtableMessage(nft, req, flowtableOf(table, req), 0);
}
