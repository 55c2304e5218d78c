/** Targets that decide, note or mark: REJECT, LOG, NFLOG, NFQUEUE, MARK, CLASSIFY, CHECKSUM, AUDIT. */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import {
  NF_DROP,
  NF_QUEUE,
  NF_VERDICT_FLAG_QUEUE_BYPASS,
  NFPROTO_ARP,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
} from '../../../wire/uapi/netfilter.ts';
import { type AuditTarget, auditTarget } from '../../../wire/xt/audit-target.ts';
import { type ChecksumTarget, checksumTarget } from '../../../wire/xt/checksum-target.ts';
import { type ClassifyTarget, classifyTarget } from '../../../wire/xt/classify-target.ts';
import { type LogTarget, logTarget } from '../../../wire/xt/log-target.ts';
import { type MarkTarget, markTarget } from '../../../wire/xt/mark-target.ts';
import { type NflogTarget, nflogTarget } from '../../../wire/xt/nflog-target.ts';
import { type NfqueueTarget, nfqueueTarget } from '../../../wire/xt/nfqueue-target.ts';
import { type RejectTarget, rejectTarget } from '../../../wire/xt/reject-target.ts';
import { resetFor } from '../../nft/expr/reset.ts';
import type { Chain } from '../../nft/model.ts';
import { XT_CONTINUE, type XtTarget } from '../extension.ts';

const DEST_UNREACH4 = 3;
const DEST_UNREACH6 = 1;
/** ICMP code by reject type; -1 for a TCP reset, -2 for what does not exist. */
const CODES4: readonly number[] = [0, 1, 2, 3, -2, 9, 10, -1, 13];
const CODES6: readonly number[] = [0, 1, 2, 3, 4, -2, -1, 5, 6];

function reject(family: number): XtTarget<RejectTarget> {
  const codes = family === NFPROTO_IPV4 ? CODES4 : CODES6;
  const type = family === NFPROTO_IPV4 ? DEST_UNREACH4 : DEST_UNREACH6;
  return {
    name: 'REJECT',
    revision: 0,
    family,
    codec: rejectTarget,
    make(info, ctx) {
      const code = codes[info.with] ?? -2;
      if (code === -2) throw new KernelError(EINVAL);
      // A reset makes sense for TCP only.
      if (code === -1 && (ctx.proto !== 6 || ctx.protoInvert)) throw new KernelError(EINVAL);
      const { host } = ctx.init;
      return (pkt) => {
        if (code === -1) {
          const reply = resetFor(pkt);
          if (reply >= 0) host.sendReply(pkt.pf, pkt.p, reply, pkt.hook);
        } else host.sendIcmpError(pkt.pf, pkt.p, type, code, pkt.hook);
        return NF_DROP;
      };
    },
    validate(chain: Chain) {
      const hook = chain.base?.hook ?? 1;
      if (hook !== 1 && hook !== 2 && hook !== 3) throw new KernelError(EINVAL);
      if (chain.table.name !== 'filter') throw new KernelError(EINVAL);
    },
  };
}
export const REJECT4: XtTarget<RejectTarget> = reject(NFPROTO_IPV4);
export const REJECT6: XtTarget<RejectTarget> = reject(NFPROTO_IPV6);

export const LOG: XtTarget<LogTarget> = {
  name: 'LOG',
  revision: 0,
  codec: logTarget,
  make(info, ctx) {
    if (info.level >= 8) throw new KernelError(EINVAL);
    const { host } = ctx.init;
    const { prefix, level, flags } = info;
    const options = { prefix, level, flags, group: undefined, snaplen: 0, qthreshold: 0 };
    return (pkt) => {
      host.log(pkt.p, pkt, options);
      return XT_CONTINUE;
    };
  },
};

export const NFLOG: XtTarget<NflogTarget> = {
  name: 'NFLOG',
  revision: 0,
  codec: nflogTarget,
  make(info, ctx) {
    if (info.flags & ~1) throw new KernelError(EINVAL);
    const { host } = ctx.init;
    const options = {
      prefix: info.prefix,
      level: 0,
      flags: 0,
      group: info.group,
      snaplen: info.flags & 1 ? info.len : 0,
      qthreshold: info.threshold,
    };
    return (pkt) => {
      host.log(pkt.p, pkt, options);
      return XT_CONTINUE;
    };
  },
};

export const NFQUEUE: XtTarget<NfqueueTarget> = {
  name: 'NFQUEUE',
  revision: 3,
  codec: nfqueueTarget,
  make(info) {
    if (info.total === 0 || info.queue + info.total - 1 > 0xffff || info.flags & ~3) throw new KernelError(EINVAL);
    const verdict = NF_QUEUE | (info.queue << 16) | (info.flags & 1 ? NF_VERDICT_FLAG_QUEUE_BYPASS : 0);
    return () => verdict;
  },
};

export const MARK: XtTarget<MarkTarget> = {
  name: 'MARK',
  revision: 2,
  codec: markTarget,
  make: (info) => (pkt) => {
    pkt.slab.setMark(pkt.p, ((pkt.slab.mark(pkt.p) & ~info.mask) ^ info.mark) >>> 0);
    return XT_CONTINUE;
  },
};

export const CLASSIFY: XtTarget<ClassifyTarget> = {
  name: 'CLASSIFY',
  revision: 0,
  codec: classifyTarget,
  make: (info) => (pkt) => {
    pkt.slab.setPriority(pkt.p, info.priority);
    return XT_CONTINUE;
  },
  validate(chain) {
    const hook = chain.base?.hook ?? 4;
    // ARP has two hooks of its own, in and out.
    if (hook < (chain.table.family === NFPROTO_ARP ? 1 : 2)) throw new KernelError(EINVAL);
  },
};

/** Checksums are always filled in when a packet leaves a netloom host: nothing is left to do. */
export const CHECKSUM: XtTarget<ChecksumTarget> = {
  name: 'CHECKSUM',
  revision: 0,
  codec: checksumTarget,
  make(info, ctx) {
    if (info.operation !== 1 || ctx.table !== 'mangle') throw new KernelError(EINVAL);
    return () => XT_CONTINUE;
  },
};

/** There is no audit daemon to tell. */
export const AUDIT: XtTarget<AuditTarget> = {
  name: 'AUDIT',
  revision: 0,
  codec: auditTarget,
  make(info) {
    if (info.type > 2) throw new KernelError(EINVAL);
    return () => XT_CONTINUE;
  },
};
