/**
 * NFT_MSG_{NEW,GET,DEL}CHAIN.
 */
import { EBUSY, EEXIST, EINVAL, ENOENT, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { type Attr, type AttrWriter, attrMap, getBeU64, getString, readAttrs } from '../../../wire/netlink/attr.ts';
import type { Message } from '../../../wire/netlink/message.ts';
import * as H from '../../../wire/uapi/netfilter.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../../../wire/uapi/netlink.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { need, notFound, u32Attr } from '../expr.ts';
import type { BaseChain, Chain, Table } from '../model.ts';
import { checkOwner, type Nftables, nftMessage, type Request } from '../nftables.ts';
import { type Transaction, takeOut } from '../transaction.ts';
import { hookChain, unhookChain } from './hooks.ts';
import { goneType, newFlags } from './notify.ts';
import { ruleMessage } from './rule.ts';

const NFT_CHAIN_BASE = 1;
const NFT_CHAIN_BINDING = 4;
const NF_IP_PRI_CONNTRACK = -200;
const NAME_MAX = 255;

const IP_HOOKS = [
  H.NF_INET_PRE_ROUTING,
  H.NF_INET_LOCAL_IN,
  H.NF_INET_FORWARD,
  H.NF_INET_LOCAL_OUT,
  H.NF_INET_POST_ROUTING,
];
const NAT_HOOKS = [H.NF_INET_PRE_ROUTING, H.NF_INET_LOCAL_IN, H.NF_INET_LOCAL_OUT, H.NF_INET_POST_ROUTING];

/** Hooks that a chain type knows in a family; undefined when the family has no such type. */
function hooksOf(family: number, type: string): readonly number[] | undefined {
  const ip = family === H.NFPROTO_IPV4 || family === H.NFPROTO_IPV6 || family === H.NFPROTO_INET;
  switch (type) {
    case 'filter':
      if (family === H.NFPROTO_INET) return [...IP_HOOKS, H.NF_INET_INGRESS];
      if (ip || family === H.NFPROTO_BRIDGE) return IP_HOOKS;
      if (family === H.NFPROTO_ARP) return [0, 1];
      return [H.NF_NETDEV_INGRESS, H.NF_NETDEV_EGRESS];
    case 'nat':
      return ip ? NAT_HOOKS : undefined;
    case 'route':
      return ip ? [H.NF_INET_LOCAL_OUT] : undefined;
    default:
      return undefined;
  }
}

/** Reads NFTA_CHAIN_HOOK and the type; ENOENT for an unknown type, EOPNOTSUPP for a hook the type does not have. */
function parseBase(nft: Nftables, table: Table, req: Request, hookAttr: Attr): BaseChain {
  const hookAttrs = attrMap(hookAttr.payload);
  const hook = u32Attr(hookAttrs, U.NFTA_HOOK_HOOKNUM);
  const priority = u32Attr(hookAttrs, U.NFTA_HOOK_PRIORITY) | 0;
  const typeAttr = req.attrs.get(U.NFTA_CHAIN_TYPE);
  const type = typeAttr ? getString(typeAttr.payload) : 'filter';
  const hooks = hooksOf(table.family, type);
  if (hooks === undefined) throw new KernelError(ENOENT, undefined, typeAttr?.offset);
  if (!hooks.includes(hook)) throw new KernelError(EOPNOTSUPP, undefined, hookAttr.offset);
  if (type === 'nat' && priority <= NF_IP_PRI_CONNTRACK) throw new KernelError(EOPNOTSUPP, undefined, hookAttr.offset);
  const perDevice =
    table.family === H.NFPROTO_NETDEV || (table.family === H.NFPROTO_INET && hook === H.NF_INET_INGRESS);
  const devices: string[] = [];
  const one = hookAttrs.get(U.NFTA_HOOK_DEV);
  const many = hookAttrs.get(U.NFTA_HOOK_DEVS);
  for (const attr of one ? [one] : many ? readAttrs(many.payload) : []) {
    const device = getString(attr.payload);
    if (nft.host.deviceIndex(device) === 0) throw notFound(attr);
    devices.push(device);
  }
  if (perDevice ? devices.length === 0 : devices.length > 0) {
    throw new KernelError(perDevice ? EINVAL : EOPNOTSUPP, undefined, hookAttr.offset);
  }
  const policyAttr = req.attrs.get(U.NFTA_CHAIN_POLICY);
  const counters = parseCounters(req);
  return { type, hook, priority, policy: policyAttr ? parsePolicy(req) : H.NF_ACCEPT, devices, counters, entries: [] };
}

function parsePolicy(req: Request): number {
  const policy = u32Attr(req.attrs, U.NFTA_CHAIN_POLICY);
  if (policy !== H.NF_ACCEPT && policy !== H.NF_DROP) {
    throw new KernelError(EINVAL, undefined, req.attrs.get(U.NFTA_CHAIN_POLICY)?.offset);
  }
  return policy;
}

function parseCounters(req: Request): BaseChain['counters'] {
  const attr = req.attrs.get(U.NFTA_CHAIN_COUNTERS);
  if (attr === undefined) return undefined;
  const attrs = attrMap(attr.payload);
  const packets = attrs.get(U.NFTA_COUNTER_PACKETS);
  const bytes = attrs.get(U.NFTA_COUNTER_BYTES);
  return {
    packets: packets ? Number(getBeU64(packets.payload)) : 0,
    bytes: bytes ? Number(getBeU64(bytes.payload)) : 0,
  };
}

function byHandle(table: Table, attr: Attr): Chain {
  const handle = Number(getBeU64(attr.payload));
  for (const chain of table.chains.values()) if (chain.handle === handle) return chain;
  throw notFound(attr);
}

export function newChain(nft: Nftables, tx: Transaction, req: Request): void {
  const table = nft.table(req.family, req.attrs.get(U.NFTA_CHAIN_TABLE));
  checkOwner(table);
  const nameAttr = req.attrs.get(U.NFTA_CHAIN_NAME);
  const handleAttr = req.attrs.get(U.NFTA_CHAIN_HANDLE);
  const existing = handleAttr
    ? byHandle(table, handleAttr)
    : nameAttr
      ? table.chains.get(getString(nameAttr.payload))
      : undefined;
  if (existing !== undefined) {
    if (req.flags & NLM_F_EXCL) throw new KernelError(EEXIST, undefined, (handleAttr ?? nameAttr)?.offset);
    if (req.flags & NLM_F_REPLACE) throw new KernelError(EOPNOTSUPP);
    updateChain(nft, tx, req, table, existing, handleAttr !== undefined);
    tx.note((r) => chainMessage(nft, r, existing, newFlags(r), U.NFT_MSG_NEWCHAIN));
    return;
  }
  if (!(req.flags & NLM_F_CREATE)) throw notFound(nameAttr);
  if (nameAttr === undefined && !req.attrs.has(U.NFTA_CHAIN_ID)) throw new KernelError(EINVAL);
  const id = u32Attr(req.attrs, U.NFTA_CHAIN_ID, 0);
  // A chain without a name is bound to the rule that jumps to it ("jump { ... }").
  const name = nameAttr ? getString(nameAttr.payload) : `__chain${id}`;
  if (name.length > NAME_MAX) throw new KernelError(EINVAL, undefined, nameAttr?.offset);
  const flags = u32Attr(req.attrs, U.NFTA_CHAIN_FLAGS, 0);
  const hookAttr = req.attrs.get(U.NFTA_CHAIN_HOOK);
  if (flags & ~(NFT_CHAIN_BASE | NFT_CHAIN_BINDING))
    throw new KernelError(EOPNOTSUPP, 'netloom does not support hardware offload');
  if (req.attrs.has(U.NFTA_CHAIN_POLICY) && hookAttr === undefined) {
    throw new KernelError(EOPNOTSUPP, undefined, req.attrs.get(U.NFTA_CHAIN_POLICY)?.offset);
  }
  const base = hookAttr ? parseBase(nft, table, req, hookAttr) : undefined;
  const chain: Chain = {
    table,
    name,
    handle: ++table.lastHandle,
    userdata: req.attrs.get(U.NFTA_CHAIN_USERDATA)?.payload.slice(),
    flags: (flags & NFT_CHAIN_BINDING) | (base ? NFT_CHAIN_BASE : 0),
    id,
    rules: [],
    use: 0,
    base,
  };
  table.chains.set(name, chain);
  tx.undo(() => table.chains.delete(name));
  tx.note((r) => chainMessage(nft, r, chain, newFlags(r), U.NFT_MSG_NEWCHAIN));
  if (base) {
    tx.onCommit(() => {
      if (table.chains.get(chain.name) === chain && !(table.flags & 1)) hookChain(nft, chain);
    });
  }
}

function updateChain(nft: Nftables, tx: Transaction, req: Request, table: Table, chain: Chain, byId: boolean): void {
  const hookAttr = req.attrs.get(U.NFTA_CHAIN_HOOK);
  if (hookAttr) {
    if (chain.base === undefined) throw new KernelError(EEXIST, undefined, req.attrs.get(U.NFTA_CHAIN_NAME)?.offset);
    const wanted = parseBase(nft, table, req, hookAttr);
    const same =
      wanted.hook === chain.base.hook &&
      wanted.priority === chain.base.priority &&
      (!req.attrs.has(U.NFTA_CHAIN_TYPE) || wanted.type === chain.base.type);
    if (!same) throw new KernelError(EEXIST, undefined, req.attrs.get(U.NFTA_CHAIN_NAME)?.offset);
  }
  if (req.attrs.has(U.NFTA_CHAIN_POLICY)) {
    if (chain.base === undefined) throw new KernelError(EOPNOTSUPP);
    const base = chain.base;
    const before = base.policy;
    base.policy = parsePolicy(req);
    tx.undo(() => {
      base.policy = before;
    });
  }
  if (req.attrs.has(U.NFTA_CHAIN_COUNTERS) && chain.base) {
    const base = chain.base;
    const before = base.counters;
    base.counters = parseCounters(req);
    tx.undo(() => {
      base.counters = before;
    });
  }
  const nameAttr = req.attrs.get(U.NFTA_CHAIN_NAME);
  if (byId && nameAttr) {
    const name = getString(nameAttr.payload);
    const before = chain.name;
    if (name !== before) {
      if (table.chains.has(name)) throw new KernelError(EEXIST, undefined, nameAttr.offset);
      table.chains.delete(before);
      chain.name = name;
      table.chains.set(name, chain);
      tx.undo(() => {
        table.chains.delete(name);
        chain.name = before;
        table.chains.set(before, chain);
      });
    }
  }
}

export function deleteChain(nft: Nftables, tx: Transaction, req: Request): void {
  const table = nft.table(req.family, req.attrs.get(U.NFTA_CHAIN_TABLE));
  checkOwner(table);
  const handleAttr = req.attrs.get(U.NFTA_CHAIN_HANDLE);
  const chain = handleAttr ? byHandle(table, handleAttr) : nft.chain(table, need(req.attrs, U.NFTA_CHAIN_NAME));
  // Rules go with a chain only when nothing else needs them: the kernel wants it empty but for its own.
  for (const rule of chain.rules) for (const expr of rule.exprs) expr.destroy?.(tx.undo);
  if (chain.use > 0) throw new KernelError(EBUSY, undefined, (handleAttr ?? req.attrs.get(U.NFTA_CHAIN_NAME))?.offset);
  takeOut(table.chains, chain.name, tx.undo);
  for (const rule of chain.rules)
    tx.note((r) => ruleMessage(nft, r, rule, undefined, 0, goneType(r, U.NFT_MSG_DELRULE)));
  tx.note((r) => chainMessage(nft, r, chain, 0, goneType(r, U.NFT_MSG_DELCHAIN)));
  if (chain.base) tx.onCommit(() => unhookChain(nft, chain));
}

export function chainMessage(
  nft: Nftables,
  req: Pick<Request, 'seq'>,
  chain: Chain,
  flags: number,
  type: number,
): Message {
  const { table, base } = chain;
  return nftMessage(type, flags, req, table.family, nft.generation, (w: AttrWriter) => {
    w.string(U.NFTA_CHAIN_TABLE, table.name).string(U.NFTA_CHAIN_NAME, chain.name);
    w.beU64(U.NFTA_CHAIN_HANDLE, BigInt(chain.handle));
    if (base) {
      w.nest(U.NFTA_CHAIN_HOOK, (h) => {
        h.beU32(U.NFTA_HOOK_HOOKNUM, base.hook).beU32(U.NFTA_HOOK_PRIORITY, base.priority);
        if (base.devices.length > 0) {
          h.nest(U.NFTA_HOOK_DEVS, (d) => {
            for (const device of base.devices) d.string(U.NFTA_DEVICE_NAME, device);
          });
        }
        if (base.devices.length === 1) h.string(U.NFTA_HOOK_DEV, base.devices[0]);
      });
      w.beU32(U.NFTA_CHAIN_POLICY, base.policy).string(U.NFTA_CHAIN_TYPE, base.type);
      if (base.counters) {
        const { packets, bytes } = base.counters;
        w.nest(U.NFTA_CHAIN_COUNTERS, (c) =>
          c.beU64(U.NFTA_COUNTER_BYTES, BigInt(bytes)).beU64(U.NFTA_COUNTER_PACKETS, BigInt(packets)),
        );
      }
    }
    if (chain.flags) w.beU32(U.NFTA_CHAIN_FLAGS, chain.flags);
    const bound = chain.flags & NFT_CHAIN_BINDING ? 1 : 0;
    w.beU32(U.NFTA_CHAIN_USE, chain.use + chain.rules.length + bound);
    if (chain.userdata) w.bytes(U.NFTA_CHAIN_USERDATA, chain.userdata);
  });
}

export function* getChains(nft: Nftables, req: Request, flags: number): Generator<Message> {
  for (const table of nft.tables.values()) {
    if (req.family !== 0 && table.family !== req.family) continue;
    for (const chain of table.chains.values()) yield chainMessage(nft, req, chain, flags, U.NFT_MSG_NEWCHAIN);
  }
}
