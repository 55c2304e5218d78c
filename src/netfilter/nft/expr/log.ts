/**
 * `log`: writes a line about the packet to the host's log, or to an nflog group.
 */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import { getBeU16, getString } from '../../../wire/netlink/attr.ts';
import {
  NFTA_LOG_FLAGS,
  NFTA_LOG_GROUP,
  NFTA_LOG_LEVEL,
  NFTA_LOG_PREFIX,
  NFTA_LOG_QTHRESHOLD,
  NFTA_LOG_SNAPLEN,
} from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, u32Attr } from '../expr.ts';

const LOGLEVEL_WARNING = 4;
const LOGLEVEL_AUDIT = 8;
const NF_LOG_PREFIXLEN = 128;

export const log: ExprKind = {
  name: 'log',
  init(attrs, ctx): Expr {
    const prefixAttr = attrs.get(NFTA_LOG_PREFIX);
    if (prefixAttr && prefixAttr.payload.length > NF_LOG_PREFIXLEN)
      throw new KernelError(EINVAL, undefined, prefixAttr.offset);
    const groupAttr = attrs.get(NFTA_LOG_GROUP);
    if (groupAttr && attrs.has(NFTA_LOG_LEVEL)) throw new KernelError(EINVAL);
    const q = attrs.get(NFTA_LOG_QTHRESHOLD);
    const level = u32Attr(attrs, NFTA_LOG_LEVEL, LOGLEVEL_WARNING);
    if (level > LOGLEVEL_AUDIT) throw new KernelError(EINVAL);
    const options = {
      prefix: prefixAttr ? getString(prefixAttr.payload) : '',
      group: groupAttr ? getBeU16(groupAttr.payload) : undefined,
      level,
      flags: u32Attr(attrs, NFTA_LOG_FLAGS, 0),
      snaplen: u32Attr(attrs, NFTA_LOG_SNAPLEN, 0),
      qthreshold: q ? getBeU16(q.payload) : 0,
    };
    const host = ctx.host;
    return {
      name: 'log',
      aloof: true,
      eval(_regs, pkt) {
        host.log(pkt.p, pkt, options);
      },
      dump(w) {
        if (options.prefix !== '') w.string(NFTA_LOG_PREFIX, options.prefix);
        if (options.group !== undefined) {
          w.beU16(NFTA_LOG_GROUP, options.group);
          if (options.snaplen !== 0) w.beU32(NFTA_LOG_SNAPLEN, options.snaplen);
          if (options.qthreshold !== 0) w.beU16(NFTA_LOG_QTHRESHOLD, options.qthreshold);
        } else {
          w.beU32(NFTA_LOG_LEVEL, options.level);
          if (options.flags !== 0) w.beU32(NFTA_LOG_FLAGS, options.flags);
        }
      },
    };
  },
};
