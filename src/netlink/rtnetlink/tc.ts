/**
 * RTM_{NEW,DEL,GET}{QDISC,TFILTER}: the clsact qdisc and its bpf filters. A program's number stands where Linux has a file
 * descriptor (TCA_BPF_FD). See tc-bpf(8), rtnetlink(7).
 */
import { EEXIST, EINVAL, ENOENT, EOPNOTSUPP, KernelError } from '../../core/errno.ts';
import { type Attr, AttrWriter, attrMap, getString, getU32 } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../../wire/uapi/netlink.ts';
import * as tc from '../../wire/uapi/pkt-sched.ts';
import type { TcFilterView, TcHostView } from './host.ts';

type TcMsg = { readonly ifindex: number; readonly handle: number; readonly parent: number; readonly info: number };

function readTcMsg(m: Message): TcMsg {
  const dv = new DataView(m.payload.buffer, m.payload.byteOffset, m.payload.byteLength);
  return {
    ifindex: dv.getInt32(4, true),
    handle: dv.getUint32(8, true),
    parent: dv.getUint32(12, true),
    info: dv.getUint32(16, true),
  };
}

function tcMsg({ ifindex, handle, parent, info }: TcMsg): Uint8Array {
  const bytes = new Uint8Array(tc.TCMSG_LENGTH);
  const dv = new DataView(bytes.buffer);
  dv.setInt32(4, ifindex, true);
  dv.setUint32(8, handle, true);
  dv.setUint32(12, parent, true);
  dv.setUint32(16, info, true);
  return bytes;
}

function kindOf(attrs: ReadonlyMap<number, Attr>): string {
  const kind = attrs.get(tc.TCA_KIND);
  return kind === undefined ? '' : getString(kind.payload);
}

/** RTM_NEWQDISC: clsact only; others are refused by name. */
export function newQdisc(host: TcHostView, m: Message): void {
  const msg = readTcMsg(m);
  const kind = kindOf(attrMap(m.payload, tc.TCMSG_LENGTH));
  if (kind !== 'clsact' && kind !== 'ingress')
    throw new KernelError(EOPNOTSUPP, `netloom does not support the qdisc ${kind}`);
  if (host.hasClsact(msg.ifindex)) {
    if ((m.flags & NLM_F_EXCL) !== 0) throw new KernelError(EEXIST, 'Exclusivity flag on, cannot modify');
    return;
  }
  if ((m.flags & NLM_F_CREATE) === 0)
    throw new KernelError(ENOENT, 'Qdisc not found. To create specify NLM_F_CREATE flag');
  host.setClsact(msg.ifindex, true);
}

export function deleteQdisc(host: TcHostView, m: Message): void {
  host.setClsact(readTcMsg(m).ifindex, false);
}

/** Every device has `noqueue` at its root here, and clsact where it was added. */
export function getQdiscs(host: TcHostView, m: Message): Uint8Array[] {
  const only = readTcMsg(m).ifindex;
  const out: Uint8Array[] = [];
  for (const ifindex of host.devices()) {
    if (only !== 0 && ifindex !== only) continue;
    const add = (kind: string, handle: number, parent: number): void => {
      out.push(
        new AttrWriter()
          .raw(tcMsg({ ifindex, handle, parent, info: 2 }))
          .string(tc.TCA_KIND, kind)
          .finish(),
      );
    };
    add('noqueue', 0, tc.TC_H_ROOT);
    if (host.hasClsact(ifindex)) add('clsact', tc.TC_H_CLSACT_HANDLE, tc.TC_H_CLSACT);
  }
  return out;
}

function directionOf(parent: number): 'ingress' | 'egress' {
  switch (parent) {
    case (tc.TC_H_CLSACT_HANDLE | tc.TC_H_MIN_INGRESS) >>> 0:
    case tc.TC_H_CLSACT_HANDLE:
      return 'ingress';
    case (tc.TC_H_CLSACT_HANDLE | tc.TC_H_MIN_EGRESS) >>> 0:
      return 'egress';
    default:
      throw new KernelError(EINVAL, "Parent Qdisc doesn't exists");
  }
}

const parentOf = (direction: 'ingress' | 'egress'): number =>
  (tc.TC_H_CLSACT_HANDLE | (direction === 'ingress' ? tc.TC_H_MIN_INGRESS : tc.TC_H_MIN_EGRESS)) >>> 0;

const swap16 = (n: number): number => ((n & 0xff) << 8) | ((n >> 8) & 0xff);

/** RTM_NEWTFILTER: a bpf filter. */
export function newFilter(host: TcHostView, m: Message): void {
  const msg = readTcMsg(m);
  const attrs = attrMap(m.payload, tc.TCMSG_LENGTH);
  const kind = kindOf(attrs);
  if (kind !== 'bpf') throw new KernelError(EOPNOTSUPP, `netloom does not support the filter ${kind}`);
  if (!host.hasClsact(msg.ifindex)) throw new KernelError(EINVAL, "Parent Qdisc doesn't exists");
  const options = attrs.get(tc.TCA_OPTIONS);
  const own = options === undefined ? new Map<number, Attr>() : attrMap(options.payload);
  if (own.has(tc.TCA_BPF_OPS))
    throw new KernelError(EOPNOTSUPP, 'netloom does not support classic BPF in a filter; use an eBPF object');
  const id = own.get(tc.TCA_BPF_FD);
  if (id === undefined) throw new KernelError(EINVAL);
  const flags = own.get(tc.TCA_BPF_FLAGS);
  const name = own.get(tc.TCA_BPF_NAME);
  host.addFilter(
    msg.ifindex,
    {
      direction: directionOf(msg.parent),
      prio: msg.info >>> 16,
      protocol: swap16(msg.info & 0xffff),
      handle: msg.handle,
      directAction: flags !== undefined && (getU32(flags.payload) & tc.TCA_BPF_FLAG_ACT_DIRECT) !== 0,
      name: name === undefined ? '' : getString(name.payload),
      program: getU32(id.payload),
    },
    (m.flags & NLM_F_REPLACE) !== 0 || (m.flags & NLM_F_EXCL) === 0,
  );
}

export function deleteFilter(host: TcHostView, m: Message): void {
  const msg = readTcMsg(m);
  const removed = host.removeFilters(msg.ifindex, directionOf(msg.parent), msg.info >>> 16, msg.handle);
  if (removed === 0 && (msg.info >>> 16 !== 0 || msg.handle !== 0)) throw new KernelError(ENOENT);
}

export function getFilters(host: TcHostView, m: Message): Uint8Array[] {
  const msg = readTcMsg(m);
  const direction = msg.parent === 0 ? undefined : directionOf(msg.parent);
  return host
    .filters(msg.ifindex)
    .filter((f) => direction === undefined || f.direction === direction)
    .map((f) => filterPayload(msg.ifindex, f));
}

function filterPayload(ifindex: number, f: TcFilterView): Uint8Array {
  const info = ((f.prio << 16) | swap16(f.protocol)) >>> 0;
  return new AttrWriter()
    .raw(tcMsg({ ifindex, handle: f.handle, parent: parentOf(f.direction), info }))
    .string(tc.TCA_KIND, 'bpf')
    .u32(tc.TCA_CHAIN, 0)
    .nest(tc.TCA_OPTIONS, (o) => {
      o.string(tc.TCA_BPF_NAME, f.name).u32(tc.TCA_BPF_ID, f.program);
      if (f.directAction) o.u32(tc.TCA_BPF_FLAGS, tc.TCA_BPF_FLAG_ACT_DIRECT);
    })
    .finish();
}
